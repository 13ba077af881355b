"""``pegasus retry``: put jobs that did not succeed back into the queue, each of them once.

Which jobs were put back is noted by ``RetryLedger`` of the queue file; this command chooses the
jobs of a run and reports what was done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.errors import ExitStatus, PegasusError
from pegasus.findings import find_misfits
from pegasus.model import Entry, Outcome, succeeded
from pegasus.queue_file import LockedQueue, QueueFile, RetryLedger
from pegasus.record import RunRecord, choose_run, find_runs
from pegasus.report.left import may_run_words
from pegasus.run_state import JobState
from pegasus.screen import Screen
from pegasus.terminal_text import on_one_line

MOST_JOBS_SHOWN = 20
"""Jobs that are listed one by one; the others are only counted."""

_SHOWN_COMMAND = 100
_SHOWN_NODES = 3


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


@dataclass(frozen=True, slots=True)
class Chosen:
    """The jobs to put back, and the reasons for the others, by number.

    Attributes:
        above_barrier: whether they were put before all others because of a barrier.
    """

    jobs: tuple[JobState, ...]
    refused: dict[int, str]
    above_barrier: bool = False


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
    screen.say(*_words(settings, run, chosen))
    files, entries = (settings.hosts_file, settings.queue_file), list(map(_entry, chosen.jobs))
    found = await trio.to_thread.run_sync(find_misfits, *files, entries)
    for words in dict.fromkeys(found):
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
        name: of the run, or a part of it; None for the newest.
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
    run = runs[-1] if name is None else choose_run(runs, name)
    run.refresh()
    return run


def choose(run: RunRecord, numbers: Sequence[int], back: Collection[int]) -> Chosen:
    """Separate the jobs that can be put back from those that cannot.

    Args:
        run: the run, read.
        numbers: of the wanted jobs; none means all.
        back: the numbers of those that were put back before.
    """
    wanted = sorted(set(numbers)) or list(run.state.jobs)
    going_on = may_run_words(run)
    refused = {number: _refusal(run, number, back, going_on) for number in wanted}
    return Chosen(
        tuple(run.state.jobs[number] for number, why in refused.items() if not why),
        {number: why for number, why in refused.items() if why},
    )


def _refusal(
    run: RunRecord, number: int, back: Collection[int], going_on: Mapping[int, str]
) -> str:
    """Give the reason why a job cannot be put back; empty if it can."""
    job = run.state.jobs.get(number)
    if job is None:
        return "there is no such job in this run"
    if number in going_on:
        return going_on[number]
    outcomes = run.state.outcomes(job)
    if None in outcomes:
        return "it still runs" if job.executions else "it is about to start"
    if all(outcome is not None and succeeded(outcome) for outcome in outcomes):
        return "it succeeded"
    return "it was put back before" if number in back else ""


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


# Messages.


def _words(settings: RetrySettings, run: RunRecord, chosen: Chosen) -> list[str]:
    where = "the top" if settings.top or chosen.above_barrier else "the end"
    above = ", above its barrier" if chosen.above_barrier else ""
    many = "1 job" if len(chosen.jobs) == 1 else f"{len(chosen.jobs):,} jobs"
    lines = [f"Put {many} of run {run.name} back at {where} of {settings.queue_file}{above}."]
    if not chosen.jobs:
        lines = [_nothing(settings, run, chosen)]
    elif run.began.mode == "broadcast":
        lines = [lines[0].removesuffix(".") + "; a broadcast runs each on every sub-node again:"]
    shown = chosen.jobs[:MOST_JOBS_SHOWN]
    lines += [f"  job {job.number} ({_why(run, job)}): {_short(job)}" for job in shown]
    if len(shown) < len(chosen.jobs):
        lines.append(f"  … and {len(chosen.jobs) - len(shown):,} more")
    if settings.jobs:
        lines += [f"  job {number} not: {why}" for number, why in chosen.refused.items()]
    return lines


def _nothing(settings: RetrySettings, run: RunRecord, chosen: Chosen) -> str:
    """Explain why nothing is put back: the reasons, and the number of jobs for each."""
    if settings.jobs:
        return f"Nothing of run {run.name} is put back:"
    if not chosen.refused:
        return f"Nothing is put back: run {run.name} took no job."
    reasons = list(chosen.refused.values())
    counts = ", ".join(f"{reason}: {reasons.count(reason):,}" for reason in dict.fromkeys(reasons))
    return f"Nothing of run {run.name} is put back ({counts})."


def _why(run: RunRecord, job: JobState) -> str:
    if run.began.mode == "queue" or not job.executions:
        return on_one_line(str(run.state.outcomes(job)[0]))
    bad = [
        f"{on_one_line(str(outcome))} on {execution.sub_node}"
        for execution in job.final
        if _is_bad(outcome := run.state.outcome_of(execution))
    ]
    more = len(bad) - _SHOWN_NODES
    return "; ".join(bad[:_SHOWN_NODES]) + (f"; and on {more:,} more" if more > 0 else "")


def _is_bad(outcome: Outcome | None) -> bool:
    return outcome is not None and not succeeded(outcome)


def _short(job: JobState) -> str:
    """Give the command in one line, as it will be in the queue, and its parameters."""
    text = job.job.command
    text = text if len(text) <= _SHOWN_COMMAND else text[:_SHOWN_COMMAND] + " …"
    params = ", ".join(f"{name}={value}" for name, value in job.job.params)
    params = params if len(params) <= _SHOWN_COMMAND else params[:_SHOWN_COMMAND] + " …"
    return f"{text} ({params})" if params else text
