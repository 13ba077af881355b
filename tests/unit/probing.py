"""Nodes that answer questions about their slots as a test says: fakes for tests of the prober."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from pegasus.detachment import Detachment
from pegasus.errors import NodeUnreachable
from pegasus.events import Noted, Printed, Probed
from pegasus.model import (
    Apart,
    Assignment,
    Exited,
    Lost,
    NotStarted,
    Outcome,
    Pool,
    Stream,
    SubNode,
)
from tests.fake_queue import Listening
from tests.fakes import FakeNode, FakeShell

GPU = Pool("gpu", "probe", command="free-slots")
ALL = b"0\n1\n"


@dataclass(eq=False)
class AskedNode:
    """A node whose answers a test decides.

    Attributes:
        prints: the answer.
        status: its exit status.
        takes: seconds until it comes.
        ends_in: seconds that a question needs to end when it is cancelled.
        reachable: whether a session can be opened.
        is_up: whether an open connection works.
        asked: when it was asked.
        questions: what it was asked.
        sessions: how often one was opened.
        open: how many are open.
        running: how many questions are under way.
        place: the machine.
    """

    prints: bytes = ALL
    status: int = 0
    takes: float = 0.02
    ends_in: float = 0.0
    reachable: bool = True
    is_up: bool = True
    asked: list[float] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    sessions: int = 0
    open: int = 0
    running: int = 0
    place: str = "fake"

    @asynccontextmanager
    async def open_session(self, _sub_node: SubNode) -> AsyncIterator[AskedNode]:
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise NodeUnreachable("Connection refused")
        self.sessions += 1
        self.open += 1
        self.is_up = True
        try:
            yield self
        finally:
            self.open -= 1

    @asynccontextmanager
    async def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AsyncIterator[AskedShell]:
        assert on_key is None, "a question is not detached"
        await trio.lowlevel.checkpoint()
        if not self.is_up:
            raise NodeUnreachable("the connection broke")
        yield AskedShell(self)


class AskedShell(FakeShell):
    """Answers as its node says."""

    def __init__(self, asked: AskedNode) -> None:
        super().__init__(FakeNode())
        self._asked = asked

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Callable[[Printed], Awaitable[None]],
        kill_now: trio.Event,
        detachment: Detachment | None = None,
    ) -> Outcome | Apart:
        node = self._asked
        if not node.is_up:
            await trio.lowlevel.checkpoint()
            return NotStarted("the shell on the node was gone")
        node.asked.append(trio.current_time())
        node.questions.append(assignment.command)
        node.running += 1
        try:
            await trio.sleep(node.takes)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(node.ends_in)
            raise
        finally:
            node.running -= 1
        if not node.is_up:
            return Lost("the connection broke")
        await show(Printed(assignment, Stream.STDOUT, node.prints))
        return Exited(node.status)


class Told(Listening):
    """Records what the prober reports."""

    @property
    def notes(self) -> list[str]:
        """The messages."""
        return [event.text for _, event in self.told if isinstance(event, Noted)]

    @property
    def answers(self) -> list[Probed]:
        """The answers."""
        return [event for _, event in self.told if isinstance(event, Probed)]
