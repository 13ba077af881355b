"""A stream of bytes in which a mark tells what is the shell's and what is the command's.

Rule 1: pure; it neither reads nor waits.
Rule 2: a byte that is not part of a mark is the command's, and comes out exactly once, in order.
"""

from __future__ import annotations

import enum

WORDS_LIMIT = 4096
"""Bytes of the shell's last words that are kept: they fit on a line, unless a node sends
invalid data."""


class Phase(enum.IntEnum):
    """How far a shell has come."""

    STARTING = 0
    READY = 1
    RUNNING = 2
    ENDED = 3
    AGAIN = 4
    GONE = 5


_TURNS = {b"r": Phase.READY, b"b": Phase.RUNNING, b"e": Phase.ENDED, b"x": Phase.GONE}


class Marks:
    """Takes the marks out of one output of a shell.

    Attributes:
        phase: how far the shell has come, by this output.
        words: what followed the mark of the end up to its line's end; None until it is complete.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._held = b""
        self._line = b""
        self.phase = Phase.STARTING
        self.words: bytes | None = None

    def begin(self) -> None:
        """Begin anew with a shell that is ready for another command."""
        self._line, self.words = b"", None
        self.phase = Phase.READY

    def feed(self, data: bytes) -> bytes:
        """Take in the next bytes; give back those that are the command's.

        Before the shell is ready these are what the account's start-up files print; after the
        command's end there are none.
        """
        if not self._held and self._mark[:1] not in data and self.phase < Phase.ENDED:
            return data  # nothing to look for: what most of a job's output is, at a memchr's cost
        data = self._held + data
        self._held = b""
        output = []
        while data:
            before, mark, after = data.partition(self._mark)
            if mark and after:
                output.append(self._belongs(before))
                was, self.phase = self.phase, self._turn(after[:1])
                if was is Phase.STARTING is not self.phase:
                    output.clear()
                data = after[1:]
            else:
                keep = len(mark) or self._beginning_of_mark(before)
                self._held = data[len(data) - keep :] if keep else b""
                output.append(self._belongs(data[: len(data) - keep]))
                break
        return b"".join(output)

    def _turn(self, letter: bytes) -> Phase:
        phase = _TURNS.get(letter, self.phase)
        return Phase.AGAIN if phase is Phase.READY and self.phase >= Phase.ENDED else phase

    def _belongs(self, data: bytes) -> bytes:
        if self.phase < Phase.ENDED:
            return data
        self._read_words(data)
        return b""

    def _beginning_of_mark(self, data: bytes) -> int:
        """Count the bytes at the end of the data that may be the beginning of a mark."""
        start = data.rfind(self._mark[:1], max(0, len(data) - len(self._mark) + 1))
        return len(data) - start if start >= 0 and self._mark.startswith(data[start:]) else 0

    def _read_words(self, data: bytes) -> None:
        if self.words is None:
            line, newline, _ = (self._line + data).partition(b"\n")
            if newline or len(line) > WORDS_LIMIT:
                self.words = line[:WORDS_LIMIT]
            else:
                self._line = line
