"""A queue in memory, and a listener that records what it gets: fakes for tests of dispatch."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import trio

from pegasus.dispatch import Fill
from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.events import Ended, Event, Listener, Printed, Started, Taken
from pegasus.model import (
    Command,
    Job,
    Outcome,
    Position,
    StepOrigin,
    TakenJob,
)


@dataclass(frozen=True)
class FakeBatch:
    """The result of a take from a fake queue."""

    jobs: Sequence[TakenJob]
    fault: FileFault | None = None


class FakeQueue:
    """A queue in memory; ``BAD`` stands for an entry that can't be read.

    Args:
        commands: the jobs in it.
        listener: gets the event of each job that is taken.
    """

    BAD = Job("BAD")

    def __init__(self, commands: Iterable[str], listener: Listener) -> None:
        self.jobs = deque(Job(command) for command in commands)
        self.takes: list[float] = []
        self.full_until = 0.0
        self.half_written = ""
        self._listener = listener
        self._numbers = itertools.count(1)
        self._seen: list[Job] = []

    async def take(self, fills: Sequence[Fill]) -> FakeBatch:
        await self._look()
        taken: list[TakenJob] = []
        fault: FileFault | None = None
        for fill in fills:
            if not self.jobs:
                break
            try:
                commands = self._fill(fill, self.jobs[0])
            except FileFault as caught:
                fault = caught
                break
            taken.append(TakenJob(next(self._numbers), self.jobs.popleft(), commands))
        for each in taken:
            self._listener.tell(Taken(each.number, each.job))
        return FakeBatch(taken, fault)

    def take_again(self, job: Job, origin: StepOrigin) -> int:
        number = next(self._numbers)
        self._listener.tell(Taken(number, job, origin))
        return number

    async def is_empty(self) -> bool:
        await self._look()
        return not self.jobs

    async def _look(self) -> None:
        await trio.lowlevel.checkpoint()
        self._seen = list(self.jobs)
        self.takes.append(trio.current_time())
        if trio.current_time() < self.full_until:
            raise PegasusError("queue.yaml: the disk is full.")

    def _fill(self, fill: Fill, job: Job) -> tuple[Command, ...]:
        if job == self.BAD:
            raise FileFault(Position("queue.yaml", 1, 1), "this is bad")
        try:
            return fill(job)
        except TemplateFault as fault:
            raise FileFault(Position("queue.yaml", 1, 1), fault.what) from fault

    def changed(self) -> bool:
        return list(self.jobs) != self._seen

    @property
    def pending(self) -> str:
        return self.half_written

    def add(self, *commands: str) -> None:
        """Add jobs at the end."""
        self.jobs.extend(Job(command) for command in commands)


class Listening:
    """A listener that records what it gets, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, Event | Printed]] = []

    def tell(self, event: Event) -> None:
        self.told.append((trio.current_time(), event))

    async def show(self, printed: Printed) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append((trio.current_time(), printed))

    @property
    def outcomes(self) -> list[tuple[str, str, Outcome]]:
        """Command, sub-node and outcome of all that ended, in order."""
        return [
            (event.assignment.command, str(event.assignment.sub_node), event.outcome)
            for _, event in self.told
            if isinstance(event, Ended)
        ]

    @property
    def taken(self) -> list[str]:
        """The commands that were taken, in order."""
        return [event.job.command for _, event in self.told if isinstance(event, Taken)]

    def spans(self) -> dict[tuple[int, int], tuple[float, float]]:
        """When each command began and ended, by job number and sub-node number."""
        begun: dict[tuple[int, int], float] = {}
        spans = {}
        for when, event in self.told:
            if isinstance(event, Started | Ended):
                key = (event.assignment.number, event.assignment.sub_node.number)
                if isinstance(event, Started):
                    begun[key] = when
                else:
                    spans[key] = (begun[key], when)
        return spans
