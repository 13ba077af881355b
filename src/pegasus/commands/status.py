"""``pegasus status``: what runs where, what waits, what ended how; of runs that go on or are over.

It reads the record and the queue file, and never needs the run itself: any terminal will do, and
any time.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pegasus import duration, grid, terminal_text
from pegasus.errors import ExitStatus, FileFault, PegasusError
from pegasus.model import Outcome, succeeded
from pegasus.queue_file import QueueFile
from pegasus.record import (
    Execution,
    JobRecord,
    RunRecord,
    choose_run,
    current_runs,
    find_runs,
    report_of,
)

REDRAW = 1.0
"""Seconds between two looks of ``--watch``: durations are shown in seconds."""

LATEST = 5
"""How many of the commands that succeeded are shown: the last ones, to see that it goes on."""

WATCHED = 10
"""How many rows of a table ``--watch`` shows at most: what is off the screen can't be seen."""

NARROW = 80
"""Columns where there is no terminal to ask: what everything fits."""

WORDS = 24
"""Columns for a sub-node's name, and for an outcome; longer ones go on in the next row, so that
there is room for some of the command in 80."""

GAP = 2
"""Columns between two columns of a table."""

_LONGEST_COMMAND = 500
"""Characters of a command that are laid out at all; more fit no terminal."""


LOCK_PATIENCE = 0.5
"""Seconds to wait for the lock where a crash left something to be brought to its end: a run that
lives takes its jobs in milliseconds, and would do the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """What the command line asks; see ``pegasus status --help``.

    Attributes:
        queue_file: the queue's.
        run: a run's name, or a part of it; None for those that go on, else for the newest.
        runs: list all runs instead.
        json: for programs.
        watch: again and again.
    """

    queue_file: Path
    run: str | None = None
    runs: bool = False
    json: bool = False
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is in the queue file: how many jobs (None: there is no file), and the first fault."""

    jobs: int | None
    fault: str | None = None


def status(settings: StatusSettings) -> ExitStatus:
    """Say how things are.

    Returns:
        Success, whatever became of the jobs; that is what the run's own exit status is for.

    Raises:
        PegasusError: there is no such run, neither a record nor a queue, or it can't be read.
    """
    queue = QueueFile(settings.queue_file)
    # A crash may have kept back from a record what only the next to hold the lock can hand over.
    if queue.is_interrupted():
        import trio  # noqa: PLC0415 -- half of the time of a look, and hardly ever needed

        trio.run(queue.recover, LOCK_PATIENCE)
    view = _View(settings)
    try:
        if settings.watch:
            _watch(view)
        else:
            view.look()
            _write(view.text())
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # whoever asked has seen enough
    return ExitStatus.SUCCESS


class _View:
    """What was asked for, as it is now; ``look`` looks again."""

    def __init__(self, settings: StatusSettings) -> None:
        self._settings = settings
        self._queue = QueueFile(settings.queue_file)
        self._known: dict[str, RunRecord] = {}
        self._seen: object = ()
        self._runs: list[RunRecord] = []
        self._waiting = Waiting(None)

    def look(self) -> bool:
        """Read on, and tell whether anything changed."""
        names = [run.name for run in self._runs]
        self._runs = [self._known.setdefault(run.name, run) for run in self._asked_for()]
        changed = [run.refresh() for run in self._runs]
        state = self._queue.state()
        if (seen := (state, self._queue.real)) != self._seen:
            self._seen, self._waiting = seen, _waiting(self._queue)
            changed.append(True)
        return any(changed) or names != [run.name for run in self._runs]

    def text(self) -> bytes:
        """Say it all at once."""
        if self._settings.json:
            return json.dumps(self._report()).encode() + b"\n"
        terminal = os.isatty(1)
        file = io.StringIO()
        width = _columns() if terminal else NARROW
        console = Console(file=file, width=width, force_terminal=terminal, legacy_windows=False)
        console.print(self.shown(None, width))
        return file.getvalue().encode("utf-8", "backslashreplace")

    def shown(self, most: int | None, width: int) -> RenderableType:
        """Lay it out in so many columns, with so many rows a table at most."""
        if self._settings.runs:
            return Group(_table_of_runs(self._runs), *self._nothing())
        shown = [part for run in self._runs for part in _about_run(run, most, width)]
        return Group(*shown, *self._nothing(), _about_queue(self._queue.path, self._waiting))

    def _asked_for(self) -> list[RunRecord]:
        runs = find_runs(self._queue.real)
        if not runs and self._settings.run is None and self._queue.state() is None:
            raise PegasusError(
                f"{self._queue.path}: there is no such file, and no run of it is recorded beside "
                "it. Go to its folder, or name it with --queue-file."
            )
        if self._settings.run is not None:
            return [choose_run(runs, self._settings.run)]
        return runs if self._settings.runs else current_runs(runs)

    def _nothing(self) -> list[Text]:
        return [] if self._runs else [Text("No run of this queue is recorded.")]

    def _report(self) -> object:
        with_jobs = not self._settings.runs
        waiting = self._waiting
        return report_of(
            self._queue.path, waiting.jobs, waiting.fault, self._runs, with_jobs=with_jobs
        )


