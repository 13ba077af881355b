"""Connections that lanes share, with exact timing; tests/e2e/test_lanes.py has real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.lowlevel

from pegasus.errors import NodeUnreachable
from pegasus.model import Killed, Lost, Outcome, Pool, SubNode
from pegasus.transport import NodeShell, SshContext
from pegasus.transport.messages import break_words, refuses_sessions
from pegasus.transport.sharing import LANES, SharedConnections
from pegasus.transport.ssh import SshSession

SUB_NODES = [SubNode(number, "node", (), "ssh", (Pool("gpu"),)) for number in range(2)]
REFUSAL = "no more commands over this connection: Session open refused by peer"
FOREVER = 10_000.0


class Node:
    """A node whose connections take a few sessions each.

    Attributes:
        sessions: how many.
        down: why it cannot be reached.
        tries: how often a connection was tried.
        open: the connections that are open.
    """

    def __init__(self, sessions: int = 10) -> None:
        self.sessions = sessions
        self.down = ""
        self.tries = 0
        self.open: list[Connection] = []

    @asynccontextmanager
    async def connect(self, _sub_node: SubNode) -> AsyncIterator[Connection]:
        self.tries += 1
        await trio.sleep(1.0)
        if self.down:
            raise NodeUnreachable(self.down)
        connection = Connection(self)
        self.open.append(connection)
        try:
            yield connection
        finally:
            self.open.remove(connection)

    @property
    def running(self) -> list[int]:
        """How many shells are open over each connection."""
        return [connection.running for connection in self.open]


class Connection:
    """One of its connections."""

    def __init__(self, node: Node) -> None:
        self.place = "node:22"
        self.ended = trio.Event()
        self.running = self.used = 0
        self._node = node

    @asynccontextmanager
    async def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AsyncIterator[NodeShell]:
        assert on_key is None
        await trio.sleep(0.1)
        if self.ended.is_set():
            raise NodeUnreachable("the connection is gone")
        if self.used >= self._node.sessions:
            raise NodeUnreachable(REFUSAL)
        self.used += 1
        await trio.sleep(0.5)  # the account's start-up files
        self.running += 1
        try:
            yield cast("NodeShell", None)
        finally:
            self.used -= 1
            self.running -= 1


@asynccontextmanager
async def sharing(node: Node) -> AsyncIterator[SharedConnections]:
    """Share connections to a node; in the end all of them are closed."""
    async with trio.open_nursery() as masters:
        masters.cancel_scope.deadline = trio.current_time() + FOREVER
        yield SharedConnections(masters, node.connect)
    assert not masters.cancel_scope.cancelled_caught
    assert node.open == []


async def hold(
    shared: SharedConnections, sub_node: SubNode = SUB_NODES[0], seconds: float = 20.0
) -> None:
    """Open a shell in a lane, and hold it."""
    async with shared.open_session(sub_node) as session, session.open_shell():
        await trio.sleep(seconds)


@pytest.mark.parametrize(
    ("sessions", "running"), [(10, [8, 8, 4]), (3, [3] * 6 + [2]), (1, [1] * 20)]
)
async def test_as_few_as_it_takes(
    sessions: int, running: list[int], autojump_clock: trio.testing.MockClock
) -> None:
    """All lanes have a shell, over as few connections as the node's limit permits."""
    node = Node(sessions)
    async with sharing(node) as shared, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(hold, shared)
        await trio.sleep(8.0)
        assert sorted(node.running, reverse=True) == running
        assert node.tries == len(running)


async def test_what_was_learned(autojump_clock: trio.testing.MockClock) -> None:
    """A node refuses at most once: its limit holds for all its sub-nodes, and for the whole run."""
    node = Node(3)
    async with sharing(node) as shared:
        for sub_node in SUB_NODES:
            async with trio.open_nursery() as nursery:
                for _ in range(7):
                    nursery.start_soon(hold, shared, sub_node)
                await trio.sleep(8.0)
                assert sorted(node.running) == [1, 3, 3]
    assert node.tries == 6


async def test_one_after_the_other(autojump_clock: trio.testing.MockClock) -> None:
    """A lane joins a connection that has room, and may be asked something beside its command."""
    node = Node()
    async with sharing(node) as shared, trio.open_nursery() as nursery:
        for _ in range(LANES):
            nursery.start_soon(hold, shared)
            await trio.sleep(2.0)
        assert (node.running, node.tries) == ([LANES], 1)
        async with shared.open_session(SUB_NODES[0]) as ninth:
            assert ninth.place == "node:22"
            assert len(node.open) == 2
            async with ninth.open_shell(), ninth.open_shell():
                assert node.running[1] == 2
        await trio.testing.wait_all_tasks_blocked()
        assert len(node.open) == 1  # the ninth lane was alone on the other one


