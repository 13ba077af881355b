"""The state of a run -> what a barrier has to know of it.

Rule 1: pure; a run that is over has nothing that waits for another try.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from pegasus.barriers import FailedJob, RunFacts
from pegasus.holds import DoubtfulCommand
from pegasus.model import Outcome, SubNode, succeeded
from pegasus.run_state import JobState, KnownRun

_DETACHED_WORDS = "runs detached on {} and nobody follows it (`pegasus attach` does)"

_CUT_OFF_WORDS = "was cut off and may still run on {}"


@dataclass(slots=True)
class DeadRun:
    """A run whose Pegasus is gone: what is unended, and what of it may still run.

    Attributes:
        unended: see ``RunFacts``.
        unfollowed: see ``RunFacts``.
        doubtful: the commands that may still run.
    """

    unended: dict[int, str] = field(default_factory=dict)
    unfollowed: dict[int, str] = field(default_factory=dict)
    doubtful: list[DoubtfulCommand] = field(default_factory=list)


def own_facts(name: str, state: KnownRun) -> RunFacts:
    """Give what a barrier has to know of the run that asks, in the thread that changes its state.

    Args:
        name: of the run.
        state: its live state, which is ahead of its journal.
    """
    failed = {
        result.job.number: FailedJob(result.job.job, str(result.outcome))
        for result in state.failures()
        if result.job.number not in state.open_jobs
    }
    return RunFacts(name, is_own=True, unended=_unended(state), failed=failed)


def live_facts(name: str, state: KnownRun, above: Collection[int]) -> RunFacts:
    """Give what a barrier has to know of another run that goes on.

    Args:
        name: of the run.
        state: as its journal describes it.
        above: the numbers of its jobs that were taken from above the barrier.
    """
    return RunFacts(name, unended=_unended(state), failed=failed_among(state, above))


def failed_among(state: KnownRun, numbers: Collection[int]) -> dict[int, FailedJob]:
    """Give those of some jobs that have come to an end and did not succeed."""
    failed = {}
    for number in sorted(numbers):
        job = state.jobs.get(number)
        outcome = _failure_of(state, job) if job is not None else None
        if job is not None and outcome is not None:
            failed[number] = FailedJob(job.job, str(outcome))
    return failed


def _failure_of(state: KnownRun, job: JobState) -> Outcome | None:
    """Give the outcome that makes a job a failure; None while it can change, or if it succeeded."""
    outcomes = state.outcomes(job)
    if None in outcomes:
        return None
    bad = [each for each in outcomes if each is not None and not succeeded(each)]
    return bad[0] if bad else None


def dead_run(
    name: str, state: KnownRun, seconds_over: float, is_gone: Callable[[DoubtfulCommand], bool]
) -> DeadRun:
    """Find what is left of a run whose Pegasus is gone.

    Args:
        name: of the run.
        state: as its journal describes it, and marked as over.
        seconds_over: for how long the run has been known to be over.
        is_gone: whether a command is known to be gone.
    """
    found = DeadRun()
    for number, job in state.open_jobs.items():
        for execution in job.final:
            detached = execution.outlives_pegasus
            if execution.outcome is not None or not (detached or state.end is None):
                continue
            where = execution.sub_node
            doubt = DoubtfulCommand((name, number), where, detached, seconds_over)
            words = _DETACHED_WORDS if detached else _CUT_OFF_WORDS
            if not is_gone(doubt):
                found.unended[number] = words.format(where)
                found.doubtful.append(doubt)
            elif detached:
                found.unfollowed[number] = words.format(where)
    return found


def _unended(state: KnownRun) -> dict[int, str]:
    jobs = state.open_jobs.items()
    # A job that nobody will start any more is open and has an outcome.
    return {number: _words_on(job) for number, job in jobs if None in state.outcomes(job)}


def _words_on(job: JobState) -> str:
    running: list[SubNode] = [each.sub_node for each in job.final if each.outcome is None]
    if not running:
        return "waits for another try" if job.executions else "waits for its node"
    more = len(running) - 1
    return f"runs on {running[0]}" + (f" and on {more} more" if more else "")
