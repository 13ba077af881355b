"""Who may connect now: sshd's limits, and what one sub-node learns for all of a host.

Rule 1: connections that are not logged in yet are counted by where ssh connects to, not by how a
name is spelled: at the host, and at the jump or the ProxyCommand before it.
Rule 2: after a failure one sub-node tries for all that connect in the same way, and the others get
its result: sshd refuses an address for some time that fails again and again (PerSourcePenalties).
Rule 3: a connection that is closed before login is tried again here: sshd may only have been busy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import ExitStack
from typing import TypeVar

import trio

from pegasus.errors import NodeUnreachable
from pegasus.transport.resolved import Resolved, Resolver

Opened = TypeVar("Opened")

HANDSHAKES = 8
"""Connections to one sshd that may be on their way at once: its MaxStartups begins to refuse at ten
that are not logged in yet, and another user may connect as well."""

CLOSED_LIMIT = 30.0
"""Seconds for which connections that are closed before login are tried again before the host counts
as unreachable. Who is about to log in occupies sshd for less than a second; an address that failed
three times is refused for 15 s (PerSourcePenalties)."""

FIRST_PAUSE = 0.5
LAST_PAUSE = 8.0
"""Seconds between such tries: doubled each time."""

NOTE_AFTER = 1.0
"""Seconds after which a person is told what is being waited for."""

JUMPS = 8
"""Jumps before a jump that are followed: ssh itself follows no more."""


class NotConnected(NodeUnreachable):
    """A connection to a host failed, before anything ran over it.

    Args:
        words: ssh's own words.
        may_pass: whether it may pass by itself, as where sshd closed the connection before login.
    """

    def __init__(self, words: str, *, may_pass: bool = False) -> None:
        super().__init__(words)
        self.may_pass = may_pass


class Gate:
    """What all sub-nodes share that connect in the same way: limits, and the present failure.

    Args:
        name: of the host, as people know it.
        limits: one for each sshd or ProxyCommand on the way, always in the same order.
        on_note: is told when connections are closed before login, and not only once.
    """

    def __init__(
        self, name: str, limits: Sequence[trio.CapacityLimiter], on_note: Callable[[str], None]
    ) -> None:
        self._name = name
        self._limits = limits
        self._on_note = on_note
        self._words = ""  # why it fails; the first reason holds until a connection succeeds
        self._told: set[Hashable] = set()  # who knows of the last failure
        self._probe = trio.Lock()
        self._news = trio.Event()
        self._closed_since: float | None = None
        self._pause = FIRST_PAUSE
        self._noted = False

    async def connect(self, who: Hashable, attempt: Callable[[], Awaitable[Opened]]) -> Opened:
        """Connect, when it is this sub-node's turn.

        Args:
            who: the sub-node.
            attempt: makes one connection.

        Raises:
            NodeUnreachable: it failed, or that of another sub-node did that connects alike.
        """
        while True:
            if not self._fails:
                opened = await self._attempt(who, attempt, probing=False)
            else:
                opened = await self._probe_for_all(who, attempt)
            if opened is not None:
                return opened

    @property
    def _fails(self) -> bool:
        return bool(self._words) or self._closed_since is not None

    async def _probe_for_all(
        self, who: Hashable, attempt: Callable[[], Awaitable[Opened]]
    ) -> Opened | None:
        """Try for all, or hear of the try of another; None where it is to be tried again."""
        async with self._probe:
            self._refuse_untold(who)
            if self._closed_since is not None and not self._words:
                with trio.move_on_after(self._pause):
                    await self._news.wait()
                self._pause = min(2 * self._pause, LAST_PAUSE)
                self._refuse_untold(who)
            if not self._fails:
                return None
            return await self._attempt(who, attempt, probing=True)

    def _refuse_untold(self, who: Hashable) -> None:
        if self._words and who not in self._told:
            self._told.add(who)
            raise NodeUnreachable(self._words)

    async def _attempt(
        self, who: Hashable, attempt: Callable[[], Awaitable[Opened]], *, probing: bool
    ) -> Opened | None:
        """Connect within the limits; None where it is to be tried again."""
        with ExitStack() as taken:
            for limit in self._limits:
                borrower = object()
                await limit.acquire_on_behalf_of(borrower)
                taken.callback(limit.release_on_behalf_of, borrower)
            if self._fails and not probing:
                return None  # it was found out meanwhile
            try:
                opened = await attempt()
            except NotConnected as error:
                self._fail(who, error, probing=probing)
                return None
        self._succeed()
        return opened

    def _succeed(self) -> None:
        if self._fails:
            self._words, self._closed_since, self._pause = "", None, FIRST_PAUSE
            self._noted = False
            self._told.clear()
            self._tell_news()

    def _fail(self, who: Hashable, error: NotConnected, *, probing: bool) -> None:
        """Take note of a failure; raise unless it may pass."""
        if error.may_pass and not self._words and not self._lasts(error.words):
            return
        if not self._words or (probing and not error.may_pass):
            self._words = error.words
        if probing:
            self._told.clear()
        self._told.add(who)
        self._tell_news()
        raise NodeUnreachable(self._words) from error

    def _lasts(self, words: str) -> bool:
        """Tell whether connections are closed before login for too long to wait any longer."""
        now = trio.current_time()
        if self._closed_since is None:
            self._closed_since = now
        lasted = now - self._closed_since
        if NOTE_AFTER <= lasted < CLOSED_LIMIT and not self._noted:
            self._noted = True
            self._on_note(
                f"{self._name} closes connections before login, trying again for up to "
                f"{CLOSED_LIMIT:g} s: {words}"
            )
        return lasted >= CLOSED_LIMIT

    def _tell_news(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Handshakes:
    """Finds the gate for a destination.

    Args:
        resolver: tells what ssh makes of a name.
        on_note: is told what a person should read once.
    """

    def __init__(self, resolver: Resolver, on_note: Callable[[str], None]) -> None:
        self._resolver = resolver
        self._on_note = on_note
        self._limits: dict[tuple[str, ...], trio.CapacityLimiter] = {}
        self._gates: dict[Hashable, Gate] = {}

    async def gate(self, hostname: str) -> Gate:
        """Give the gate of all destinations that ssh connects to in the same way as to this one.

        Args:
            hostname: as it is written in the hosts file.
        """
        resolved = await self._resolver.resolve(hostname)
        alike = resolved.settings or hostname
        if alike not in self._gates:
            places = sorted(set(await self._places(resolved)))
            # Always in the same order: else two could wait for each other.
            limits = [self._limits.setdefault(each, _limit()) for each in places]
            self._gates.setdefault(alike, Gate(hostname, limits, self._on_note))
        return self._gates[alike]

    async def _places(self, resolved: Resolved) -> list[tuple[str, ...]]:
        """Name the sshds and the ProxyCommand that a connection waits for to log in."""
        places: list[tuple[str, ...]] = []
        for _ in range(JUMPS):
            places.append((resolved.hostname, str(resolved.port)))
            if resolved.proxy:
                places.append(("ProxyCommand", "", resolved.proxy))
            if not resolved.jump:
                break
            resolved = await self._resolver.resolve(f"ssh://{resolved.jump}")
        return places


def _limit() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(HANDSHAKES)
