"""Errors of test nodes, with messages that name the next step."""

from __future__ import annotations


class NodesFault(Exception):
    """Test nodes cannot be made or cannot do what was asked; the message names the next step."""
