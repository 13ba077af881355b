"""What running commands printed last.

Rule 1: a read costs the same however much was printed before, and so does the memory.
"""

from __future__ import annotations

from typing import TypeAlias

from pegasus.events import Printed
from pegasus.model import Assignment, Stream

TAIL = 4096
"""Bytes that are kept of a stream: some rows of a wide terminal, even with many colours."""

_CommandKey: TypeAlias = tuple[int, int, str | None]


class Tails:
    """The last bytes of each stream of each command that runs."""

    def __init__(self) -> None:
        self._tails: dict[_CommandKey, dict[Stream, bytes]] = {}
        self._latest: dict[_CommandKey, Stream] = {}

    def add(self, printed: Printed) -> None:
        """Take what a command printed."""
        key = _command(printed.assignment)
        tails = self._tails.setdefault(key, {})
        data = printed.data
        if len(data) < TAIL:
            data = tails.get(printed.stream, b"") + data
        tails[printed.stream] = data[-TAIL:]
        self._latest[key] = printed.stream

    def forget(self, assignment: Assignment) -> None:
        """Forget a command that has ended."""
        self._tails.pop(_command(assignment), None)
        self._latest.pop(_command(assignment), None)

    def of(self, assignment: Assignment) -> bytes:
        """Give the last bytes of the stream to which a command printed last."""
        key = _command(assignment)
        return self._tails[key][self._latest[key]] if key in self._latest else b""


def _command(assignment: Assignment) -> _CommandKey:
    return assignment.number, assignment.sub_node.number, assignment.key
