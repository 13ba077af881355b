"""Whether a barrier of a queue may open: the rule, for all runs of the queue together.

Rule 1: pure: no file, no clock, no question to a node.
Rule 2: a barrier opens only when nothing that any run has taken can still change.
Rule 3: what was put back by ``pegasus retry`` counts by its new execution, which is taken from
above the barrier as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pegasus.holds import JobOfRun
from pegasus.model import BarrierKind, Job
from pegasus.terminal_text import on_one_line

_JOBS_NAMED = 3
"""Jobs that a message names; it counts the others."""

_NAMED_WIDTH = 60
"""Characters of a command in a message: enough to identify it."""


@dataclass(frozen=True, slots=True)
class BarrierOpen:
    """Everything above the barrier has come to its end, as the barrier demands."""


@dataclass(frozen=True, slots=True)
class BarrierWaits:
    """Something above the barrier has not ended.

    Attributes:
        words: what, as a part of a sentence.
    """

    words: str


@dataclass(frozen=True, slots=True)
class BarrierClosed:
    """A job above the barrier has failed: it stays closed until a person does something.

    Attributes:
        words: which job, and what to do, as whole sentences.
        waits: what else has not ended, as a part of a sentence; empty where all has ended.
    """

    words: str
    waits: str = ""


BarrierVerdict: TypeAlias = BarrierOpen | BarrierWaits | BarrierClosed
"""Whether a barrier may open."""


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that has come to its end and did not succeed.

    Attributes:
        job: the job, as it was taken.
        words: its outcome.
    """

    job: Job
    words: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a barrier has to know of one run.

    Attributes:
        name: of the run.
        is_own: whether it is the run that asks.
        unended: words for each job that can still change, by number: it runs, waits for another
            try, or was cut off and may still run.
        unfollowed: words for each job whose command is gone, and whose end is not known, because
            nobody has followed it.
        failed: the jobs that have failed, by number; at least those that are above a barrier.
        back: the numbers of the jobs that were put back by ``pegasus retry``.
    """

    name: str
    is_own: bool = False
    unended: Mapping[int, str] = field(default_factory=dict)
    unfollowed: Mapping[int, str] = field(default_factory=dict)
    failed: Mapping[int, FailedJob] = field(default_factory=dict)
    back: Collection[int] = ()


def judge(kind: BarrierKind, above: Iterable[JobOfRun], runs: Sequence[RunFacts]) -> BarrierVerdict:
    """Decide whether a barrier that nothing stands above any more may open.

    Args:
        kind: of the barrier.
        above: the jobs that were taken from above it. One that no run knows was never taken.
        runs: all runs of the queue of which anything is known.
    """
    unended = [_named(run, number, words) for run in runs for number, words in run.unended.items()]
    failed: list[tuple[RunFacts, int]] = []
    if kind == "succeeded":
        wanted = set(above)
        unended += [
            _named(run, number, words)
            for run in runs
            for number, words in run.unfollowed.items()
            if (run.name, number) in wanted and number not in run.back
        ]
        failed = [
            (run, number)
            for run in runs
            for number in run.failed
            if (run.name, number) in wanted and number not in run.back
        ]
    if failed:
        return BarrierClosed(_words_on_failed(failed), _list_of(unended))
    return BarrierWaits(_list_of(unended)) if unended else BarrierOpen()


def _named(run: RunFacts, number: int, words: str) -> str:
    return f"job {number}{_of_run(run)} {words}"


def _of_run(run: RunFacts) -> str:
    return "" if run.is_own else f" of run {run.name}"


def _list_of(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_JOBS_NAMED])
    more = len(texts) - _JOBS_NAMED
    return f"{shown}, and {more:,} more" if more > 0 else shown


def _words_on_failed(failed: Sequence[tuple[RunFacts, int]]) -> str:
    each = [
        f"Job {number}{_of_run(run)} failed ({run.failed[number].words}): "
        f"{_short(run.failed[number].job)}."
        for run, number in failed[:_JOBS_NAMED]
    ]
    if (more := len(failed) - _JOBS_NAMED) > 0:
        each.append(f"{more:,} more failed.")
    which = "it" if len(failed) == 1 else "them"
    each.append(f"{_retries_of(failed)} puts {which} back above the barrier; deleting its line")
    return " ".join(each) + " opens it."


def _retries_of(failed: Sequence[tuple[RunFacts, int]]) -> str:
    """Give the commands that put jobs back; they name the jobs if those are few."""
    numbers: dict[str, list[str]] = {}
    for run, number in failed:
        numbers.setdefault(run.name, []).append(str(number))
    commands = []
    for name, jobs in list(numbers.items())[:_JOBS_NAMED]:
        named = f" {' '.join(jobs)}" if len(failed) <= _JOBS_NAMED else ""
        commands.append(f"`pegasus retry{named} --run {name}`")
    return " and ".join(commands)


def _short(job: Job) -> str:
    text = on_one_line(job.command, _NAMED_WIDTH)
    params = ", ".join(f"{name}={value}" for name, value in job.params)
    return f"{text} ({on_one_line(params, _NAMED_WIDTH)})" if params else text
