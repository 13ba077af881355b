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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pegasus import grid
from pegasus.commands.tables import about_run, table_of_runs, visible
from pegasus.errors import ExitStatus, FileFault, PegasusError
from pegasus.queue_file import QueueFile
from pegasus.record import (
    RunRecord,
    UnreadableRecords,
    choose_run,
    current_runs,
    find_runs,
    report_of,
)
from pegasus.standard_streams import STDOUT, write

REDRAW = 1.0
"""Seconds between two looks of ``--watch``: durations are shown in seconds."""

WATCHED = 10
"""How many rows of a table ``--watch`` shows at most: what is off the screen can't be seen."""

NARROW = 80
"""Columns where there is no terminal to ask: what everything fits."""


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
            write(STDOUT, view.text())
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
        self._warnings: list[str] = []
        self._waiting = Waiting(None)

    def look(self) -> bool:
        """Read on, and tell whether anything changed."""
        before = [run.name for run in self._runs], self._warnings
        self._warnings = []
        self._runs = [self._known.setdefault(run.name, run) for run in self._asked_for()]
        changed = [self._refresh(run) for run in self._runs]
        state = self._queue.state()
        if (seen := (state, self._queue.real)) != self._seen:
            self._seen, self._waiting = seen, _waiting(self._queue)
            changed.append(True)
        return any(changed) or before != ([run.name for run in self._runs], self._warnings)

    def _refresh(self, run: RunRecord) -> bool:
        """Read on in a run; one that was removed meanwhile is shown once more, as it was."""
        try:
            return run.refresh()
        except PegasusError as error:
            self._warnings.append(str(error))
            return False

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
            return Group(table_of_runs(self._runs), *self._rest())
        shown = [part for run in self._runs for part in about_run(run, most, width)]
        return Group(*shown, *self._rest(), _about_queue(self._queue.path, self._waiting))

    def _asked_for(self) -> list[RunRecord]:
        try:
            runs = find_runs(self._queue.real, self._warnings)
        except UnreadableRecords as error:
            runs, self._warnings = [], [str(error)]
        if not runs and self._settings.run is None and self._queue.state() is None:
            raise PegasusError(
                f"{self._queue.path}: there is no such file, and no run of it is recorded beside "
                "it. Go to its folder, or name it with --queue-file."
            )
        if self._settings.run is not None:
            return [choose_run(runs, self._settings.run)]
        return runs if self._settings.runs else current_runs(runs)

    def _rest(self) -> list[Text]:
        """Say what could not be read, and where there is nothing that there is nothing."""
        nothing = [] if self._runs else [Text("No run of this queue is recorded.")]
        return [*(Text(f"Mind: {visible(warning)}") for warning in self._warnings), *nothing]

    def _report(self) -> object:
        with_jobs = not self._settings.runs
        waiting = self._waiting
        queue = self._queue.path, waiting.jobs, waiting.fault
        return report_of(*queue, self._runs, self._warnings, with_jobs=with_jobs)


def _watch(view: _View) -> None:
    if view._settings.json or not os.isatty(1):  # noqa: SLF001 -- a friend, in the same file
        while True:
            if view.look():
                write(STDOUT, view.text())
            time.sleep(REDRAW)
    console = Console(file=sys.stdout)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            view.look()
            live.update(view.shown(WATCHED, console.width), refresh=True)
            time.sleep(REDRAW)


def _columns() -> int:
    with suppress(OSError):
        return os.get_terminal_size(1).columns or NARROW
    return NARROW


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
