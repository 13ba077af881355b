"""Jobs that were taken and wait for a sub-node once more: never started, or to be tried again.

Rule 1: what became of a job is what became of its last try that began; a try that never started
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pegasus.events import Ended
from pegasus.model import Assignment, Exited, Job, Killed, Lost, Outcome, TimedOut, succeeded

TRIED_AGAIN = (Exited, Killed, TimedOut, Lost)
"""Outcomes after which a job may be tried again; a cancelled one was meant to end."""

_Key: TypeAlias = tuple[int, int | None]
"""Whose tries: the job's number, and in a broadcast the sub-node's."""


@dataclass(slots=True)
class Tries:
    """What happened to a job so far; in a broadcast, on one sub-node.

    Attributes:
        sub_nodes: the numbers of those on which it was tried, once a try.
        last: the end of its last try that began, if there was one.
        commands: it filled in, by the number of the sub-node; None where it can't be.
        fault: why it can't be filled in somewhere.
    """

    sub_nodes: list[int] = field(default_factory=list)
    last: Ended | None = None
    commands: dict[int, str | None] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits once more.

    Attributes:
        assignment: what was tried before.
        tries: what happened to the job so far.
        words: why it never started, if the last try never did.
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


class Again:
    """Keeps what waits once more, and what happened to it.

    Args:
        retries: how often a job may be tried again.
        everywhere: whether each sub-node has tries of its own, as in a broadcast.
    """

    def __init__(self, retries: int, *, everywhere: bool) -> None:
        self._retries = retries
        self._everywhere = everywhere
        self._waiting: list[Waiting] = []
        self._tries: dict[_Key, Tries] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def waiting(self) -> Sequence[Waiting]:
        """What waits now, the longest first."""
        return tuple(self._waiting)

    def wants(self, assignment: Assignment, outcome: Outcome) -> bool:
        """Tell whether a job that ended like this is to be tried again; each call is a try."""
        if succeeded(outcome) or not isinstance(outcome, TRIED_AGAIN) or not self._retries:
            return False
        tries = self._tries_of(assignment)
        tries.sub_nodes.append(assignment.sub_node.number)
        return len(tries.sub_nodes) <= self._retries

    def add_ended(self, ended: Ended) -> None:
        """Let a job wait that is to be tried again."""
        tries = self._tries_of(ended.assignment)
        tries.last = ended
        self._waiting.append(Waiting(ended.assignment, tries))

    def add_returned(self, assignment: Assignment, words: str) -> None:
        """Let a job wait that never started."""
        self._waiting.append(Waiting(assignment, self._tries_of(assignment), words))

    def last(self, assignment: Assignment) -> Ended | None:
        """Give the end of a job's last try that began, if there was one."""
        tries = self._tries.get(self._key(assignment))
        return tries.last if tries else None

    def forget(self, assignment: Assignment) -> None:
        """Forget a job that has come to its end."""
        self._tries.pop(self._key(assignment), None)

    def remove(self, waiting: Waiting) -> None:
        """Take a job out: it has its slot, or its end."""
        self._waiting.remove(waiting)

    def drain(self) -> list[Waiting]:
        """Take all out: nobody will try them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _tries_of(self, assignment: Assignment) -> Tries:
        return self._tries.setdefault(self._key(assignment), Tries())

    def _key(self, assignment: Assignment) -> _Key:
        return assignment.number, assignment.sub_node.number if self._everywhere else None
