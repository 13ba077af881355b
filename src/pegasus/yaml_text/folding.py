"""Where YAML joins the lines of a text that is written on several lines.

Rule 1: nothing here parses YAML again: the written lines are searched in the parsed text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from pegasus.errors import FileFault
from pegasus.shell_text import MeaningChange
from pegasus.yaml_text.events import LOADER
from pegasus.yaml_text.nodes import PairValue, Scalar, scalars
from pegasus.yaml_text.source import BREAKS, LINE_BREAK, SourceText

Changed: TypeAlias = Callable[[str, Sequence[int]], MeaningChange | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text, without the blanks around it.

    Attributes:
        start: where it begins in the text.
        end: where it ends in the text.
        index: where it begins in the file.
        exact: whether the file has exactly the same characters.
    """

    start: int
    end: int
    index: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Folded:
    """A text that YAML joined from several lines.

    Attributes:
        joins: the indexes in the text of the blanks that replace line breaks.
    """

    lines: tuple[Line, ...]
    joins: tuple[int, ...]

    def index(self, at: int) -> int:
        """Give the index in the file of a character of the text, or of the start of its line."""
        line = next((line for line in self.lines if at < line.end), self.lines[-1])
        return line.index + (at - line.start if line.exact and at >= line.start else 0)


def folded(source: SourceText, scalar: Scalar) -> Folded | None:
    """Find where lines of a text were joined by a blank; None if there is no such place.

    An escaped line break in double quotes joins without a blank, as in a shell. It is intended, so
    it is not reported.
    """
    if scalar.style == "|" or not source.has_break(scalar.start, scalar.end):
        return None
    lines: list[Line] = []
    joins: list[int] = []
    escaped = False
    at = 0
    for index, written, escapes in _written(source, scalar):
        content = _read(written) if scalar.style == '"' else written
        if scalar.style == "'":
            content = written.replace("''", "'")
        start = scalar.text.find(content, at)
        if start < 0:  # should not happen; then the text is not refused
            return None
        between = scalar.text[at:start]
        if lines and not escaped and not any(each in BREAKS for each in between):
            joins.append(at)
        at = start + len(content)
        lines.append(Line(start, at, index, content == written))
        escaped = escapes
    return Folded(tuple(lines), tuple(joins)) if joins else None


def refuse_changed(source: SourceText, value: PairValue, name: str, changed: Changed) -> None:
    """Refuse a text, or a list with a text, whose meaning changed because its lines were joined.

    Args:
        source: the file.
        value: the value in it.
        name: the name of such a text in the message.
        changed: finds the change in a text from the indexes where its lines were joined.

    Raises:
        FileFault: there is such a text.
    """
    if not source.has_break(value.start, value.end):
        return
    for scalar in scalars(value):
        found = folded(source, scalar)
        change = changed(scalar.text, found.joins) if found else None
        if found and change:
            raise FileFault(
                source.position(found.index(change.index)),
                f"YAML joins the lines of this {name} with blanks, and {change.what}",
                "Write it behind `|`, which keeps its lines, or on one line",
            )


def _written(source: SourceText, scalar: Scalar) -> Iterator[tuple[int, str, bool]]:
    """Give the lines of a scalar that are not blank.

    Each has its index, its text without blanks at both ends, and whether its break is escaped.
    """
    start, end = scalar.start, scalar.end
    if scalar.style == ">":
        start = source.line_end(start)
    elif scalar.style:
        start, end = start + 1, end - 1
    while start < end:
        found = LINE_BREAK.search(source.text, start, end)
        line = source.text[start : found.start() if found else end]
        content = line.strip(" \t")
        index = start + line.index(content) if content else start
        escapes = False
        if scalar.style == '"' and found and _is_odd(content):
            escapes = line.endswith("\\")
            # Otherwise an escaped blank was stripped.
            content = line.lstrip(" \t")[:-1] if escapes else f"{content} "
        if content or escapes:
            yield index, content, escapes
        start = found.end() if found else end


def _is_odd(content: str) -> bool:
    return (len(content) - len(content.rstrip("\\"))) % 2 == 1


def _read(written: str) -> str:
    """Resolve the escapes in a line of a text in double quotes."""
    if "\\" not in written:
        return written
    return str(yaml.load(f'"{written}"', Loader=LOADER))  # noqa: S506 -- it gives texts only