async def test_a_lane_moves(autojump_clock: trio.testing.MockClock) -> None:
    """A lane whose connection refuses goes on over another one, where it stays."""
    node = Node()
    async with sharing(node) as shared, shared.open_session(SUB_NODES[0]) as session:
        async with session.open_shell():
            pass
        node.open[0].used = 99  # sessions that the node has not ended yet
        for _ in range(3):
            async with session.open_shell():
                assert node.running == [1]
        assert node.tries == 2


@pytest.mark.parametrize("sessions", [0, 1])
async def test_a_node_without_sessions(
    sessions: int, autojump_clock: trio.testing.MockClock
) -> None:
    """A lane that gets no session over any connection has the node's own words."""
    node = Node(sessions)
    async with sharing(node) as shared, shared.open_session(SUB_NODES[0]) as session:
        if sessions:
            async with session.open_shell():
                pass
        node.sessions = 0
        with pytest.raises(NodeUnreachable, match="refused by peer"):
            async with session.open_shell():
                pass
    assert node.tries == 1 + sessions


async def test_a_connection_that_breaks(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody joins a broken connection; its lanes get the reason, and others go on."""
    node = Node()
    async with sharing(node) as shared, trio.open_nursery() as nursery:
        async with shared.open_session(SUB_NODES[0]) as session:
            node.open[0].ended.set()
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(hold, shared)
            await trio.sleep(2.0)
            assert node.running == [0, 1]
            with pytest.raises(NodeUnreachable, match="the connection is gone"):
                async with session.open_shell():
                    pass
        await trio.sleep(1.0)
        assert node.running == [1]


async def test_cancelled_lanes(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever is cancelled, the others have their connection; without any lane it is closed."""
    node = Node()
    async with sharing(node) as shared, trio.open_nursery() as others:
        with trio.move_on_after(0.5):  # while it connects
            others.start_soon(hold, shared)
            await hold(shared)
        await trio.sleep(2.0)
        assert (node.running, node.tries) == ([1], 1)
        others.cancel_scope.cancel()
    async with sharing(node) as shared:
        with trio.move_on_after(0.5):
            await hold(shared)
        await trio.sleep(FOREVER / 2)
        assert (node.open, node.tries) == ([], 2)


async def test_all_is_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    """A connection stays open until its lanes have ended their commands."""
    node = Node()
    seen = []

    async def lane(shared: SharedConnections) -> None:
        async with shared.open_session(SUB_NODES[0]) as session, session.open_shell():
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(10.0)
                    seen.append(node.running)

    with trio.move_on_after(5.0):
        async with sharing(node) as shared, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lane, shared)
    assert seen[0] == [3]
    assert node.open == []


async def test_a_node_that_is_down(autojump_clock: trio.testing.MockClock) -> None:
    """One lane tries for all; each gets the reason, and all are connected when the node is back."""
    node = Node()
    node.down = "No route to host"
    told = 0
    places = []

    async def lane(shared: SharedConnections) -> None:
        nonlocal told
        while True:
            try:
                async with shared.open_session(SUB_NODES[0]) as session:
                    places.append(session.place)
                    return
            except NodeUnreachable as error:
                told += error.words == "No route to host"
            await trio.sleep(10.0)

    async with sharing(node) as shared, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(lane, shared)
        await trio.sleep(100.0)
        assert told >= 100
        assert node.tries <= 10
        node.down = ""
    assert places == ["node:22"] * 20


def test_messages() -> None:
    """A refused session is no reason why a connection breaks later."""
    assert refuses_sessions(REFUSAL)
    assert not refuses_sessions("no more commands over this connection: Permission denied")
    refused = b"channel 4: open failed: connect failed: open failed\r\n"
    assert break_words(refused) == ""
    assert break_words(refused + b"Timeout, server a not responding.\r\n") == (
        "Timeout, server a not responding."
    )


@pytest.mark.parametrize(
    ("words", "outcome"),
    [(REFUSAL, Killed(9)), ("gone", Lost("the connection broke (ssh ended with status 255)"))],
)
async def test_a_refusal_comes_over_a_connection_that_works(words: str, outcome: Outcome) -> None:
    """A command without a report was killed where its node still answers, also with a refusal."""

    class Full(SshSession):
        @asynccontextmanager
        async def open_shell(
            self, *, on_key: Callable[[str], None] | None = None
        ) -> AsyncIterator[NodeShell]:
            await trio.lowlevel.checkpoint()
            raise NodeUnreachable(words)
            yield

    full = Full(cast("SshContext", None), "node", Path("socket"), "node:22")
    assert await full._diagnose(255) == outcome
