"""Entries that stay at the head of a queue file from one take to the next: parsed once, not again.

A job that cannot start yet stays in the file, and each take has to pass by it. With thousands of
them, to parse them again would take longer than all else.

Rule 1: an entry is known only as long as the bytes of the file up to its end, and of what follows
it, are the same.
Rule 2: only a list without brackets has known entries: its entries can be parsed one by one.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from pegasus import grid
from pegasus.demand import Nowhere
from pegasus.errors import FileFault
from pegasus.model import Job
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.queue_file.remainder import FileEdit, Found
from pegasus.yaml_text import encoded

_LOOKAHEAD = 2
"""Entries before the first change of a file that are parsed again: YAML looks ahead."""


@dataclass(slots=True)
class KnownEntry:
    """An entry that has stayed as a whole; it moves when text before it is removed.

    Attributes:
        start: the offset of its line in the bytes of the file.
        line: the number of its line.
        first: its first job.
        copies: how many jobs it has.
        refusal: why its first job can run nowhere, and the fault with its position at that time.
    """

    start: int
    line: int
    first: Job
    copies: int
    refusal: tuple[Nowhere, FileFault] | None = None

    @property
    def job(self) -> Job:
        """Its first job, with its position."""
        position = self.first.position
        if position is not None and position.line != self.line:
            self.first = replace(self.first, position=replace(position, line=self.line))
            self.refusal = None
        return self.first


@dataclass(frozen=True, slots=True)
class LeftText:
    """The complete part of a file after a take.

    Attributes:
        data: its bytes.
        has_barrier: whether it looks as if it has a barrier.
        known: the entries at its head.
    """

    data: bytes
    has_barrier: bool
    known: Sequence[KnownEntry] = field(default=(), repr=False)

    def known_in(self, data: bytes) -> Sequence[KnownEntry]:
        """Give the entries that are the same at the head of a file that may have changed."""
        if not self.known or data == self.data:
            return self.known
        same = _common_start(self.data, data)
        count = bisect.bisect_right(self.known, same, key=attrgetter("start"))
        return self.known[: max(count - _LOOKAHEAD, 0)]


class EntryScan:
    """The entries of a file by their numbers, from 0; they are parsed where they are needed.

    Args:
        path: as the user gave it; faults name it.
        data: the complete part of the file.
        known: the entries at its head, in order.
        pulse: see ``QueueReader``.

    Attributes:
        reader: parses the part of the file from which the last entry came.
        base: where that part begins, in bytes.
        before: the entry before the last one, if that part has it.
    """

    def __init__(
        self,
        path: str,
        data: bytes,
        known: Sequence[KnownEntry] = (),
        pulse: Callable[[], None] | None = None,
    ) -> None:
        self.known = known
        self.before: Written | None = None
        self._path, self._data, self._pulse = path, data, pulse
        self._last: Written | None = None
        self._next = 0
        self._counted = (0, 0)  # the start of a line in characters, and in bytes of the file
        self._open(0)

    def find(self, index: int) -> Found | None:
        """Parse an entry; None at the end of the file. Going on in order is cheap."""
        if index != self._next:
            self._open(index)
        self.before, found = self._last, next(self._entries, None)
        self._last = found if isinstance(found, Written) else None
        self._next += 1
        return found

    def as_known(self, written: Written) -> KnownEntry:
        """Give the entry that was parsed last as a known one."""
        source = self.reader.source
        start, at = source.line_start(written.item.start), self._counted[0]
        self._counted = (start, self._counted[1] + len(encoded(source.text[at:start])))
        entry = written.entry
        line = entry.position.line if entry.position else 1
        return KnownEntry(self._counted[1], line, next(grid.jobs(entry)), grid.count(entry))

    def _open(self, index: int) -> None:
        """Begin with the entry before this one: a change is compared with its neighbours."""
        first = max(index - 1, 0)
        line, data, self.base = 1, self._data, 0
        if first:
            self.base, line = self.known[first].start, self.known[first].line
            data = data[self.base :]
        self.reader = QueueReader(self._path, data, self._pulse, first_line=line)
        self._entries = iter(self.reader)
        self._last, self._next = None, first
        self._counted = (0, self.reader.source.offset(0) + self.base)
        if index:
            self.find(first)


def move(known: Sequence[KnownEntry], edits: Sequence[FileEdit]) -> None:
    """Move entries to where they are after some edits, which change none of them."""
    if not edits:
        return
    first = bisect.bisect_left(known, edits[0].end, key=attrgetter("start"))
    coming = list(reversed(edits))
    shift = lines = 0
    for entry in itertools.islice(known, first, None):
        while coming and coming[-1].end <= entry.start:
            edit = coming.pop()
            shift += len(edit.data) - (edit.end - edit.start)
            lines += edit.lines
        entry.start += shift
        entry.line += lines


def _common_start(one: bytes, other: bytes) -> int:
    """Give how many bytes at their start two texts share."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
