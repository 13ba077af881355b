"""Adds entries to the text of a queue file.

Rule 1: pure; the new entries and their neighbours are parsed before the text is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pegasus.demand import with_group
from pegasus.errors import FileFault, PegasusError
from pegasus.model import Barrier, Entry
from pegasus.queue_file import rendering, splice
from pegasus.queue_file.entries import QueueReader, WrittenBarrier
from pegasus.queue_file.remainder import Found, alike, is_same


def with_entries(path: str, data: bytes, entries: Sequence[Entry | Barrier], *, top: bool) -> bytes:
    """Give the file with more entries, after it was parsed and compared.

    Raises:
        FileFault: the file has a syntax fault where the entries belong.
        PegasusError: the result would have another meaning.
    """
    reader = QueueReader(path, data)
    before = list(itertools.islice(reader, 1)) if top else list(reader)
    if not (top or reader.list.flow or data.endswith((b"\n", b"\r"))):
        # A line break at the end may become part of a text: compare with the text that has it.
        reader = QueueReader(path, data + b"\n" * bool(reader.source.text))
        before = list(reader)
    _refuse_closed(reader, before, top=top)
    flow = reader.list.flow
    for style in rendering.Style(flow=flow), rendering.Style(flow=flow, strict=True):
        written = [rendering.added(entry, style) for entry in entries]
        data = splice.edited(reader.source, [splice.insert(reader, written, top=top)])
        at, neighbours = (0, before) if top else _last_of(reader, before)
        if _has_more(path, data[at:], neighbours, entries, top=top):
            return data
    raise PegasusError(f"{path}: Pegasus cannot add to this file. Please report this as a bug.")


def _last_of(reader: QueueReader, found: Sequence[Found]) -> tuple[int, Sequence[Found]]:
    """Give what has to be parsed again after an addition at the end: where it begins, and what."""
    if not found or reader.list.flow or isinstance(found[-1], FileFault):
        return 0, found
    start = reader.source.line_start(found[-1].item.start)
    return reader.source.offset(start), found[-1:]


def _has_more(
    path: str,
    data: bytes,
    before: Sequence[Found],
    entries: Sequence[Entry | Barrier],
    *,
    top: bool,
) -> bool:
    """Parse a file: tell whether it has the entries and their neighbours are unchanged."""
    again = iter(QueueReader(path, data))
    if not top and not all(alike(next(again, None), then) for then in before):
        return False
    wanted = (each if isinstance(each, Barrier) else with_group(each) for each in entries)
    if not all(is_same(next(again, None), each) for each in wanted):
        return False
    return alike(next(again, None), before[0] if top and before else None)


def _refuse_closed(reader: QueueReader, found: Sequence[Found], *, top: bool) -> None:
    """Raise the fault of a file to which nothing can be added at that end."""
    last = found[-1] if found else None
    if not isinstance(last, FileFault):
        return
    in_block = reader.list.start is not None and not reader.list.flow
    if reader.list.end is None and not (top and in_block):
        raise last


def has_barrier(path: str, data: bytes) -> bool:
    """Tell whether there is a barrier in a file."""
    if b"barrier" not in data and b"\\" not in data:  # nor could an escape stand for a letter
        return False
    return any(isinstance(each, WrittenBarrier) for each in QueueReader(path, data))
