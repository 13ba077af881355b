"""Runs as people see them: what runs where, what ended how, as text and tables.

Rule 1: whatever a text of others contains, it takes one line here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from pegasus import duration, terminal_text
from pegasus.model import Outcome, succeeded
from pegasus.record import Execution, JobRecord, RunRecord

LATEST = 5
"""How many of the commands that succeeded are shown: the last ones, to see that it goes on."""

WORDS = 24
"""Columns for a sub-node's name, and for an outcome; longer ones go on in the next row, so that
there is room for some of the command in 80."""

GAP = 2
"""Columns between two columns of a table."""

_LONGEST_COMMAND = 500
"""Characters of a command that are laid out at all; more fit no terminal."""


def visible(text: str) -> str:
    """Put a text into one line, as wide as it will be written: also what UTF-8 cannot say."""
    return terminal_text.visible(text).encode("utf-8", "backslashreplace").decode()


def on_one_line(words: str) -> str:
    """Do the same with what a node or ssh said, which may be long and of several lines."""
    return visible(terminal_text.on_one_line(words))


# A run.


def about_run(run: RunRecord, most: int | None, width: int) -> Iterator[RenderableType]:
    """Lay out a run.

    Args:
        run: it, read.
        most: rows of a table; None for all.
        width: columns.
    """
    yield Text(_headline(run), style="bold")
    for warning in run.warnings:
        yield Text(f"Mind: {warning}.")
    yield Text(_counts(run))
    if run.state == "running":
        yield from _about_nodes(run, most)
    running, failed, succeeded_ = _rows(run)
    if running:
        yield _table(run, "Running", "for", running, most=most, width=width)
    if failed:
        yield _table(run, "Failed", "after", failed, most=most, width=width)
    if succeeded_:
        title = "Succeeded" if len(succeeded_) <= LATEST else f"Succeeded, the last {LATEST}"
        yield _table(run, title, "after", succeeded_[-LATEST:], most=most, width=width)
    yield Text()


def _headline(run: RunRecord) -> str:
    facts, end = run.facts, run.end
    where = f"process {facts.pid} on {visible(facts.host)}"
    began = f"Run {visible(run.name)} ({facts.mode})"
    if end is not None:
        status = "" if end.exit_status is None else f", exit status {end.exit_status}"
        took = duration.words(max(0.0, end.at - facts.started_at))
        return f"{began}: {visible(end.how)} after {took}{status}"
    if run.alive:
        took = duration.words(max(0.0, time.time() - facts.started_at))
        return f"{began}: for {took}, {where}"
    return f"{began}: {where}, was killed; last seen {_date(run.last_at)}"


def _counts(run: RunRecord) -> str:
    counts = run.counts()
    if not counts:
        return "Nothing was taken yet." if run.state == "running" else "Nothing was taken."
    first = [word for word in ("running", "taken") if word in counts]
    words = first + [word for word in counts if word not in first]
    return ", ".join(f"{counts[word]:,} {word}" for word in words) + "."


def _about_nodes(run: RunRecord, most: int | None) -> Iterator[Text]:
    records = list(run.sub_nodes.values())
    connecting = sum(record.state == "connecting" for record in records)
    if connecting:
        yield Text(f"{connecting} of {len(records)} sub-nodes are not connected yet.")
    for record in [record for record in records if record.state == "unreachable"][:most]:
        name, words = visible(str(record.sub_node)), on_one_line(record.words)
        yield Text(f"{name} cannot be reached: {words}", overflow="ellipsis", no_wrap=True)


@dataclass(frozen=True, slots=True)
class _Row:
    job: JobRecord
    execution: Execution | None
    outcome: Outcome | None

    @property
    def rank(self) -> float:
        """Order rows by when they ended; what has no end ended with its Pegasus."""
        return (self.execution.rank if self.execution else 0) or math.inf


def _rows(run: RunRecord) -> tuple[list[_Row], list[_Row], list[_Row]]:
    """Give what runs, what did not succeed and what did, the latest last."""
    running: list[_Row] = []
    failed: list[_Row] = []
    succeeded_: list[_Row] = []
    for job in run.jobs.values():
        executions: Sequence[Execution | None] = run.final(job) or [None]
        for execution, outcome in zip(executions, run.outcomes(job), strict=True):
            row = _Row(job, execution, outcome)
            if outcome is not None:
                (succeeded_ if succeeded(outcome) else failed).append(row)
            elif execution is not None and execution.outcome is None:
                running.append(row)
    failed.sort(key=lambda row: row.rank)
    succeeded_.sort(key=lambda row: row.rank)
    return running, failed, succeeded_


def _table(
    run: RunRecord, title: str, took: str, rows: Sequence[_Row], *, most: int | None, width: int
) -> RenderableType:
    """Lay out rows; what a command has no room for is cut, all else goes on in the next row."""
    shown = rows if most is None else rows[-most:]
    titles = ["job", "on", "outcome", took] if title == "Failed" else ["job", "on", took]
    cells = [_cells(run, row, titles) for row in shown]
    table = Table(box=None, padding=(0, GAP, 0, 0), show_edge=False)
    for column, name in enumerate(titles):
        longest = max(cell_len(name), *(cell_len(row[column]) for row in cells))
        of_words = name in {"on", "outcome"}
        room = min(longest, WORDS) if of_words else longest
        justify: Literal["left", "right"] = "left" if of_words else "right"
        table.add_column(name, width=room, justify=justify, overflow="fold")
        width -= room + GAP
    table.add_column("command", width=max(width - GAP, 1), no_wrap=True, overflow="ellipsis")
    for row, texts in zip(shown, cells, strict=True):
        table.add_row(*(Text(text) for text in [*texts, _command(row)]))
    left_out = len(rows) - len(shown)
    more = [Text(f"and {left_out:,} before; without --watch all are shown")] if left_out else []
    return Group(Text(f"\n{title}"), table, *more)


def _cells(run: RunRecord, row: _Row, titles: Sequence[str]) -> list[str]:
    outcome = [on_one_line(str(row.outcome))] if "outcome" in titles else []
    return [str(row.job.number), _where(run, row), *outcome, _time(row)]


def _where(run: RunRecord, row: _Row) -> str:
    if row.execution is None:
        return ""
    record = run.sub_nodes.get(row.execution.sub_node)
    return visible(str(record.sub_node)) if record else str(row.execution.sub_node)


def _time(row: _Row) -> str:
    if row.execution is None:
        return ""
    if row.execution.seconds is not None:
        return duration.words(row.execution.seconds)
    if row.outcome is not None or row.execution.started_at is None:
        return ""  # it died, nobody knows when
    return duration.words(max(0.0, time.time() - row.execution.started_at))


def _command(row: _Row) -> str:
    command = row.execution.command if row.execution else None
    return visible((row.job.job.command if command is None else command)[:_LONGEST_COMMAND])


# All runs.


def table_of_runs(runs: Sequence[RunRecord]) -> RenderableType:
    """Lay out runs, one in a row."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("jobs", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("outcomes", ratio=1, overflow="fold")
    for run in runs:
        cells = [run.name, _date(run.facts.started_at), run.end.how if run.end else run.state]
        cells += [f"{len(run.jobs):,}", decimal(run.size()), _counts(run).rstrip(".")]
        table.add_row(*(Text(visible(cell)) for cell in cells))
    return table if runs else Text()


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
