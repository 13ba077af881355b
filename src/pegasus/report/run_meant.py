"""Which run a reader means that shows one run: ``logs``, ``report`` and ``results``."""

from __future__ import annotations

from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, choose_run, find_runs, newest_with_jobs
from pegasus.report.outputs import message
from pegasus.terminal_text import visible


def no_such_queue(path: str) -> PegasusError:
    """Return the error about a queue file that is not there, and of which no run is recorded."""
    return PegasusError(
        f"{path}: there is no such file, and no run of it is recorded beside it. Go to its "
        "folder, or name it with --queue-file."
    )


def run_meant(queue_file: Path, name: str | None) -> RunRecord:
    """Find a run and read it; report the runs that cannot be read on standard error.

    Args:
        queue_file: its path as the user gave it.
        name: a run's name, number or a part of the name; None for the newest run in progress, or
            the newest one where none is in progress. One that has taken no job is left out.

    Raises:
        PegasusError: there is no such run, or it can't be read.
    """
    warnings: list[str] = []
    runs = find_runs(QueueFile(queue_file).real, warnings)
    for warning in warnings:
        message(f"[Pegasus] {visible(warning)}")
    if name is not None:
        run = choose_run(runs, name)
    elif runs:
        # A run in progress comes before a newer one that is over.
        run = newest_with_jobs(sorted(runs, key=lambda run: run.alive))
    else:
        raise PegasusError(
            f"No run of {queue_file} is recorded beside it. Go to its folder, or name it with "
            "--queue-file."
        )
    run.refresh()
    return run
