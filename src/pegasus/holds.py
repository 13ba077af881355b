"""What commands hold on nodes, as all runs of a queue know it, and when the dead hold no more.

Rule 1: pure: no file, no clock, no question to a node.
Rule 2: what is not known to be free is held.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from pegasus.model import SubNode

AT_MOST_POOL = "at_most:"
"""The pool of the jobs of a group of which only so many may run begins with this. It is on no node:
its place is empty."""

START_GRACE = 2.0
"""Seconds after the end of a run during which a node is not believed that a command is gone: what
was sent to it just before may only be starting."""

UNKNOWN_LIMIT = 60.0
"""Seconds after which a command of a killed run counts as gone where its node cannot be asked. A
node ends it within ten seconds while the network is up, and notices within a minute that it is
not."""

JobOfRun: TypeAlias = tuple[str, int]
"""The name of a run, and the number of a job in it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A slot that a command holds, for other runs to see.

    Attributes:
        place: the node, as ``Session.place`` identifies it; empty for a pool that is on no node.
        pool: the name of the pool, or ``AT_MOST_POOL`` and a group.
        slot: identifies the slot in its pool (``Slot.key``).
        run: the name of the run that started the command.
        job: the number of its job in that run.
        on: where the pool is on no node, the place where the command runs.
    """

    place: str
    pool: str
    slot: str
    run: str
    job: int
    on: str = ""

    @property
    def node(self) -> str:
        """The place that knows whether the command lives; empty where none is known."""
        return self.place or self.on


@dataclass(frozen=True, slots=True)
class DoubtfulHold:
    """A hold of a run that is over: its command may still run.

    Attributes:
        hold: it.
        is_detached: whether the command does not end with its run.
        seconds_over: for how long the run has been known to be over.
    """

    hold: Hold
    is_detached: bool
    seconds_over: float

    @property
    def command(self) -> JobOfRun:
        """The command that holds it."""
        return self.hold.run, self.hold.job


@dataclass(frozen=True, slots=True)
class DoubtfulCommand:
    """A command of a run that was killed: it may still run.

    Attributes:
        command: its run and its job.
        sub_node: where it runs, as that run describes it.
        is_detached: whether it does not end with its run.
        seconds_over: for how long the run has been known to be over.
    """

    command: JobOfRun
    sub_node: SubNode
    is_detached: bool
    seconds_over: float


class Doubt(Protocol):
    """What may still run although its run is over."""

    @property
    def command(self) -> JobOfRun:
        """Its run and its job."""

    @property
    def is_detached(self) -> bool:
        """Whether it does not end with its run."""

    @property
    def seconds_over(self) -> float:
        """For how long its run was known to be over when its node was asked."""


D = TypeVar("D", bound=Doubt)


def gone(doubts: Iterable[D], living: frozenset[JobOfRun] | None) -> list[D]:
    """Decide which commands of runs that are over do not run any more.

    Args:
        doubts: on one node, as they were before the node was asked.
        living: the commands that live on the node; None where it cannot tell, or where this run
            has no connection to it.
    """
    if living is None:
        return [each for each in doubts if _is_given_up(each)]
    return [
        each for each in doubts if each.seconds_over >= START_GRACE and each.command not in living
    ]


def _is_given_up(doubt: Doubt) -> bool:
    return not doubt.is_detached and doubt.seconds_over >= UNKNOWN_LIMIT
