"""Fakes for tests with exact timing: nodes that a test makes reachable or not, shells that know
five commands, a queue in memory. The sessions pass the same contract tests as the real ones; see
``tests/contract.py``.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from pegasus.detachment import Detachment
from pegasus.dispatch import Fill
from pegasus.errors import FileFault, NodeUnreachable, PegasusError, TemplateFault, sole_error
from pegasus.events import Ended, Event, Listener, Printed, Started, Taken
from pegasus.model import (
    Apart,
    Assignment,
    Command,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Position,
    Stream,
    SubNode,
    TakenJob,
)


class FakeShell:
    """Understands ``printf WORD``, ``exit N``, ``kill -N $$``, ``sleep N`` and ``hang up``.

    What follows a ``#`` is a comment, as for sh.
    """

    def __init__(self, node: FakeNode) -> None:
        self._started = trio.Event()
        self._node = node

    async def wait_broken(self) -> None:
        await self._node.broken.wait()

    @property
    def begun(self) -> bool:
        return self._started.is_set() or self._node.broken.is_set()

    async def wait_begun(self) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, self._started)
            nursery.start_soon(wait, self._node.broken)

    @property
    def key(self) -> str | None:
        return None

    @property
    def seconds(self) -> float | None:
        return None

    def claim(self) -> str | None:
        return None

    async def release(self, key: str) -> bool:
        await trio.lowlevel.checkpoint()
        return True

    async def wait_next(self) -> bool:
        await trio.lowlevel.checkpoint()
        self._started = trio.Event()
        return not self._node.broken.is_set()

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Callable[[Printed], Awaitable[None]],
        kill_now: trio.Event,
        detachment: Detachment | None = None,
    ) -> Outcome | Apart:
        if self._node.broken.is_set():
            return NotStarted("the shell on the node was gone")
        if not self._node.starts_commands:
            await trio.lowlevel.checkpoint()
            return NotStarted("sh: cannot fork")
        if self._node.begins_in:
            await trio.sleep(self._node.begins_in)
        self._started.set()
        self._node.ran.append(assignment.command)
        self._node.runs_now += 1
        try:
            return await self._run(assignment, show)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._node.ends_in)
            raise
        finally:
            self._node.runs_now -= 1

    async def _run(
        self, assignment: Assignment, show: Callable[[Printed], Awaitable[None]]
    ) -> Outcome:
        assert self._node.runs_now == 1, "a sub-node runs one command at a time"
        match assignment.command.partition("#")[0].split():
            case ["printf", word]:
                await show(Printed(assignment, Stream.STDOUT, word.encode()))
                return Exited(0)
            case ["exit", status]:
                await trio.lowlevel.checkpoint()
                return Exited(int(status))
            case ["kill", number, "$$"]:
                await trio.lowlevel.checkpoint()
                return Killed(-int(number))
            case ["sleep", seconds]:
                return await self._sleep(float(seconds))
            case ["hang", "up"]:
                self._node.hang_up()
                await trio.lowlevel.checkpoint()
                return Lost(self._node.words)
        raise AssertionError(f"a fake shell does not know {assignment.command!r}")

    async def _sleep(self, seconds: float) -> Outcome:
        with trio.move_on_after(seconds):
            await self._node.broken.wait()
            return Lost(self._node.words)
        return Exited(0)


@dataclass(eq=False)
class FakeNode:
    """A node that a test controls.

    Attributes:
        words: what "ssh" says while it can't be reached.
        reachable: whether it can be.
        answers_in: seconds that a connection takes, or its refusal.
        has_shells: whether a shell can be started on it.
        starts_commands: whether a shell on it starts what it is given.
        begins_in: seconds between the hand-over of a command and its beginning.
        ends_in: seconds that a command needs to end once it is cancelled.
        stands_for: seconds after which it drops each connection.
        preparing: where a shell waits until a test lets it become ready; None for no wait.
        tries: when a connection was tried.
        ran: the commands that ran on it.
        open: how many sessions are open.
        runs_now: how many commands run on it now.
    """

    words: str = "Connection refused"
    reachable: bool = True
    answers_in: float = 0.0
    has_shells: bool = True
    starts_commands: bool = True
    begins_in: float = 0.0
    ends_in: float = 0.0
    stands_for: float = math.inf
    preparing: trio.lowlevel.ParkingLot | None = None
    tries: list[float] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    open: int = 0
    runs_now: int = 0
    broken: trio.Event = field(default_factory=trio.Event)

    def hang_up(self) -> None:
        """Break the connection that is open now."""
        self.broken.set()

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[FakeNode]:
        self.tries.append(trio.current_time())
        await trio.sleep(self.answers_in)
        if not self.reachable:
            raise NodeUnreachable(self.words)
        self.broken = trio.Event()
        self.open += 1
        try:
            with sole_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._drop)
                    yield self
                    nursery.cancel_scope.cancel()
        finally:
            self.open -= 1

    async def _drop(self) -> None:
        await trio.sleep(self.stands_for)
        self.hang_up()

    @asynccontextmanager
    async def open_shell(self, *, detached: bool = False) -> AsyncIterator[FakeShell]:
        if self.preparing is not None:  # as a real shell: no checkpoint after it is woken
            await self.preparing.park()
        else:
            await trio.lowlevel.checkpoint()
        if self.broken.is_set() or not self.has_shells:
            raise NodeUnreachable(self.words)
        yield FakeShell(self)


class FakeNodes:
    """Nodes by name, each made at its first use."""

    def __init__(self) -> None:
        self.by_name: dict[str, FakeNode] = {}

    @property
    def open(self) -> int:
        """How many sessions are open."""
        return sum(node.open for node in self.by_name.values())

    def __getitem__(self, name: str) -> FakeNode:
        return self.by_name.setdefault(name, FakeNode())

    @asynccontextmanager
    async def open_session(self, sub_node: SubNode) -> AsyncIterator[FakeNode]:
        async with self[str(sub_node)].open_session() as session:
            yield session


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
