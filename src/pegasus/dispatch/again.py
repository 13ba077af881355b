"""Jobs that were taken and wait for a sub-node once more: never started, or to be tried again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pegasus.dispatch.worker import Slot
from pegasus.events import Ended
from pegasus.model import Assignment, Exited, Job, Killed, Lost, Outcome, TimedOut, succeeded

TRIED_AGAIN = (Exited, Killed, TimedOut, Lost)
"""Outcomes after which a job may be tried again; a cancelled one was meant to end."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits once more.

    Attributes:
        number: the job's number in the run.
        job: as it was taken.
        last: its last end, if it was tried: what became of it if nobody tries it again.
    """

    number: int
    job: Job
    last: Ended | None = None


class Again:
    """Keeps what waits once more, and who has tried it.

    Args:
        retries: how often a job may be tried again.
        everywhere: whether each sub-node has tries of its own, as in a broadcast.
    """

    def __init__(self, retries: int, *, everywhere: bool) -> None:
        self._retries = retries
        self._everywhere = everywhere
        self._waiting: list[Waiting] = []
        self._tried: dict[int, list[int]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wants(self, assignment: Assignment, outcome: Outcome) -> bool:
        """Tell whether a job that ended like this is to be tried again; each call is a try."""
        if succeeded(outcome) or not isinstance(outcome, TRIED_AGAIN) or not self._retries:
            return False
        tried, here = self._tried[assignment.number], assignment.sub_node.number
        tried.append(here)
        return (tried.count(here) if self._everywhere else len(tried)) <= self._retries

    def first(self) -> Waiting:
        """Give the one that has waited longest."""
        return self._waiting[0]

    def add(self, waiting: Waiting) -> None:
        """Let a job wait."""
        self._waiting.append(waiting)

    def match(
        self, slots: list[Slot], others: Callable[[set[int]], bool]
    ) -> Iterator[tuple[Waiting, Slot]]:
        """Pair jobs that wait with slots, on sub-nodes that have not tried them where there are.

        Args:
            slots: the free ones.
            others: tells whether any sub-node but those with these numbers is connected.
        """
        free = list(slots)
        for waiting in list(self._waiting):
            tried = set(self._tried[waiting.number])
            fresh = [slot for slot in free if slot.worker.sub_node.number not in tried]
            if fresh or (free and not others(tried)):
                slot = (fresh or free)[0]
                free.remove(slot)
                yield waiting, slot

    def remove(self, waiting: Waiting) -> None:
        """Take a job out: it has its slot."""
        self._waiting.remove(waiting)

    def drain(self) -> list[Waiting]:
        """Take all out: nobody will try them."""
        waiting, self._waiting = self._waiting, []
        return waiting
