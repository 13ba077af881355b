"""One file a command: each opens what it needs, in order, and hands it down."""
