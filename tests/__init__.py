"""The tests of Pegasus: each states a promise."""
