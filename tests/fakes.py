"""Fakes for tests with exact timing: nodes that a test makes reachable or not, shells that know
five commands. The sessions pass the same contract tests as the real ones; see
``tests/contract.py``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from pegasus.detachment import Detachment
from pegasus.errors import NodeUnreachable, sole_error
from pegasus.events import Printed
from pegasus.model import (
    Apart,
    Assignment,
    Cancelled,
    Exited,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    SubNode,
    TimedOut,
)


class FakeShell:
    """Understands ``printf WORD``, ``exit N``, ``kill -N $$``, ``sleep N`` and ``hang up``.

    What follows a ``#`` is a comment, as for sh.
    """

    def __init__(self, node: FakeNode) -> None:
        self._started = trio.Event()
        self._node = node
        self._broken = node.broken  # of the connection that is open now

    async def wait_broken(self) -> None:
        await self._broken.wait()

    @property
    def begun(self) -> bool:
        return self._started.is_set() or self._broken.is_set()

    async def wait_begun(self) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, self._started)
            nursery.start_soon(wait, self._broken)

    @property
    def key(self) -> str | None:
        return None

    @property
    def seconds(self) -> float | None:
        return None

    @property
    def is_dismissed(self) -> bool:
        return True

    async def wait_key(self) -> None:
        await trio.lowlevel.checkpoint()

    async def release(self, key: str) -> bool:
        await trio.lowlevel.checkpoint()
        return True

    async def wait_next(self) -> bool:
        await trio.sleep(self._node.next_in)
        self._started = trio.Event()
        return not self._broken.is_set()

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Callable[[Printed], Awaitable[None]],
        kill_now: trio.Event,
        detachment: Detachment | None = None,
    ) -> Outcome | Apart:
        if self._broken.is_set():
            return NotStarted("the shell on the node was gone")
        if not self._node.starts_commands:
            await trio.lowlevel.checkpoint()
            return NotStarted("sh: cannot fork")
        if self._node.begins_in:
            await trio.sleep(self._node.begins_in)
        self._started.set()
        if assignment.number == 0:  # a question
            outcome, stdout = await self._node.answer(assignment.command)
            await show(Printed(assignment, Stream.STDOUT, stdout))
            return outcome
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
        assert self._node.runs_now <= self._node.lanes, "a sub-node runs one command at a time"
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
            await self._broken.wait()
            return Lost(self._node.words)
        return Exited(0)


@dataclass(eq=False)
class FakeKeeper:
    """A detached command on a fake node: it needs no connection to go on."""

    command: str
    began: float
    ends_at: float
    outcome: Outcome
    output: bytes = b""

    @staticmethod
    def start(command: str) -> FakeKeeper:
        now = trio.current_time()
        match command.partition("#")[0].split():
            case ["printf", word]:
                return FakeKeeper(command, now, now, Exited(0), word.encode())
            case ["exit", status]:
                return FakeKeeper(command, now, now, Exited(int(status)))
            case ["sleep", seconds]:
                return FakeKeeper(command, now, now + float(seconds), Exited(0), b"begun")
        raise AssertionError(f"a fake keeper does not know {command!r}")

    def end(self, at: float, outcome: Outcome) -> None:
        if at < self.ends_at:
            self.ends_at, self.outcome = at, outcome


class FakeDetachedShell(FakeShell):
    """Runs detached commands, which go on when its connection breaks."""

    KEYS = itertools.count(1)

    def __init__(self, node: FakeNode, on_key: Callable[[str], None]) -> None:
        super().__init__(node)
        self._on_key = on_key
        self._seconds: float | None = None
        self._dismissed = False
        self.prepared = ""
        self._prepare()

    def _prepare(self) -> None:
        self.prepared = f"key-{next(self.KEYS)}"
        self._on_key(self.prepared)
        self._node.folders[self.prepared] = None

    def dismiss(self) -> None:
        if self._node.folders.get(self.prepared, True) is None:
            del self._node.folders[self.prepared]
        self._dismissed = True

    @property
    def is_dismissed(self) -> bool:
        return self._dismissed

    @property
    def key(self) -> str | None:
        return self.prepared

    @property
    def seconds(self) -> float | None:
        return self._seconds

    async def wait_next(self) -> bool:
        if await super().wait_next():
            self._prepare()
            return True
        return False

    async def release(self, key: str) -> bool:
        await trio.lowlevel.checkpoint()
        keeper = self._node.folders.get(key)
        if self._broken.is_set() or (keeper and trio.current_time() < keeper.ends_at):
            return False
        self._node.folders.pop(key, None)
        return True

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Callable[[Printed], Awaitable[None]],
        kill_now: trio.Event,
        detachment: Detachment | None = None,
    ) -> Outcome | Apart:
        assert detachment is not None
        assert assignment.key is not None
        folders = self._node.folders
        if detachment.extent is None:
            if self._broken.is_set() or not self._node.starts_commands:
                return NotStarted("the shell on the node was gone")
            folders[assignment.key] = keeper = FakeKeeper.start(assignment.command)
            self._node.ran.append(assignment.command)
            keeper.end(keeper.began + detachment.limit, TimedOut(detachment.limit))
        elif assignment.key not in folders:
            return Lost("its folder is gone")
        elif (found := folders[assignment.key]) is None:
            return NotStarted("it was never started")
        else:
            keeper = found
        self._started.set()
        seen = (detachment.extent or {}).get(Stream.STDOUT, 0)
        if seen < len(keeper.output):
            await show(Printed(assignment, Stream.STDOUT, keeper.output[seen:]))
        return await self._follow(keeper, detachment)

    async def _follow(self, keeper: FakeKeeper, detachment: Detachment) -> Outcome | Apart:
        while trio.current_time() < keeper.ends_at:
            if detachment.stop.is_set():
                keeper.end(trio.current_time() + self._node.ends_in, Cancelled())
            with trio.move_on_at(keeper.ends_at):
                if detachment.stop.is_set():
                    await self._broken.wait()
                else:
                    await self._wait_either(detachment.stop)
            if self._broken.is_set():
                return Apart(self._node.words)
        await trio.lowlevel.checkpoint()
        self._seconds = keeper.ends_at - keeper.began
        return Apart(self._node.words) if self._broken.is_set() else keeper.outcome

    async def _wait_either(self, stop: trio.Event) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, stop)
            nursery.start_soon(wait, self._broken)


async def no_answer(_question: str) -> tuple[Outcome, bytes]:
    """Answer as a node that does not know the command."""
    await trio.lowlevel.checkpoint()
    return Exited(127), b""


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
        next_in: seconds after a command until its shell waits for the next one.
        stands_for: seconds after which it drops each connection.
        preparing: where a shell waits until a test lets it become ready; None for no wait.
        tries: when a connection was tried.
        ran: the commands that ran on it.
        open: how many sessions are open.
        runs_now: how many commands run on it now.
        folders: of detached commands, by key; None where nothing has started in it.
        place: its identity.
        lanes: how many commands may run on it at a time.
        answer: gets each question, and gives its outcome and output.
    """

    words: str = "Connection refused"
    reachable: bool = True
    answers_in: float = 0.0
    has_shells: bool = True
    starts_commands: bool = True
    begins_in: float = 0.0
    ends_in: float = 0.0
    next_in: float = 0.0
    stands_for: float = math.inf
    preparing: trio.lowlevel.ParkingLot | None = None
    tries: list[float] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    open: int = 0
    runs_now: int = 0
    broken: trio.Event = field(default_factory=trio.Event)
    folders: dict[str, FakeKeeper | None] = field(default_factory=dict)
    place: str = "node:22"
    lanes: float = 1
    answer: Callable[[str], Awaitable[tuple[Outcome, bytes]]] = no_answer

    def hang_up(self) -> None:
        """Break the connection that is open now."""
        self.broken.set()

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[FakeNode]:
        self.tries.append(trio.current_time())
        await trio.sleep(self.answers_in)
        if not self.reachable:
            raise NodeUnreachable(self.words)
        if self.broken.is_set():  # the connections that stand break together
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
    async def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AsyncIterator[FakeShell]:
        has_shell = self.has_shells and not self.broken.is_set()
        # The folder of a detached command is made before the shell is ready.
        shell = FakeDetachedShell(self, on_key) if on_key is not None and has_shell else None
        if self.preparing is not None:  # as a real shell: no checkpoint after it is woken
            await self.preparing.park()
        else:
            await trio.lowlevel.checkpoint()
        if self.broken.is_set() or not self.has_shells:
            raise NodeUnreachable(self.words)
        if shell is None:
            yield FakeShell(self)
            return
        try:
            yield shell
        finally:
            if not self.broken.is_set():
                shell.dismiss()


class FakeNodes:
    """Nodes by name, each made at its first use."""

    def __init__(self) -> None:
        self.by_name: dict[str, FakeNode] = {}

    @property
    def open(self) -> int:
        """How many sessions are open."""
        return sum(node.open for node in self.by_name.values())

    def __getitem__(self, name: str) -> FakeNode:
        hostname = name.partition(" (")[0]
        return self.by_name.setdefault(name, FakeNode(place=f"{hostname}:22"))

    @asynccontextmanager
    async def open_session(self, sub_node: SubNode) -> AsyncIterator[FakeNode]:
        if sub_node.pools:
            self[str(sub_node)].lanes = math.inf
        async with self[str(sub_node)].open_session() as session:
            yield session
