"""The manuals that are generated from the command line: ``python -m tests.manual`` writes them."""
