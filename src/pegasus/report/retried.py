"""Which jobs of a run can be put back into the queue, why others cannot, and what is said of it.

Rule 1: pure; it reads the state of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus.model import Outcome, succeeded
from pegasus.record import RunRecord
from pegasus.report.job_numbers import numbers_words
from pegasus.report.left import may_run_words
from pegasus.run_state import JobState
from pegasus.terminal_text import on_one_line

MOST_JOBS_SHOWN = 20
"""Jobs that are listed one by one; the others are only counted."""

MISSING, STILL_RUNS, ABOUT_TO_START, SUCCEEDED, BEFORE = (
    "there is no such job",
    "it still runs",
    "it is about to start",
    "it succeeded",
    "it was put back before",
)
"""Why a job is not put back."""

_COUNTED = {
    STILL_RUNS: ("still runs", "still run"),
    ABOUT_TO_START: ("is about to start", "are about to start"),
    SUCCEEDED: ("succeeded", "succeeded"),
    BEFORE: ("was put back before", "were put back before"),
}
"""What follows the number of jobs with a reason: for one job, and for several."""

_SHOWN_COMMAND = 100
_SHOWN_NODES = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The jobs to put back, and the reasons for the others, by number.

    Attributes:
        above_barrier: whether they were put before all others because of a barrier.
    """

    jobs: tuple[JobState, ...]
    refused: dict[int, str]
    above_barrier: bool = False


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """What the user asked for.

    Attributes:
        queue_file: its path as the user gave it.
        top: whether the jobs go before all that wait.
        by_number: whether the jobs were named.
    """

    queue_file: Path
    top: bool
    by_number: bool


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
        return MISSING
    if number in going_on:
        return going_on[number]
    outcomes = run.state.outcomes(job)
    if None in outcomes:
        return STILL_RUNS if job.executions else ABOUT_TO_START
    if all(outcome is not None and succeeded(outcome) for outcome in outcomes):
        return SUCCEEDED
    return BEFORE if number in back else ""


def retried_words(asked: RetryAsked, run: RunRecord, chosen: Chosen) -> list[str]:
    """Say what was put back, and why other jobs were not."""
    where = "the top" if asked.top or chosen.above_barrier else "the end"
    above = ", above its barrier" if chosen.above_barrier else ""
    many = "1 job" if len(chosen.jobs) == 1 else f"{len(chosen.jobs):,} jobs"
    lines = [f"Put {many} of run {run.name} back at {where} of {asked.queue_file}{above}."]
    if not chosen.jobs:
        lines = [_nothing(asked, run, chosen)]
    elif run.began.mode == "broadcast":
        lines = [lines[0].removesuffix(".") + "; a broadcast runs each on every sub-node again:"]
    shown = chosen.jobs[:MOST_JOBS_SHOWN]
    lines += [f"  job {job.number} ({_why(run, job)}): {_short(job)}" for job in shown]
    if len(shown) < len(chosen.jobs):
        lines.append(f"  … and {len(chosen.jobs) - len(shown):,} more")
    if asked.by_number:
        lines += [f"  {_not_back(run, *each)}" for each in chosen.refused.items()]
    elif not chosen.jobs:
        lines += _each_refused(run, chosen)
    return lines


def _nothing(asked: RetryAsked, run: RunRecord, chosen: Chosen) -> str:
    """Explain why nothing is put back: the reasons, and the number of jobs for each."""
    if asked.by_number:
        return f"Nothing of run {run.name} is put back:"
    if not chosen.refused:
        return f"Nothing is put back: run {run.name} took no job."
    counts = Counter(why if why in _COUNTED else "" for why in chosen.refused.values())
    parts = [
        f"{count:,} {_COUNTED[why][count > 1] if why else 'may still run on a node'}"
        for why, count in counts.items()
    ]
    parts[0] = parts[0].replace(" ", " job " if next(iter(counts.values())) == 1 else " jobs ", 1)
    return f"Nothing of run {run.name} is put back: {', '.join(parts)}."


def _each_refused(run: RunRecord, chosen: Chosen) -> list[str]:
    """Give a line for each job whose reason says what to do about it."""
    found = [each for each in chosen.refused.items() if each[1] not in _COUNTED]
    lines = [f"  {_not_back(run, *each)}" for each in found[:MOST_JOBS_SHOWN]]
    more = len(found) - len(lines)
    return [*lines, f"  … and {more:,} more"] if more else lines


def _not_back(run: RunRecord, number: int, why: str) -> str:
    if why == MISSING:
        return f"There is no job {number} in run {run.name}; {numbers_words(run.state.jobs)}."
    return f"Job {number} is not put back: {why}."


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
