"""A queue file without some of its jobs: every other byte, and what is left of grids.

Rule 1: pure: text in, text out.
Rule 2: the remaining text is parsed before it is given: around each change it must contain exactly
the other jobs. What is far from all changes was parsed when it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pegasus import grid
from pegasus.errors import FileFault, PegasusError
from pegasus.model import Barrier, Entry
from pegasus.queue_file import rendering, splice
from pegasus.queue_file.entries import QueueReader, Written, WrittenBarrier
from pegasus.yaml_text import encoded

Found: TypeAlias = Written | WrittenBarrier | FileFault
"""What a queue file has at one place."""

Parts: TypeAlias = Sequence[tuple[range, ...]]
"""What remains of an entry: grids, each with the indexes that remain of each list."""


@dataclass(frozen=True, slots=True)
class FileEdit:
    """Replace the bytes of a file from ``start`` to ``end`` by ``data``.

    Attributes:
        start: the offset of the first byte.
        end: the offset after the last byte.
        data: what replaces them.
        lines: how many lines more the file has then; negative for fewer.
    """

    start: int
    end: int
    data: bytes
    lines: int


@dataclass(slots=True)
class Change:
    """A part of a file that changes.

    Attributes:
        reader: parsed the part of the file from which its entries came.
        base: where that part begins, in bytes.
        before: the entry before it, which stays; None at the head of the file.
        steps: its entries, and what remains of each; None for one that is left alone.
        after: what follows it; None at the end of the file.
    """

    reader: QueueReader
    base: int = 0
    before: Written | None = None
    steps: list[tuple[Written | WrittenBarrier, Parts | None]] = field(default_factory=list)
    after: Found | None = None

    def left(self) -> list[Entry]:
        """Give the entries that remain."""
        left: list[Entry] = []
        for found, parts in self.steps:
            if isinstance(found, Written):
                left += [found.entry] if parts is None else grid.entries(found.entry, parts)
        return left

    def edits(self, style: rendering.Style, *, fenced: bool) -> list[splice.Edit]:
        """Give the edits that make it."""
        edits: list[splice.Edit] = []
        for found, parts in self.steps:
            if parts is not None:
                lines = [] if not parts else rendering.remaining(_entry(found), parts, style)
                edits += splice.cut(self.reader, found, lines, fenced=fenced and not edits)
        return edits

    def in_file(self, edit: splice.Edit) -> FileEdit:
        """Give an edit as one of the whole file."""
        source, data = self.reader.source, encoded(edit.text)
        start = source.offset(edit.start)
        gone = encoded(source.text[edit.start : edit.end])
        lines = data.count(b"\n") - gone.count(b"\n")
        return FileEdit(self.base + start, self.base + start + len(gone), data, lines)


def without(
    data: bytes, changes: Sequence[Change], *, may_say_empty: bool
) -> tuple[bytes, list[FileEdit]]:
    """Give a file after some changes, parsed and compared.

    Args:
        data: the file.
        changes: at least one, in the order of the file.
        may_say_empty: whether an empty list may be put before a file in which nothing remains.

    Returns:
        Its bytes, and the edits that were made; not all of them if nothing remains.

    Raises:
        PegasusError: it would have another meaning.
    """
    edits: list[FileEdit] = []
    for change in changes:
        checked, text = _checked(change, may_say_empty=may_say_empty)
        edits += [change.in_file(edit) for edit in checked]
    if len(changes) == 1 and not changes[0].base:
        return text, edits
    pieces, at = [], 0
    for each in edits:
        pieces += [data[at : each.start], each.data]
        at = each.end
    return b"".join([*pieces, data[at:]]), edits


def _checked(change: Change, *, may_say_empty: bool) -> tuple[list[splice.Edit], bytes]:
    """Give the edits of a change, and its part of the file: the text around it was compared."""
    reader = change.reader
    left = change.left()
    for fenced in (False, True) if change.before else (False,):
        for strict in False, True:
            style = rendering.Style(reader.source.text, reader.list.flow, strict)
            edits = change.edits(style, fenced=fenced)
            data = splice.edited(reader.source, edits)
            if _reads_as_it_should(data, change, left):
                return edits, data
            if not may_say_empty or left or change.before:
                continue
            # Text after the last entry must not become a list because the entry is gone.
            if _reads_as_it_should(data := rendering.emptied(data), change, left):
                return edits, data
    gone = next(found for found, parts in change.steps if parts is not None)
    raise PegasusError(
        f"{reader.source.position(gone.item.start)}: Pegasus cannot take a job from this entry "
        "without changing others. Nothing was taken. Write the entry in another way, and please "
        "report this as a bug."
    )


def _reads_as_it_should(data: bytes, change: Change, left: Sequence[Entry]) -> bool:
    source, before = change.reader.source, change.before
    if before is not None:  # the text up to this entry does not change
        data = data[source.offset(source.line_start(before.item.start)) :]
    again = iter(QueueReader(source.path, data, source.pulse))
    if before is not None and not is_same(next(again, None), before.entry):
        return False
    if not all(is_same(next(again, None), entry) for entry in left):
        return False
    return alike(next(again, None), change.after)


def alike(now: Found | None, then: Found | None) -> bool:
    """Tell whether two finds are the same entry or barrier, or any fault, or nothing."""
    if isinstance(then, Written):
        return is_same(now, then.entry)
    if isinstance(then, WrittenBarrier):
        return is_same(now, then.barrier)
    return type(now) is type(then)


def is_same(found: Found | None, entry: Entry | Barrier) -> bool:
    """Tell whether what was read is this entry or barrier, at whatever position."""
    if isinstance(found, WrittenBarrier):
        return found.barrier == entry
    return isinstance(found, Written) and replace(found.entry, position=entry.position) == entry


def _entry(found: Written | WrittenBarrier) -> Written:
    assert isinstance(found, Written)  # noqa: S101 - nothing remains of a barrier
    return found
