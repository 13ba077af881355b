"""``pegasus retry``: put jobs that did not succeed back into the queue, each of them once.

Which jobs were put back is noted by ``RetryLedger`` of the queue file; this command chooses the
jobs of a run and reports what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.errors import ExitStatus, PegasusError
from pegasus.findings import find_misfits
from pegasus.model import Entry
from pegasus.queue_file import LockedQueue, QueueFile, RetryLedger
from pegasus.record import RunRecord, choose_run, find_runs, newest_with_jobs
from pegasus.report.retried import Chosen, RetryAsked, choose, retried_words
from pegasus.run_state import JobState
from pegasus.screen import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """The command line of ``pegasus retry``.

    Attributes:
        hosts_file: is compared with what is put back, where it can be read.
        jobs: their numbers in the run; none means all that can be put back.
        run: the run's name or a part of it; None for the newest.
    """

    queue_file: Path
    hosts_file: Path = Path("hosts.yaml")
    jobs: tuple[int, ...] = ()
    run: str | None = None
    top: bool = False
    color: ColorChoice = "auto"


async def retry(settings: RetrySettings) -> ExitStatus:
    """Put jobs back.

    Returns:
        SUCCESS; JOB_FAILED, where a job that was named could not be put back.

    Raises:
        PegasusError: there is no such run, or the queue file cannot take the jobs.
    """
    return await in_foreground(partial(_retry, settings), settings.color)


async def _retry(settings: RetrySettings, screen: Screen) -> ExitStatus:
    queue = QueueFile(settings.queue_file)
    warnings: list[str] = []
    try:
        run = await trio.to_thread.run_sync(read_run, queue.real, settings.run, warnings)
    finally:
        for warning in warnings:
            screen.say(warning)
    async with queue.locked(screen.say) as locked:
        # A take that a crash interrupted may have a job for the run that its record lacks.
        await trio.to_thread.run_sync(locked.recover)
        await trio.to_thread.run_sync(run.refresh)
        work = partial(put_back, locked, run, settings.jobs, top=settings.top)
        chosen = await trio.to_thread.run_sync(work)
    asked = RetryAsked(settings.queue_file, settings.top, bool(settings.jobs))
    screen.say(*retried_words(asked, run, chosen))
    files, entries = (settings.hosts_file, settings.queue_file), list(map(_entry, chosen.jobs))
    found = await trio.to_thread.run_sync(find_misfits, *files, entries)
    for words in dict.fromkeys(misfit.words for misfit in found):
        screen.say(f"Warning: {settings.hosts_file}: {words} The job waits until that changes.")
    return ExitStatus.JOB_FAILED if settings.jobs and chosen.refused else ExitStatus.SUCCESS


def _entry(state: JobState) -> Entry:
    job = state.job
    params = tuple((name, (value,)) for name, value in job.params)
    return Entry((job.command,), params, None, job.demand)


def read_run(queue: Path, name: str | None, warnings: list[str] | None = None) -> RunRecord:
    """Read a run of a queue: the one of a name, or the newest.

    Args:
        queue: the real path of the queue file.
        name: of the run, or a part of it; None for the newest that has taken a job.
        warnings: gets a sentence for each run that cannot be read.

    Raises:
        PegasusError: there is none.
    """
    runs = find_runs(queue, warnings)
    if name is None and not runs:
        raise PegasusError(
            f"No run of {queue.name} is recorded in {queue.parent}. --queue-file names another; "
            "what ran without a record stands in consumed.yaml."
        )
    run = newest_with_jobs(runs) if name is None else choose_run(runs, name)
    run.refresh()
    return run


def put_back(
    locked: LockedQueue, run: RunRecord, numbers: Sequence[int], *, top: bool = False
) -> Chosen:
    """Put jobs of a run back into its queue, whose lock is held.

    Args:
        locked: the queue.
        run: the run, read.
        numbers: see ``choose``.
        top: before all jobs that wait, instead of after them.

    Raises:
        PegasusError: the queue file has a fault or could not be replaced; nothing was put back.
    """
    ledger = RetryLedger(locked, run.folder.path)
    chosen = choose(run, numbers, ledger.settle())
    if chosen.jobs:
        above = ledger.put_back({job.number: job.job for job in chosen.jobs}, top=top)
        return replace(chosen, above_barrier=above)
    return chosen
