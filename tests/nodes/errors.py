"""What can go wrong with test nodes, in words that name the next step."""

from __future__ import annotations


class NodesFault(Exception):
    """Test nodes can't be had, or can't do what was asked; the message says what to do."""