def _watch(view: _View) -> None:
    if view._settings.json or not os.isatty(1):  # noqa: SLF001 -- a friend, in the same file
        while True:
            if view.look():
                _write(view.text())
            time.sleep(REDRAW)
    console = Console(file=sys.stdout)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            view.look()
            live.update(view.shown(WATCHED, console.width), refresh=True)
            time.sleep(REDRAW)


def _write(data: bytes) -> None:
    """Write to standard output, past Python's buffer: nothing is left to be flushed at the end."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


def _columns() -> int:
    with suppress(OSError):
        return os.get_terminal_size(1).columns or NARROW
    return NARROW


def visible(text: str) -> str:
    """Put a text into one line, as wide as it will be written: also what UTF-8 cannot say."""
    return terminal_text.visible(text).encode("utf-8", "backslashreplace").decode()


def on_one_line(words: str) -> str:
    """Do the same with what a node or ssh said, which may be long and of several lines."""
    return visible(terminal_text.on_one_line(words))


# What waits.


def _waiting(queue: QueueFile) -> Waiting:
    if queue.state() is None:
        return Waiting(None)
    jobs, fault = 0, None
    for entry in queue.entries():
        if isinstance(entry, FileFault):
            fault = fault or str(entry)
        else:
            jobs += grid.count(entry)
    return Waiting(jobs, fault)


def _about_queue(path: str, waiting: Waiting) -> Text:
    if waiting.jobs is None:
        return Text(f"{visible(path)}: there is no such file.")
    noun = "job waits" if waiting.jobs == 1 else "jobs wait"
    text = f"{waiting.jobs:,} {noun} in {visible(path)}."
    return Text(f"{text}\n{visible(waiting.fault)}" if waiting.fault else text)


# A run.


def _about_run(run: RunRecord, most: int | None, width: int) -> Iterator[RenderableType]:
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
        took = duration.words(end.at - facts.started_at)
        return f"{began}: {visible(end.how)} after {took}{status}"
    if run.alive:
        return f"{began}: for {duration.words(time.time() - facts.started_at)}, {where}"
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
    def ended_at(self) -> float:
        return (self.execution and self.execution.ended_at) or self.job.taken_at


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
    failed.sort(key=lambda row: row.ended_at)
    succeeded_.sort(key=lambda row: row.ended_at)
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


def _table_of_runs(runs: Sequence[RunRecord]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("jobs", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("outcomes", ratio=1)
    for run in runs:
        cells = [run.name, _date(run.facts.started_at), run.end.how if run.end else run.state]
        cells += [f"{len(run.jobs):,}", decimal(run.size()), _counts(run).rstrip(".")]
        table.add_row(*(Text(visible(cell)) for cell in cells))
    return table if runs else Text()


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
