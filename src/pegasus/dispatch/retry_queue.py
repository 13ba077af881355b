"""Jobs that were taken and wait for a sub-node: they never started, or are to be tried again.

Rule 1: the outcome of a job is the outcome of its last try that began; a try that never started
changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pegasus.demand import example_slots, fits_on
from pegasus.dispatch.ports import RenderJob, RetriesAfter, always
from pegasus.errors import TemplateFault
from pegasus.events import Ended
from pegasus.model import (
    NO_DEMAND,
    Assignment,
    Command,
    Exited,
    Job,
    Killed,
    Lost,
    Outcome,
    SlotsHeld,
    SubNode,
    TimedOut,
    succeeded,
)

RETRIED = (Exited, Killed, TimedOut, Lost)
"""Outcomes after which a job may be tried again; a user ended a cancelled one on purpose."""

TriesKey: TypeAlias = tuple[int, int | None]
"""Which tries belong together: the job's number, and in a broadcast the sub-node's number."""


@dataclass(slots=True)
class Tries:
    """The tries of a job; in a broadcast, on one sub-node.

    Attributes:
        sub_nodes: the number of the sub-node of each try that ended.
        last: the end of the last try that began, if there was one.
        commands: the rendered job, by the sub-node and the slots; None where it cannot be
            rendered.
        fault: why the job cannot be rendered for some sub-node.
    """

    sub_nodes: list[int] = field(default_factory=list)
    last: Ended | None = None
    commands: dict[tuple[SubNode, SlotsHeld], Command | None] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that waits for a sub-node.

    Attributes:
        assignment: the last try.
        tries: all tries so far.
        words: why the last try never started; empty where it did.
    """

    assignment: Assignment
    tries: Tries
    words: str = ""

    @property
    def number(self) -> int:
        """The job's number in the run."""
        return self.assignment.number

    @property
    def job(self) -> Job:
        """The job, as it was taken."""
        return self.assignment.job

    @property
    def is_demanding(self) -> bool:
        """Whether its entry says where or when it may run."""
        return self.job.demand != NO_DEMAND

    @property
    def tried_on(self) -> Collection[int]:
        """The numbers of the sub-nodes that have tried it."""
        return self.tries.sub_nodes


class RetryQueue:
    """Keeps the jobs that wait for a sub-node, and their tries.

    Args:
        retries: how often a job may be tried again.
        fill: renders a job for a sub-node; raises TemplateFault.
        retries_after: decides about a try that failed, where one more is left.
        per_sub_node: whether each sub-node has its own tries, as in a broadcast.
    """

    def __init__(
        self,
        retries: int,
        fill: RenderJob,
        retries_after: RetriesAfter = always,
        *,
        per_sub_node: bool,
    ) -> None:
        self._retries = retries
        self._fill = fill
        self._per_sub_node = per_sub_node
        self._retries_after = retries_after
        self._waiting: list[WaitingJob] = []
        self._tries: dict[TriesKey, Tries] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def waiting(self) -> Sequence[WaitingJob]:
        """The jobs that wait now, in the order in which they came."""
        return tuple(self._waiting)

    def count_try(self, assignment: Assignment, outcome: Outcome) -> bool:
        """Count a try that ended; return whether the job is to be tried again."""
        if succeeded(outcome) or not isinstance(outcome, RETRIED) or not self._retries:
            return False
        tries = self._tries_of(assignment)
        tries.sub_nodes.append(assignment.sub_node.number)
        return len(tries.sub_nodes) <= self._retries and self._retries_after(assignment, outcome)

    def add_ended(self, ended: Ended) -> None:
        """Add a job that is to be tried again."""
        tries = self._tries_of(ended.assignment)
        tries.last = ended
        self._waiting.append(WaitingJob(ended.assignment, tries))

    def add_returned(self, assignment: Assignment, words: str) -> None:
        """Add a job that never started."""
        self._waiting.append(WaitingJob(assignment, self._tries_of(assignment), words))

    def last_end(self, assignment: Assignment) -> Ended | None:
        """Return the end of a job's last try that began, if there was one."""
        tries = self._tries.get(self._key(assignment))
        return tries.last if tries else None

    def command(
        self, waiting: WaitingJob, sub_node: SubNode, slots: SlotsHeld = ()
    ) -> Command | None:
        """Render a job for a sub-node, once; None where it cannot be rendered."""
        commands, key = waiting.tries.commands, (sub_node, slots)
        if key not in commands:
            try:
                commands[key] = self._fill(waiting.job, sub_node, slots)
            except TemplateFault as fault:
                commands[key], waiting.tries.fault = None, str(fault)
        return commands[key]

    def can_run(self, waiting: WaitingJob, sub_node: SubNode) -> bool:
        """Return whether a job may run on a sub-node, and can be rendered for it."""
        demand = waiting.job.demand
        if not fits_on(demand, sub_node):
            return False
        return self.command(waiting, sub_node, example_slots(demand, sub_node)) is not None

    def remove(self, waiting: WaitingJob) -> None:
        """Remove a job that was assigned or has its final outcome."""
        self._waiting.remove(waiting)

    def forget(self, assignment: Assignment) -> None:
        """Forget the tries of a job that has its final outcome."""
        self._tries.pop(self._key(assignment), None)

    def clear(self) -> list[WaitingJob]:
        """Remove and return all jobs."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _tries_of(self, assignment: Assignment) -> Tries:
        return self._tries.setdefault(self._key(assignment), Tries())

    def _key(self, assignment: Assignment) -> TriesKey:
        return assignment.number, assignment.sub_node.number if self._per_sub_node else None
