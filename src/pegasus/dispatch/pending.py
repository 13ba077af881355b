"""The wait for an entry of the queue that is not completely written yet."""

from __future__ import annotations

import trio

PENDING_REPORT_AFTER = 1.0
"""Seconds after which a wait for an entry that is not completely written is reported."""


class PendingEntry:
    """The entry that is waited for, and since when."""

    def __init__(self) -> None:
        self._words = ""
        self._since = 0.0

    def words_due(self, words: str) -> str:
        """Give a sentence once it has been true for a second, also where the file changes often."""
        now = trio.current_time()
        if words != self._words:
            self._words, self._since = words, now
        return words if now - self._since >= PENDING_REPORT_AFTER else ""
