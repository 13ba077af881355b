"""``pegasus status``: what runs where, what waits and what ended how, during a run or after it.

It reads the record and the queue file and never needs the run itself, so it works in any terminal
and at any time.
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pegasus.colour import wants_colour
from pegasus.errors import ExitStatus
from pegasus.queue_file import QueueFile
from pegasus.report.overview import Overview, OverviewReader
from pegasus.standard_streams import STDOUT, has_cursor, terminal_size, write

REDRAW_PERIOD = 1.0
"""Seconds between two looks of ``--watch``: durations are shown in seconds."""

RECOVERY_LOCK_WAIT = 0.5
"""Seconds to wait for the lock where a crash interrupted a take: a run that goes on holds it for
milliseconds, and completes or undoes that take itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """What the command line asks; see ``pegasus status --help``.

    Attributes:
        queue_file: its path.
        run: a run's name or a part of it; None for those that go on, otherwise the newest.
        runs: list all runs instead.
        json: for programs.
        watch: show it again and again.
    """

    queue_file: Path
    run: str | None = None
    runs: bool = False
    json: bool = False
    watch: bool = False


def status(settings: StatusSettings) -> ExitStatus:
    """Report on runs.

    Returns:
        Success, whatever the outcomes of jobs: those are in the exit status of the run.

    Raises:
        PegasusError: there is no such run, neither a record nor a queue, or it can't be read.
    """
    gc.disable()  # a journal is read into objects that all stay: collecting takes a third of a look
    queue = QueueFile(settings.queue_file)
    # Only who holds the lock can add to a record what an interrupted take has not.
    if queue.is_interrupted():
        import trio  # noqa: PLC0415 -- takes half of the time of a look, and is hardly ever needed

        trio.run(queue.recover, RECOVERY_LOCK_WAIT)
    reader = OverviewReader(settings.queue_file, settings.run, all_runs=settings.runs)
    with suppress(BrokenPipeError, KeyboardInterrupt):  # the user has seen enough
        if settings.watch:
            _watch(settings, reader)
        else:
            overview, _ = reader.read()
            write(STDOUT, _text(settings, overview))
    return ExitStatus.SUCCESS


def _text(settings: StatusSettings, overview: Overview) -> bytes:
    if settings.json:
        from pegasus.report.status_json import report_text  # noqa: PLC0415 -- rich is not needed

        return report_text(overview).encode() + b"\n"
    from pegasus.report.tables import about, written  # noqa: PLC0415 -- rich takes as long as all else

    terminal = os.isatty(STDOUT)
    width = terminal_size()[0] if terminal else None
    colour = wants_colour("auto", os.environ, terminal=terminal)
    return written(about(overview, None, width), width, colour=colour)


def _watch(settings: StatusSettings, reader: OverviewReader) -> None:
    """Show runs again and again, as long as one of them goes on."""
    overview, _ = reader.read()
    gc.freeze()  # what the journal contains so far stays: later collections need not visit it
    gc.enable()
    none_runs = not overview.running
    draws = not settings.json and os.isatty(STDOUT) and has_cursor(os.environ)
    if overview.running and draws:
        from pegasus.report.watching import redraw  # noqa: PLC0415 -- rich, as above

        redraw(overview, reader, REDRAW_PERIOD)
    else:
        while overview.running:
            write(STDOUT, _text(settings, overview))
            changed = False
            while not changed:
                time.sleep(REDRAW_PERIOD)
                overview, changed = reader.read()
    overview, _ = reader.read(exact=True)
    write(STDOUT, _text(settings, overview))
    if none_runs and not settings.json:
        write(STDOUT, b"No run of this queue goes on, so --watch ends.\n")
