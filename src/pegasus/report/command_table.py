"""A table of commands for people: the lines of its rows, for a terminal of any width.

Rule 1: whatever a text of others contains, it takes one line here.
Rule 2: a row costs microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from pegasus import duration, terminal_text
from pegasus.report.cutting import CUT_SIGN, cut_together
from pegasus.run_state import Execution, JobState
from pegasus.slot_words import slots_text

WORDS_WIDTH = 24
"""Columns for a sub-node's name, for slots, and for an outcome. Longer ones continue in the next
row, which leaves room for some of the command in 80 columns."""

_LEAST_COMMAND = 16
"""Columns for a command beside a column of slots, where the width is that of a usual terminal."""

_USUAL_WIDTH = 72

_GAP = 2
"""Columns between two columns of a table."""

_LAID_OUT_COMMAND = 2000
"""Characters of a command that are looked at for a terminal; what differs is usually among them."""

UNLIMITED = 1_000_000_000
"""The width of a pipe or a file: there nothing is cut or folded."""

_ALIGNED_WIDTH = 60
"""The greatest width of a column in a pipe or a file. A longer text moves only its own row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Lines of a table, laid out."""

    lines: Sequence[str]


ReportPart: TypeAlias = Text | Rows
"""A paragraph, which is wrapped where it is shown, or lines of a table."""


def visible(text: str) -> str:
    """Put a text on one line, as wide as it will be written, also what UTF-8 cannot express."""
    return terminal_text.visible(text).encode("utf-8", "backslashreplace").decode()


def on_one_line(words: str) -> str:
    """Do the same with the words of a node or of ssh, which may be long and of several lines."""
    return visible(terminal_text.on_one_line(words))


_CONSOLE = Console()
"""What rich asks for the width of tabs, which no text here contains."""


@lru_cache(maxsize=1024)  # the same outcome is shown again and again
def folded(text: str, width: int) -> list[str]:
    """Break a text into lines, between words where it can be."""
    lines = Text(text).wrap(_CONSOLE, width, overflow="fold")
    return [line.plain.rstrip() for line in lines]


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command in a table; its outcome where the table has a column for it.

    Attributes:
        job: its job.
        execution: its try; None where it has none.
        outcome: the words of a column of their own.
    """

    job: JobState
    execution: Execution | None
    outcome: str | None

    def cells(self, width: int, *, with_slots: bool, with_outcome: bool) -> list[str]:
        """Give what stands before the command, for a table of so many columns."""
        most = UNLIMITED if width == UNLIMITED else 2 * WORDS_WIDTH
        slots = [cut_cells(visible(self.slots), most)] if with_slots else []
        outcome = [on_one_line(self.outcome or "")] if with_outcome else []
        return [str(self.job.number), self._where(), *slots, *outcome, self._time()]

    @property
    def slots(self) -> str:
        """The slots that it holds or held; empty where there are none."""
        return slots_text(self.execution.assignment.slots) if self.execution else ""

    def command(self, width: int) -> str:
        """Give the command; of a very long one the middle is left out on a terminal."""
        command = self.execution.command if self.execution else None
        text, half = self.job.job.command if command is None else command, _LAID_OUT_COMMAND // 2
        is_long = width != UNLIMITED and len(text) > _LAID_OUT_COMMAND
        return visible(f"{text[:half]}{CUT_SIGN}{text[-half:]}" if is_long else text)

    def _where(self) -> str:
        return visible(str(self.execution.sub_node)) if self.execution else ""

    def _time(self) -> str:
        execution = self.execution
        if execution is None:
            return ""
        if execution.seconds is not None:
            return duration.words(execution.seconds)
        if execution.started_at is None or not (self.outcome is None or execution.outlives_pegasus):
            return ""  # Pegasus was killed: the time of the end is unknown
        return duration.words(max(0.0, time.time() - execution.started_at))


def table_of(title: str, took: str, rows: Sequence[CommandRow], width: int) -> Iterator[ReportPart]:
    """Lay out rows; a command is cut where it has no room, all else continues in the next row."""
    if not rows:
        return
    words, slots = _WORDS_TITLES.get(title), any(row.slots for row in rows)
    titles = ["job", "on", *["slots"] * slots, *filter(None, [words]), took]
    cells = [row.cells(width, with_slots=slots, with_outcome=words is not None) for row in rows]
    commands = [row.command(width) for row in rows]
    widths = _widths(titles, cells, width)
    rest = max(width - sum(widths) - _GAP * len(widths) - _GAP, 1)
    if width != UNLIMITED:
        commands = cut_together(commands, rest, [row.job.job.params for row in rows])
    yield Text(f"\n{title}", style="bold red" if title == "Failed" else "")
    header = _line_of([*titles, "command"], titles, widths)
    yield Text(header, style="bold", no_wrap=True, overflow="crop")
    lines: list[str] = []
    for command, texts in zip(commands, cells, strict=True):
        lines += (
            [_line_of([*texts, command], titles, widths)]
            if width == UNLIMITED
            else (_lines_of([*texts, command], titles, [*widths, rest]))
        )
    yield Rows(lines)


def _widths(titles: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Give the widths of the columns before the command: folded more where the width is small."""
    longest = [
        max(cell_len(title), *(cell_len(row[i]) for row in cells)) for i, title in enumerate(titles)
    ]
    if width == UNLIMITED:
        return [min(each, _ALIGNED_WIDTH) for each in longest]
    least = _LEAST_COMMAND if "slots" in titles and width >= _USUAL_WIDTH else 0
    for limit in range(WORDS_WIDTH, 0, -1):
        widths = [
            min(each, limit) if title in _TEXT_COLUMNS else each
            for title, each in zip(titles, longest, strict=True)
        ]
        if sum(widths) + _GAP * (len(widths) + 1) + least < width:
            break
    return widths


_WORDS_TITLES = {"Failed": "outcome", "Detached": "state"}
"""The tables with a column of words, and its title."""

_TEXT_COLUMNS = frozenset({"on", "slots", "outcome", "state"})
"""Columns that are aligned to the left, and folded."""


def cut_cells(text: str, width: int) -> str:
    """Cut a text that takes more cells; the last one shows that."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _lines_of(texts: Sequence[str], titles: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Lay out a row: one line, and more where a cell is folded."""
    pieces = [
        [text] if cell_len(text) <= width else folded(text, width)
        for text, width in zip(texts, widths, strict=True)
    ]
    height = max(map(len, pieces))
    if height == 1:
        return [_line_of(texts, titles, widths[:-1])]
    columns = [[*each, *[""] * (height - len(each))] for each in pieces]
    return [_line_of(line, titles, widths[:-1]) for line in zip(*columns, strict=True)]


def _line_of(texts: Sequence[str], titles: Sequence[str], widths: Sequence[int]) -> str:
    """Lay out a line; the last text is of the command, which is not padded."""
    cells = []
    for title, text, width in zip(titles, texts[:-1], widths, strict=True):
        padding = " " * (width - cell_len(text))
        cells.append(text + padding if title in _TEXT_COLUMNS else padding + text)
    return (" " * _GAP).join([*cells, texts[-1]]).rstrip()
