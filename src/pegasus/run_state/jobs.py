"""What is known of a job, of its tries and of a sub-node in a run, and the words for outcomes.

Rule 1: pure; nothing here knows the order of events.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeAlias

from pegasus.events import OutputSizes, RunResult
from pegasus.model import (
    Assignment,
    Cancelled,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    StepOrigin,
    Stream,
    SubNode,
    TimedOut,
    succeeded,
)
from pegasus.run_state.slots import PoolSeen

INTERRUPTED = Lost("Pegasus was killed")
"""The outcome of a command that ran when Pegasus was killed."""

INTERRUPTED_BEFORE_START = Lost("Pegasus was killed before the command was seen to start")
"""The outcome of a job that Pegasus had taken, and not started, when it was killed."""

NEVER_STARTED = NotStarted("Pegasus ended before it was started")
"""The same where commands are detached: there a start is on the disk before it happens."""

StatusWord: TypeAlias = Literal[
    "running",
    "detached",
    "taken",
    "succeeded",
    "failed",
    "killed",
    "timed out",
    "lost",
    "cancelled",
    "not started",
]
"""How a command is counted: ``running``; ``detached`` where it still runs on its node, as far as is
known, and no Pegasus follows it; ``taken`` where its job waits for a sub-node, for the first time
or for another try; otherwise by its outcome."""

OUTCOME_WORDS: tuple[StatusWord, ...] = (
    "succeeded",
    "failed",
    "killed",
    "timed out",
    "lost",
    "cancelled",
    "not started",
)
"""The words for outcomes, in the order in which they are shown."""

STATUS_WORDS: tuple[StatusWord, ...] = ("running", "detached", "taken", *OUTCOME_WORDS)
"""All words, in the order in which they are shown."""

_WORDS: dict[type, StatusWord] = {
    Exited: "failed",
    Killed: "killed",
    TimedOut: "timed out",
    Lost: "lost",
    Cancelled: "cancelled",
    NotStarted: "not started",
}


def word_for(outcome: Outcome) -> StatusWord:
    """Give the word by which an outcome is counted."""
    return "succeeded" if succeeded(outcome) else _WORDS[type(outcome)]


@dataclass(slots=True, eq=False)
class Execution:
    """One try of a job on one sub-node.

    Attributes:
        assignment: the job, the sub-node and the command.
        started_at: when it started, in seconds since the epoch; None where it never started.
        ended_at: when it ended; None where no end is known.
        outcome: its outcome; None where no end is known, see ``RunState.outcome_of``.
        seconds: how long it ran.
        again: whether the job was to be tried once more after this end.
        printed: how many bytes it has written, as far as that was reported.
        printed_at: when that was reported last; None before the first report.
        silent_since: since when it has printed nothing, in seconds since the epoch, where that was
            reported (``--stall``); None where it was not, or has printed since.
        rank: the number of its end among all ends of the run, from 1; 0 where no end is known.
        missing: how many of these bytes are not in the record.
        cut: of a detached command, why its connection is broken at present; empty where it is not.
        cut_at: when its connection broke last; None where it never did.
        stop_stored: whether a user ended it while it could not be reached.
        released: whether its folder on the node is gone.
    """

    assignment: Assignment
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    seconds: float | None = None
    again: bool = False
    printed: OutputSizes = field(default_factory=dict)
    printed_at: float | None = None
    silent_since: float | None = None
    rank: int = 0
    missing: dict[Stream, int] = field(default_factory=dict)
    cut: str = ""
    cut_at: float | None = None
    stop_stored: bool = False
    released: bool = False

    @property
    def sub_node(self) -> SubNode:
        """Where it ran."""
        return self.assignment.sub_node

    @property
    def command(self) -> str | None:
        """The command that ran; None where it never started."""
        return None if self.started_at is None else self.assignment.command

    @property
    def is_open(self) -> bool:
        """Whether its job has not come to an end here: it runs, or will be tried once more."""
        return self.outcome is None or self.again

    @property
    def outlives_pegasus(self) -> bool:
        """Whether it is a detached command that has not ended, as far as is known."""
        return self.assignment.key is not None and self.outcome is None and not self.released


@dataclass(slots=True, eq=False)
class JobState:
    """A job that was taken.

    Attributes:
        number: its number in the run.
        job: exactly as it was taken.
        taken_at: seconds since the epoch.
        everywhere: whether it runs on each sub-node, as in a broadcast.
        executions: its tries in the order of their starts, without those that were returned.
        unreleased: how many of them have a folder on their node.
        resumes: where an earlier broadcast took it, if this run continues that one.
    """

    number: int
    job: Job
    taken_at: float
    everywhere: bool = False
    executions: list[Execution] = field(default_factory=list)
    unreleased: int = 0
    resumes: StepOrigin | None = None
    _latest: dict[int, Execution] = field(default_factory=dict)  # by the sub-node's number
    _open_tries: int = 0  # of those that count

    @property
    def final(self) -> list[Execution]:
        """The tries that count: the last one, in a broadcast the last one on each sub-node."""
        return list(self._latest.values()) if self.everywhere else self.executions[-1:]

    @property
    def is_open(self) -> bool:
        """Whether it waits for a sub-node, runs, or will be tried once more."""
        return self._open_tries > 0 or not self.executions

    def latest(self, sub_node: int) -> Execution | None:
        """Return the last try on a sub-node."""
        return self._latest.get(sub_node)

    def counts(self, execution: Execution) -> bool:
        """Return whether a try is one of those that count."""
        if self.everywhere:
            return self._latest.get(execution.assignment.sub_node.number) is execution
        return bool(self.executions) and self.executions[-1] is execution

    def add(self, execution: Execution) -> Execution | None:
        """Add a try; return the earlier one that does not count any more."""
        number = execution.assignment.sub_node.number
        replaced = self._latest.get(number) if self.everywhere else None
        if not self.everywhere and self.executions:
            replaced = self.executions[-1]
        self.executions.append(execution)
        self._latest[number] = execution
        self._open_tries += 1 - (replaced is not None and replaced.is_open)
        return replaced

    def end(self, execution: Execution, outcome: Outcome, *, again: bool) -> None:
        """Set the outcome of a try."""
        was_open = execution.is_open
        execution.outcome, execution.again = outcome, again
        if self.counts(execution):
            self._open_tries += again - was_open

    def end_anew(self, execution: Execution) -> None:
        """Let a try that has ended count as one that runs."""
        was_open, execution.outcome, execution.again = execution.is_open, None, False
        if self.counts(execution):
            self._open_tries += not was_open

    def remove(self, execution: Execution) -> None:
        """Remove a try that never started."""
        self.executions.remove(execution)
        self._latest = {each.sub_node.number: each for each in self.executions}
        self._open_tries = sum(each.is_open for each in self.final)


@dataclass(slots=True, eq=False)
class SubNodeState:
    """A sub-node, and its connection.

    Attributes:
        sub_node: it.
        connection: the state of the connection to it.
        words: ssh's own error text, where it cannot be reached.
        was_connected: whether it has ever been connected.
        busy: seconds in which commands ran on it that have ended; where it has pools, each second
            counts as often as the command held slots of the first one.
        missing: whether the broadcast goes on without it, since it could not be reached.
        answers: what it said last of its pools, by their names.
        has_left: whether its Slurm allocation is over.
    """

    sub_node: SubNode
    connection: Literal["connecting", "connected", "unreachable"] = "connecting"
    words: str = ""
    was_connected: bool = False
    busy: float = 0.0
    missing: bool = False
    answers: dict[str, PoolSeen] = field(default_factory=dict)
    has_left: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a job on one sub-node.

    Attributes:
        job: the job.
        execution: its try that counts; None where it never had one.
        outcome: its outcome.
    """

    job: JobState
    execution: Execution | None
    outcome: Outcome

    @property
    def started(self) -> Execution | None:
        """Its try that counts, if that one ever started."""
        execution = self.execution
        return None if execution is None or execution.started_at is None else execution


@dataclass(frozen=True, slots=True)
class End:
    """The end of a run, as it reported itself, in seconds since the epoch; see ``RunEnded``."""

    at: float
    exit_status: int | None
    result: RunResult
    reason: str = ""


def word_of(execution: Execution | None, outcome: Outcome | None, *, is_over: bool) -> StatusWord:
    """Give the word for a try; a job without a try waits for its first one."""
    if outcome is not None:
        return word_for(outcome)
    if execution is None or execution.outcome is not None:
        return "taken"
    return "detached" if is_over else "running"


def result_of(job: JobState, execution: Execution) -> Result:
    """Give the result of a try that has ended."""
    if execution.outcome is None:
        raise ValueError("this command has not ended")
    return Result(job, execution, execution.outcome)


def latest_of(tries: dict[Execution, JobState], limit: int | None) -> list[Result]:
    """Give the results of the last tries, the latest last; None for all."""
    latest = islice(reversed(tries.items()), limit)
    return [result_of(job, each) for each, job in latest][::-1]


def by_end(result: Result) -> float:
    """Give the place of a result in the order of the ends; what has no end comes last."""
    return (result.execution.rank if result.execution else 0) or math.inf
