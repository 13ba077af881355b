"""Separates the output of a shell from the output of its command, by marks in the stream.

Rule 1: pure; it neither reads nor waits.
Rule 2: a byte that is not part of a mark belongs to the command, and is returned exactly once, in
order.
"""

from __future__ import annotations

import enum

END_LINE_LIMIT = 4096
"""Bytes that are kept of the line that reports the end: it is shorter, unless a node sends invalid
data."""


class Phase(enum.IntEnum):
    """What a shell has reported so far."""

    STARTING = 0
    READY = 1
    RUNNING = 2
    ENDED = 3
    AGAIN = 4
    GONE = 5


_TURNS = {b"r": Phase.READY, b"b": Phase.RUNNING, b"e": Phase.ENDED, b"x": Phase.GONE}


class Marks:
    """Removes the marks from one output of a shell.

    Args:
        mark: what a mark begins with.
        end: what follows the letter of a mark that is not that of the end.

    Attributes:
        phase: the last phase that this output reported.
        begun: whether it has reported the beginning of the command.
        words: the rest of the line behind the mark of the end; None until it is complete.
    """

    def __init__(self, mark: bytes, end: bytes = b"") -> None:
        self._mark = mark
        self._end = end
        self._held = b""
        self._line = b""
        self.phase = Phase.STARTING
        self.begun = False
        self.words: bytes | None = None

    def begin(self) -> None:
        """Start again, with a shell that is ready for another command."""
        self._line, self.words = b"", None
        self.phase, self.begun = Phase.READY, False

    def feed(self, data: bytes) -> bytes:
        """Process the next bytes; return those that belong to the command.

        Before the shell is ready these are the output of the account's start-up files; after the
        command's end there are none.
        """
        if not self._held and self._mark[:1] not in data and self.phase < Phase.ENDED:
            return data  # no mark: the common case, for the cost of a memchr
        data = self._held + data
        self._held = b""
        output = []
        while data:
            before, mark, after = data.partition(self._mark)
            size = 1 if after[:1] == b"e" else 1 + len(self._end)
            if mark and len(after) >= size:
                output.append(self._belongs(before))
                was, self.phase = self.phase, self._turn(after[:1])
                if was is Phase.STARTING is not self.phase:
                    output.clear()
                data = after[size:]
            else:
                keep = len(mark) + len(after) if mark else self._beginning_of_mark(before)
                self._held = data[len(data) - keep :] if keep else b""
                output.append(self._belongs(data[: len(data) - keep]))
                break
        return b"".join(output)

    def _turn(self, letter: bytes) -> Phase:
        phase = _TURNS.get(letter, self.phase)
        if phase is Phase.RUNNING:
            self.begun = True
            return max(phase, self.phase)  # it may come late where the shell was killed
        return Phase.AGAIN if phase is Phase.READY and self.phase >= Phase.ENDED else phase

    def _belongs(self, data: bytes) -> bytes:
        if self.phase < Phase.ENDED:
            return data
        self._read_words(data)
        return b""

    def _beginning_of_mark(self, data: bytes) -> int:
        """Return how many bytes at the end of the data may be the beginning of a mark."""
        start = data.rfind(self._mark[:1], max(0, len(data) - len(self._mark) + 1))
        return len(data) - start if start >= 0 and self._mark.startswith(data[start:]) else 0

    def _read_words(self, data: bytes) -> None:
        if self.words is None:
            line, newline, _ = (self._line + data).partition(b"\n")
            if newline or len(line) > END_LINE_LIMIT:
                self.words = line[:END_LINE_LIMIT]
            else:
                self._line = line
