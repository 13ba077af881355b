"""The results of a run for people: an aligned table.

Rule 1: whatever a text of others contains, it takes one line here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from pegasus import duration
from pegasus.model import Stream
from pegasus.record import RunRecord
from pegasus.report.cutting import cut_together
from pegasus.report.results import ResultRow, output_of, rows_of
from pegasus.slot_words import slots_text
from pegasus.terminal_text import on_one_line, visible

CELL_LIMIT = 40
"""Columns for a text on a terminal; the last column, the path of the outputs, is never cut."""

_ALIGNED_CELLS = 60
"""The greatest width of a column that is not cut. A longer text moves only its own row."""

_CELL_GAP = "  "

_LEAST_SHORTENED = 12
"""Cells for a command: fewer do not tell anything."""

_RIGHT = frozenset({"job", "took", "tries"})
"""The columns that are aligned to the right."""

_LEAST_IMPORTANT = ("output", "started", "command", "on")
"""What a narrow terminal does without, in this order; a command is shortened instead."""


class _Column:
    """A column of the table.

    Args:
        kind: what it contains; empty for a parameter.
        texts: a text for each row.
        title: None for the kind.
    """

    def __init__(
        self,
        kind: str,
        texts: Iterable[str],
        *,
        title: str | None = None,
    ) -> None:
        self.kind = kind
        self.title = kind if title is None else visible(title)
        self._texts = [visible(text) for text in texts]
        self.shorten(None)

    def shorten(self, limit: int | None) -> None:
        """Shorten the texts to so many cells, or to any; what distinguishes commands stays."""
        if limit is None:
            self.cells = self._texts
        elif self.kind == "command":
            self.cells = cut_together(self._texts, limit)
        else:
            self.cells = [_cut(text, limit) for text in self._texts]
        longest = max(cell_len(self.title), *map(cell_len, self.cells))
        self.width = min(longest, _ALIGNED_CELLS) if limit is None else longest

    def laid_out(self, text: str) -> str:
        """Give a cell with its padding."""
        padding = " " * (self.width - cell_len(text))
        return padding + text if self.kind in _RIGHT else text + padding


def table_lines(run: RunRecord, width: int | None) -> Iterator[str]:
    """Lay out the results, with a header.

    The parameters are columns; the command is one where the parameters do not identify a job.

    Args:
        run: the run, read.
        width: columns of the terminal; None for no limit.
    """
    found = list(rows_of(run))
    if not found:
        yield "Nothing was taken yet." if run.liveness == "running" else "Nothing was taken."
        return
    columns = list(_columns(run, found))
    for column in columns[:-1]:
        column.shorten(None if width is None else CELL_LIMIT)
    if width is not None:
        columns = _narrowed(columns, width)
    titles = [column.title for column in columns]
    for row in (titles, *zip(*(column.cells for column in columns), strict=True)):
        cells = [column.laid_out(text) for column, text in zip(columns, row, strict=True)]
        line = _CELL_GAP.join(cells).rstrip()
        yield line if width is None else _cut(line, width - 1)


def _columns(run: RunRecord, found: Sequence[ResultRow]) -> Iterator[_Column]:
    jobs = run.state.jobs.values()
    names = list(dict.fromkeys(name for job in jobs for name, _ in job.job.params))
    yield _Column("job", (str(row.job.number) for row in found))
    params = [dict(row.job.job.params) for row in found]
    for name in names:
        yield _Column("", (given.get(name, "") for given in params), title=name)
    if not names or len({job.job.command for job in jobs}) > 1:
        yield _Column("command", map(_command, found))
    now, here = time.time(), Path.cwd()
    tries = [_about_try(run, row, now) for row in found]
    yield _Column("on", (each[0] for each in tries))
    if any(row.execution and row.execution.assignment.slots for row in found):
        yield _Column("slots", map(_slots, found))
    for place, kind in enumerate(("outcome", "started", "took"), 1):
        yield _Column(kind, (each[place] for each in tries))
    if any(len(row.tries) > 1 for row in found):
        yield _Column("tries", (str(len(row.tries)) for row in found))
    yield _Column("output", (_pattern(run, row, here) for row in found))


def _narrowed(columns: list[_Column], width: int) -> list[_Column]:
    """Leave out and shorten what matters least, until the rows fit.

    A pipe, ``--csv`` and ``--json`` have all of it. Parameters always stay.
    """
    for kind in _LEAST_IMPORTANT:
        gaps = len(_CELL_GAP) * (len(columns) - 1)
        excess = sum(column.width for column in columns) + gaps - (width - 1)
        if excess <= 0:
            break
        if kind == "command":
            for column in columns:
                if column.kind == kind:
                    column.shorten(max(_LEAST_SHORTENED, column.width - excess))
        else:
            columns = [column for column in columns if column.kind != kind]
    return columns


def _about_try(run: RunRecord, row: ResultRow, now: float) -> list[str]:
    """Give sub-node, outcome, start and duration."""
    outcome = row.word if row.outcome is None else on_one_line(str(row.outcome))
    execution = row.execution
    if execution is None:
        return ["", outcome, "", ""]
    started, seconds = "", execution.seconds
    if execution.started_at is not None:
        started = datetime.fromtimestamp(execution.started_at).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 -- as the user's clock shows it
        if execution.outcome is None and (run.alive or execution.outlives_pegasus):
            seconds = max(0.0, now - execution.started_at)
    took = "" if seconds is None else duration.words(seconds)
    return [str(execution.sub_node), outcome, started, took]


def _command(row: ResultRow) -> str:
    """Give the command as it ran; its template where it has not run."""
    return row.execution.assignment.command if row.execution else row.job.job.command


def _slots(row: ResultRow) -> str:
    return slots_text(row.execution.assignment.slots) if row.execution else ""


def _pattern(run: RunRecord, row: ResultRow, here: Path) -> str:
    """Give the path of both outputs, relative where it is below the current folder."""
    path = next(filter(None, (output_of(run, row, stream) for stream in Stream)), None)
    if path is None:
        return ""
    shown = os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
    return f"{visible(shown).removesuffix(path.suffix)}.*"


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
