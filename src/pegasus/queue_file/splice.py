"""Removes entries from the text of a queue file and inserts entries; all other text stays.

Rule 1: comments are never removed: a comment inside a removed entry becomes a line of its own.
Rule 2: pure: it gives the edits; the caller parses the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pegasus.queue_file.entries import QueueReader, Written, WrittenBarrier
from pegasus.yaml_text import BREAKS, Item, SourceText, encoded, leaves

_COMMENT_TEXT = re.compile(f"#[^{BREAKS}]*")
_SPACES = re.compile("[ \t]*")

EntryLines: TypeAlias = Sequence[str]
"""The lines of an entry, without indentation and line breaks."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters from ``start`` to ``end`` by ``text``."""

    start: int
    end: int
    text: str


def edited(source: SourceText, edits: Sequence[Edit]) -> bytes:
    """Apply edits, which are in the order of the file, and give its bytes."""
    pieces, at = [], 0
    for edit in edits:
        pieces += [source.text[at : edit.start], edit.text]
        at = edit.end
    head, tail = source.offset(0), source.offset(at)
    return source.data[:head] + encoded("".join(pieces)) + source.data[tail:]


def cut(
    reader: QueueReader,
    gone: Written | WrittenBarrier,
    remainder: Sequence[EntryLines] = (),
    *,
    fenced: bool = False,
) -> list[Edit]:
    """Give the edits that remove an entry from a file; it need not be at the head.

    Args:
        reader: the file.
        gone: the entry to remove.
        remainder: the entries that replace it.
        fenced: whether an empty comment comes before that, in a list without brackets. Without it
            text after the entry may become a part of a block scalar before it.
    """
    if reader.list.flow:
        return _cut_flow(reader, gone.item, remainder)
    return [_cut_block(reader, gone.item, remainder, fenced=fenced)]


def insert(reader: QueueReader, entries: Sequence[EntryLines], *, top: bool) -> Edit:
    """Give the edit that inserts entries into a file.

    Args:
        reader: the file, read to its end, without a syntax fault.
        entries: the entries to insert; at least one.
        top: before all others instead of after them.
    """
    source, start, end = reader.source, reader.list.start, reader.list.end
    if reader.list.flow:
        return _insert_flow(reader, ", ".join(lines[0] for lines in entries), top=top)
    indent = _indent_of(source, start)
    if start is not None and top:
        at = source.line_start(start)
        return Edit(at, at, _block(source, entries, indent))
    assert end is not None  # noqa: S101 - the reader was read to its end
    begins_line = end == 0 or source.text[end - 1] in BREAKS
    before = "" if begins_line else _newline_of(source)
    return Edit(end, end, before + _block(source, entries, indent))


def _cut_block(
    reader: QueueReader, item: Item, remainder: Sequence[EntryLines], *, fenced: bool
) -> Edit:
    source, dash = reader.source, item.start
    start, end = source.line_start(dash), reader.list.line_done(item.end)
    indent = source.text[start:dash]
    comments = [
        _own_line(source, comment) or f"{indent}{comment[0]}{_newline_of(source)}"
        for comment in _comments(source, item, end)
    ]
    fence = f"{indent}#{_newline_of(source)}" if fenced else ""
    return Edit(start, end, fence + "".join(comments) + _block(source, remainder, indent))


def _cut_flow(reader: QueueReader, item: Item, remainder: Sequence[EntryLines]) -> list[Edit]:
    source, start, end = reader.source, item.start, item.end
    newline = _newline_of(source)
    comments = "".join(
        f"{newline}{comment[0]}{newline}" for comment in _comments(source, item, end)
    )
    if remainder:
        return [Edit(start, end, comments + ", ".join(lines[0] for lines in remainder))]
    comma = reader.list.next_content(end)
    if source.text[comma] != ",":
        return [Edit(start, end, comments)]
    following = _spaces_end(source, comma + 1)
    if not comments and comma == end and _is_alone(source, start, following):
        return [Edit(source.line_start(start), source.line_end(following), "")]
    return [Edit(start, end, comments), Edit(comma, following, "")]


def _insert_flow(reader: QueueReader, text: str, *, top: bool) -> Edit:
    first = reader.list.start
    assert first is not None  # noqa: S101 - it is written in brackets
    is_empty = reader.list.last_end == first + 1
    if top or is_empty:
        return Edit(first + 1, first + 1, text if is_empty else f"{text}, ")
    return Edit(reader.list.last_end, reader.list.last_end, f", {text}")


def _comments(source: SourceText, item: Item, end: int) -> Iterator[re.Match[str]]:
    """Find the comments of an entry up to ``end``: those between its texts."""
    at = item.start
    for leaf in leaves(item.node):
        begins = source.line_end(leaf.start) if leaf.block else leaf.start
        yield from _COMMENT_TEXT.finditer(source.text, at, begins)
        at = leaf.end
    yield from _COMMENT_TEXT.finditer(source.text, at, end)


def _own_line(source: SourceText, comment: re.Match[str]) -> str:
    """Give the whole line of a comment, if it has a line of its own; else an empty text."""
    start, end = source.line_start(comment.start()), source.line_end(comment.end())
    if source.text[start : comment.start()].strip(" \t"):
        return ""
    line = source.text[start:end]
    return line if line[-1] in BREAKS else line + _newline_of(source)


def _is_alone(source: SourceText, start: int, following: int) -> bool:
    """Tell whether an item of a list in brackets has lines of its own."""
    before = source.text[source.line_start(start) : start]
    return not before.strip(" \t") and source.text[following : following + 1] in {"\r", "\n"}


def _block(source: SourceText, entries: Sequence[EntryLines], indent: str) -> str:
    newline = _newline_of(source) if entries else ""
    return "".join(
        f"{indent}{line}{newline}" if line else newline for lines in entries for line in lines
    )


def _newline_of(source: SourceText) -> str:
    """Give the line break that the file uses."""
    first = source.line_end(0)
    return "\r\n" if source.text[:first].endswith("\r\n") else "\n"


def _indent_of(source: SourceText, start: int | None) -> str:
    return "" if start is None else source.text[source.line_start(start) : start]


def _spaces_end(source: SourceText, index: int) -> int:
    source.line_end(index)  # so that the rest of the line is decoded
    found = _SPACES.match(source.text, index)
    return found.end() if found else index
