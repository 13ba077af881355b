"""A queue in memory, and a listener that records what it gets: fakes for tests of dispatch."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import trio

from pegasus.barriers import BarrierOpen, BarrierVerdict
from pegasus.demand import Nowhere
from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.events import Ended, Event, Listener, Printed, Started, Taken
from pegasus.model import (
    Barrier,
    Command,
    Job,
    Outcome,
    Position,
    StepOrigin,
    TakenJob,
)
from pegasus.picker import Picker, Skip


@dataclass(frozen=True)
class FakeBatch:
    """The result of a take from a fake queue."""

    jobs: Sequence[TakenJob]
    fault: FileFault | None = None
    refused: Sequence[FileFault] = ()
    barrier: Barrier | None = None
    is_complete: bool = True


class FakeQueue:
    """A queue in memory, in which each job is an entry of its own.

    ``BAD`` stands for an entry that can't be read, and the keys of ``BARRIERS`` for barriers.

    Args:
        commands: the jobs in it.
        listener: gets the event of each job that is taken.

    Attributes:
        jobs: what is left in it.
        passed: the barriers that were removed.
    """

    BAD = Job("BAD")

    BARRIERS: ClassVar[dict[Job, Barrier]] = {
        Job("barrier: succeeded"): Barrier("succeeded"),
        Job("barrier: ended"): Barrier("ended"),
    }

    _POSITION = Position("queue.yaml", 1, 1)

    def __init__(self, commands: Iterable[str], listener: Listener) -> None:
        self.jobs = deque(Job(command) for command in commands)
        self.passed: list[Barrier] = []
        self.takes: list[float] = []
        self.full_until = 0.0
        self.half_written = ""
        self._listener = listener
        self._numbers = itertools.count(1)
        self._seen: list[Job] = []
        self._left: list[Job] | None = None

    async def take(self, picker: Picker) -> FakeBatch:
        await self._look()
        picker.begin(lambda: self._left == list(self.jobs))
        taken: list[TakenJob] = []
        refused: list[FileFault] = []
        kept: list[Job] = []
        fault: FileFault | None = None
        while self.jobs and self.jobs[0] not in self.BARRIERS and not picker.is_full:
            try:
                answer = self._pick(picker, self.jobs[0])
            except FileFault as caught:
                fault = caught
                break
            job = self.jobs.popleft()
            if isinstance(answer, tuple):
                taken.append(TakenJob(next(self._numbers), job, answer))
                continue
            kept.append(job)
            if isinstance(answer, FileFault):
                refused.append(answer)
        is_complete = not self.jobs or self.jobs[0] in self.BARRIERS or fault is not None
        self.jobs.extendleft(reversed(kept))
        self._left = self._seen = list(self.jobs)
        if taken:
            picker.settle(taken)
        for each in taken:
            self._listener.tell(Taken(each.number, each.job))
        return FakeBatch(taken, fault, refused, self._barrier, is_complete)

    async def pass_barrier(
        self, barrier: Barrier, judge: Callable[[], BarrierVerdict]
    ) -> BarrierVerdict | None:
        await self._look()
        if self._barrier != barrier:
            return None
        verdict = judge()
        if isinstance(verdict, BarrierOpen):
            self.jobs.popleft()
            self.passed.append(barrier)
        return verdict

    @property
    def _barrier(self) -> Barrier | None:
        return self.BARRIERS.get(self.jobs[0]) if self.jobs else None

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

    def _pick(self, picker: Picker, job: Job) -> tuple[Command, ...] | FileFault | Skip:
        """Give the commands of a job that is picked, and for another why it stays."""
        if job == self.BAD:
            raise FileFault(self._POSITION, "this is bad")
        answer = picker.pick(job, 1)
        if isinstance(answer, Nowhere):
            return FileFault(self._POSITION, answer.what, answer.instead)
        if isinstance(answer, Skip):
            return answer
        try:
            return answer(job)
        except TemplateFault as fault:
            raise FileFault(self._POSITION, fault.what) from fault

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
