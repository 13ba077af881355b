"""``pegasus wait``: wait until a run, or a job in it, has ended, and give its exit status.

It reads the record and writes nothing, so it works in any terminal, and its end changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus import duration
from pegasus.errors import ExitStatus, PegasusError
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, find_runs
from pegasus.report.ends import EndFound, end_of_job, end_of_run
from pegasus.report.job_numbers import numbers_words
from pegasus.report.left import follower_words
from pegasus.report.outputs import message
from pegasus.report.run_meant import run_meant
from pegasus.standard_streams import STDOUT, write
from pegasus.terminal_text import visible

WAIT_POLL = 0.5
"""Seconds between two looks at the record: each reads only what is new."""

WAIT_NOTICE_AFTER = 1.0
"""Seconds after which a wait is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitSettings:
    """The command line; see ``pegasus wait --help``.

    Attributes:
        job: the number of a job; None for the whole run.
        run: the run's name or a part of it; None for the newest in progress, else the newest.
        every: whether all runs in progress are waited for.
        limit: seconds to wait; None for no limit.
    """

    queue_file: Path
    job: int | None = None
    run: str | None = None
    every: bool = False
    limit: float | None = None


def wait(settings: WaitSettings) -> int:
    """Wait for the end, and print the outcome in a line for each run.

    Returns:
        The exit status of the run, or of the job: 0 or 1; the highest of several. TIMED_OUT where
        the limit has passed.

    Raises:
        PegasusError: the command line contradicts itself, or there is no such run or job.
    """
    if settings.every and (settings.run is not None or settings.job is not None):
        raise PegasusError("--all means every run in progress. Leave out --run and the job.")
    runs = _going_on(settings.queue_file) if settings.every else None
    if runs is None:
        runs = [run_meant(settings.queue_file, settings.run)]
    elif not runs:
        _say("No run of this queue is in progress.")
    try:
        return _wait(settings, runs)
    except KeyboardInterrupt:
        _say("Waiting has ended. This changes nothing in the run.")
        return ExitStatus.INTERRUPTED


def _going_on(queue_file: Path) -> Sequence[RunRecord]:
    """Find the runs in progress, and say which runs cannot be read."""
    warnings: list[str] = []
    runs = find_runs(QueueFile(queue_file).real, warnings)
    for warning in warnings:
        _say(warning)
    return [run for run in runs if run.alive]


def _wait(settings: WaitSettings, runs: Sequence[RunRecord]) -> int:
    began, notice_at = time.monotonic(), WAIT_NOTICE_AFTER
    status = int(ExitStatus.SUCCESS)
    waiting = list(runs)
    while True:
        for run in waiting.copy():
            run.refresh()
            if (end := _end(settings, run)) is not None:
                waiting.remove(run)
                write(STDOUT, f"{end.words}\n".encode("utf-8", "backslashreplace"))
                status = max(status, end.status)
        if not waiting:
            return status
        waited = time.monotonic() - began
        if settings.limit is not None and waited >= settings.limit:
            for run in waiting:
                _say(_late(settings, run, duration.words(waited)))
            return ExitStatus.TIMED_OUT
        if waited >= notice_at:
            notice_at = float("inf")
            for run in waiting:
                paused = ", which is paused" if run.state.is_paused else ""
                _say(f"waiting for {_what(settings, run)} ({follower_words(run)}){paused}")
        left = WAIT_POLL if settings.limit is None else settings.limit - waited
        time.sleep(min(WAIT_POLL, max(0.0, left)))


def _end(settings: WaitSettings, run: RunRecord) -> EndFound | None:
    return end_of_run(run) if settings.job is None else end_of_job(run, settings.job)


def _late(settings: WaitSettings, run: RunRecord, within: str) -> str:
    """Say that the time has passed, and which jobs there are where the job is none of them."""
    jobs = run.state.jobs
    if settings.job is None or settings.job in jobs:
        what = _what(settings, run)
        return f"{what[:1].upper()}{what[1:]} has not ended within {within}."
    return (
        f"Run {run.name} has not taken a job {settings.job} within {within}; "
        f"{numbers_words(jobs)} so far. `pegasus logs --run {run.name}` lists its jobs."
    )


def _what(settings: WaitSettings, run: RunRecord) -> str:
    job = "" if settings.job is None else f"job {settings.job} of "
    return f"{job}run {run.name}"


def _say(words: str) -> None:
    message(f"[Pegasus] {visible(words)}")
