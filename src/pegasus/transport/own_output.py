"""What is printed before a command begins: by the account's start-up files, or by the shell itself.

Rule 1: it is no output of a command; it may explain why there is no shell, or no beginning.
"""

from __future__ import annotations

import re

from pegasus.terminal_text import on_one_line

OWN_OUTPUT_LIMIT = 65536
"""Bytes that are kept of it."""

OWN_OUTPUT_SHOWN = 300
"""Characters of it that are shown; the last ones, since a question or a prompt comes last."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""Output of a prompt for a terminal: colours, modes, a title."""


class OwnOutput:
    """The last bytes that were printed before a command began.

    Args:
        mark: the shell's, which is no part of the text.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._data = b""

    def add(self, data: bytes) -> None:
        """Add the next bytes."""
        self._data = (self._data + data)[-OWN_OUTPUT_LIMIT:]

    def take(self) -> bytes:
        """Return the bytes, and forget them."""
        data, self._data = self._data, b""
        return data

    @property
    def text(self) -> str:
        """The text, with its line breaks."""
        text = self._data.replace(self._mark[1:], b"").decode(errors="replace")
        return _ESCAPE_SEQUENCE.sub("", text).strip()

    @property
    def end(self) -> str:
        """The end of the text, on one line; empty if there is none."""
        words = on_one_line(self.text, OWN_OUTPUT_LIMIT)
        return words if len(words) <= OWN_OUTPUT_SHOWN else f"…{words[-OWN_OUTPUT_SHOWN:]}"
