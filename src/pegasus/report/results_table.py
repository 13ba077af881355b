"""The results of a run for people: an aligned table.

Rule 1: whatever a text of others contains, it takes one line here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from pegasus import duration
from pegasus.model import Stream
from pegasus.record import RunRecord
from pegasus.report.results import ResultRow, output_of, rows_of
from pegasus.slot_words import slots_text
from pegasus.terminal_text import on_one_line, visible

CELL_LIMIT = 40
"""Columns for a text; the last column, the path of the outputs, is never cut here."""

_CELL_GAP = "  "

_RIGHT = frozenset({"job", "took", "tries"})
"""Titles of the columns that are aligned to the right."""


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
    jobs = run.state.jobs.values()
    names = list(dict.fromkeys(name for job in jobs for name, _ in job.job.params))
    with_command = not names or len({job.job.command for job in jobs}) > 1
    with_slots = any(row.execution and row.execution.assignment.slots for row in found)
    with_tries = any(len(row.tries) > 1 for row in found)
    titles = ["job", *map(visible, names), *["command"] * with_command]
    titles += [
        "on",
        *["slots"] * with_slots,
        "outcome",
        "started",
        "took",
        *["tries"] * with_tries,
        "output",
    ]
    now, here = time.time(), Path.cwd()
    rows = []
    for row in found:
        params = dict(row.job.job.params)
        cells = [str(row.job.number), *(params.get(name, "") for name in names)]
        cells += [row.job.job.command] * with_command
        where, *others = _about_try(run, row, now)
        cells += [where, *[_slots(row)] * with_slots, *others, *[str(len(row.tries))] * with_tries]
        rows.append(
            [*(_cut(visible(cell), CELL_LIMIT) for cell in cells), _pattern(run, row, here)]
        )
    yield from _laid_out(titles, rows, width)


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


def _slots(row: ResultRow) -> str:
    return slots_text(row.execution.assignment.slots) if row.execution else ""


def _pattern(run: RunRecord, row: ResultRow, here: Path) -> str:
    """Give the path of both outputs, relative where it is below the current folder."""
    path = next(filter(None, (output_of(run, row, stream) for stream in Stream)), None)
    if path is None:
        return ""
    shown = os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
    return f"{visible(shown).removesuffix(path.suffix)}.*"


def _laid_out(
    titles: Sequence[str], rows: Sequence[Sequence[str]], width: int | None
) -> Iterator[str]:
    widths = [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = []
        for title, text, size in zip(titles, row, widths, strict=True):
            padding = " " * (size - cell_len(text))
            cells.append(padding + text if title in _RIGHT else text + padding)
        line = _CELL_GAP.join(cells).rstrip()
        yield line if width is None else _cut(line, width - 1)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
