"""Connections that the lanes of a sub-node share: its commands that run at the same time.

Rule 1: a connection serves a few lanes. Where a node takes fewer sessions over one than usual
(MaxSessions of its sshd), this is learned from its refusal, and the lane that was refused goes on
over another connection.
Rule 2: a connection belongs to none of its lanes: it is kept beside them, and is closed when the
last of them has left. So the end of one lane, also by a cancellation, ends no command of another.
Rule 3: a connection that breaks is the end of its own lanes only.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

import trio

from pegasus.errors import NodeUnreachable
from pegasus.model import SubNode
from pegasus.transport.detached import DetachedShell
from pegasus.transport.messages import refuses_sessions
from pegasus.transport.shell import NodeShell

AnyShell: TypeAlias = NodeShell | DetachedShell

LANES = 8
"""Lanes that share a connection: sshd takes ten sessions over one, and a question and a diagnosis
need room."""

DECISION_LIMIT = 5.0
"""Seconds to wait for the other shells that are being opened over a connection when one of them was
refused: how many are accepted is the limit of the node."""


class OpenConnection(Protocol):
    """A connection that is open, as ``ssh`` opens it."""

    place: str
    ended: trio.Event

    def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AbstractAsyncContextManager[AnyShell]:
        """Start a shell over it."""


@dataclass(eq=False)
class SessionLimit:
    """How many sessions a node takes over one connection, as far as is known.

    Attributes:
        proven: the most that there were at a time over one connection.
        refused: whether it has ever refused one.
    """

    proven: int = 1
    refused: bool = False

    @property
    def sessions(self) -> float:
        """How many it takes: as many as there ever were, once it has refused one."""
        return self.proven if self.refused else math.inf


@dataclass(eq=False)
class SharedConnection:
    """A connection, and who uses it.

    Attributes:
        limit: of its node.
        lanes: how many lanes open their shells over it.
        shells: how many shells are open over it, or being opened.
        is_over: whether nobody can use it any more.
        has_served: whether the node has ever accepted a session over it.
    """

    limit: SessionLimit
    lanes: int = 0
    shells: int = 0
    is_over: bool = False
    has_served: bool = False
    _users: int = 0
    _opening: int = 0
    _ready: int = 0
    _words: str = ""
    _session: OpenConnection | None = None
    _connected: trio.Event = field(default_factory=trio.Event)
    _decided: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)
    _scope: trio.CancelScope = field(default_factory=lambda: trio.CancelScope(shield=True))

    @property
    def has_room(self) -> bool:
        """Whether another lane may use it."""
        return max(self.lanes, self.shells) < min(LANES, self.limit.sessions)

    @property
    def is_connected(self) -> bool:
        """Whether it is open."""
        return self._session is not None and not self.is_over

    @property
    def is_full(self) -> bool:
        """Whether its node would take no further session over it."""
        return self.shells >= self.limit.sessions and not self.is_over

    async def keep(self, opening: AbstractAsyncContextManager[OpenConnection]) -> None:
        """Connect, and keep the connection until nobody uses it any more."""
        try:
            with self._scope:
                async with opening as self._session:
                    self._connected.set()
                    await self._session.ended.wait()
                    self.is_over = True
                    await trio.sleep_forever()  # its lanes find out why it has ended
        except NodeUnreachable as error:
            self._words = error.words
        finally:
            self.is_over = True
            self._connected.set()

    async def wait_connected(self) -> OpenConnection:
        """Wait until it is connected.

        Raises:
            NodeUnreachable: it could not be connected.
        """
        await self._connected.wait()
        if self._session is None:
            raise NodeUnreachable(self._words)
        return self._session

    @contextmanager
    def used(self) -> Iterator[None]:
        """Use it during the block; the last user closes it."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self.is_over = True
                self._scope.cancel(reason="nobody uses the connection any more")

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Open the shells of a lane over it during the block."""
        self.lanes += 1
        try:
            with self.used():
                yield
        finally:
            self.lanes -= 1

    @asynccontextmanager
    async def open_shell(self, on_key: Callable[[str], None] | None) -> AsyncIterator[AnyShell]:
        """Open a shell over it.

        Raises:
            NodeUnreachable: it is broken, or takes no more sessions.
        """
        self.shells += 1
        try:
            with self.used():
                async with AsyncExitStack() as stack:
                    session = await self.wait_connected()
                    with self._being_opened():
                        opening = session.open_shell(on_key=on_key)
                        shell = await stack.enter_async_context(opening)
                    with self._open():
                        yield shell
        finally:
            self.shells -= 1

    @contextmanager
    def _being_opened(self) -> Iterator[None]:
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1
            self._decided.unpark_all()

    @contextmanager
    def _open(self) -> Iterator[None]:
        self._ready += 1
        self.has_served = True
        self.limit.proven = max(self.limit.proven, self._ready)
        try:
            yield
        finally:
            self._ready -= 1

    async def learn_limit(self) -> None:
        """Learn how many sessions its node takes, after it has refused one."""
        with trio.move_on_after(DECISION_LIMIT):
            while self._opening:
                await self._decided.park()
        self.limit.refused = True


Connect: TypeAlias = Callable[[SubNode], AbstractAsyncContextManager[OpenConnection]]
Choose: TypeAlias = Callable[[Collection[SharedConnection]], SharedConnection]


@dataclass(eq=False)
class _Group:
    """The connections to one sub-node, and why the last one failed.

    One lane at a time tries to connect while that fails, and all others get its result once: so a
    node that is down is tried no more often for a hundred lanes than for one.
    """

    connections: list[SharedConnection] = field(default_factory=list)
    limit: SessionLimit = field(default_factory=SessionLimit)
    _failed: SharedConnection | None = None
    _words: str = ""
    _informed: set[trio.lowlevel.Task] = field(default_factory=set)  # of the last failure

    def refuse_uninformed(self) -> None:
        """Give the calling lane the last failure, unless it has it.

        Raises:
            NodeUnreachable: connections fail.
        """
        lane = trio.lowlevel.current_task()
        if self._failed is not None and lane not in self._informed:
            self._informed.add(lane)
            raise NodeUnreachable(self._words)

    def fail(self, connection: SharedConnection, words: str) -> None:
        """Record that a connection failed, as the calling lane knows."""
        if connection is not self._failed:
            self._failed, self._words = connection, words
            self._informed.clear()
        self._informed.add(trio.lowlevel.current_task())

    def succeed(self) -> None:
        """Record that a connection is open."""
        self._failed, self._words = None, ""
        self._informed.clear()

    @property
    def first_try(self) -> SharedConnection | None:
        """A connection that is being opened, where it is not known yet whether one can be."""
        live = [each for each in self.connections if not each.is_over]
        return live[0] if live and not any(each.is_connected for each in live) else None


class SharedConnections:
    """The connections of the sub-nodes with lanes, in one run.

    Args:
        masters: runs the connections, for longer than anybody uses one.
        connect: opens a connection.
    """

    def __init__(self, masters: trio.Nursery, connect: Connect) -> None:
        self._masters, self._connect_to = masters, connect
        self._groups: dict[SubNode, _Group] = {}
        self._limits: dict[str, SessionLimit] = {}

    @asynccontextmanager
    async def open_session(self, sub_node: SubNode) -> AsyncIterator[SharedSession]:
        """Join a connection to a sub-node that has room, or open one.

        Raises:
            NodeUnreachable: it could not be connected to; in ssh's own words.
        """
        group = self._groups.setdefault(sub_node, _Group())
        group.refuse_uninformed()
        await self._connect_first(group)
        session = SharedSession(partial(self._choose, group, sub_node))
        try:
            session.place = await self._connect(group, session.connection)
            yield session
        finally:
            session.leave()

    async def _connect_first(self, group: _Group) -> None:
        """Wait until one connection is open; where that fails, no other one is tried."""
        while (first := group.first_try) is not None and not first.has_room:
            with first.used():
                await self._connect(group, first)

    async def _connect(self, group: _Group, connection: SharedConnection) -> str:
        """Wait until a connection is open; return the place of its node."""
        try:
            place = (await connection.wait_connected()).place
        except NodeUnreachable as error:
            group.fail(connection, error.words)
            raise
        group.succeed()
        group.limit = connection.limit = self._limits.setdefault(place, connection.limit)
        return place

    def _choose(
        self, group: _Group, sub_node: SubNode, tried: Collection[SharedConnection]
    ) -> SharedConnection:
        """Return a connection with room, which may be a new one that is not connected yet.

        Args:
            group: the connections to the sub-node.
            sub_node: where to.
            tried: connections that are of no use.
        """
        group.connections = [each for each in group.connections if not each.is_over]
        for each in group.connections:
            if each.has_room and each not in tried:
                return each
        connection = SharedConnection(group.limit)
        group.connections.append(connection)
        self._masters.start_soon(connection.keep, self._connect_to(sub_node))
        return connection


class SharedSession:
    """A lane's session: it opens its shells over one connection, as long as that takes them.

    Args:
        choose: returns a connection with room, other than those that are of no use.

    Attributes:
        place: what identifies its node: see ``ports``.
        connection: the one that it uses now.
    """

    def __init__(self, choose: Choose) -> None:
        self.place = ""
        self._choose = choose
        self._lane = ExitStack()
        self.connection = self._join()

    def _join(self, tried: Collection[SharedConnection] = ()) -> SharedConnection:
        """Join another connection, and leave the one before."""
        connection = self._choose(tried)
        with self._lane:
            self._lane = ExitStack()
            self._lane.enter_context(connection.joined())
        return connection

    def leave(self) -> None:
        """Leave the connection."""
        self._lane.close()

    @asynccontextmanager
    async def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AsyncIterator[AnyShell]:
        """Start a shell on the node that waits for a command.

        Args:
            on_key: see ``ports``; None for commands that end with the shell.

        Raises:
            NodeUnreachable: the connection is broken, or no connection takes a command.
        """
        async with AsyncExitStack() as stack:
            yield await self._open(stack, on_key)

    async def _open(self, stack: AsyncExitStack, on_key: Callable[[str], None] | None) -> AnyShell:
        """Open a shell over the first connection that takes it."""
        tried: list[SharedConnection] = []
        while True:
            if self.connection in tried or self.connection.is_full:
                self.connection = self._join(tried)
            connection = self.connection
            try:
                return await stack.enter_async_context(connection.open_shell(on_key))
            except NodeUnreachable as error:
                if not refuses_sessions(error.words):
                    raise
                refusal = error
            await connection.learn_limit()
            if not connection.has_served:  # nor will another one
                raise refusal
            tried.append(connection)
