"""Limits the connections that are not logged in yet, and shares the failure of a host.

Rule 1: connections that are not logged in yet are counted by the address that ssh connects to, not
by the spelling of the name: at the host, and at the jump or the ProxyCommand before it.
Rule 2: after a failure one sub-node tries for all that connect in the same way, and the others get
its result: sshd refuses an address for some time after several failures (PerSourcePenalties).
Rule 3: a connection that is closed before login is tried again here: sshd may only have been busy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import ExitStack
from typing import TypeVar

import trio

from pegasus.errors import NodeUnreachable
from pegasus.transport.resolved import Resolved, Resolver

SessionT = TypeVar("SessionT")

HANDSHAKES = 8
"""Connections to one sshd that may be logging in at once: its MaxStartups refuses some of them from
ten on, and another user may connect as well."""

CLOSED_LIMIT = 30.0
"""Seconds for which connections that are closed before login are tried again before the host counts
as unreachable. A login occupies sshd for less than a second; an address that failed three times is
refused for 15 s (PerSourcePenalties)."""

FIRST_PAUSE = 0.5
LAST_PAUSE = 8.0
"""Seconds between such tries, doubled each time."""

CLOSED_NOTE_AFTER = 1.0
"""Seconds after which the wait is reported to the user."""

JUMPS = 8
"""The number of jumps in a row that are followed: ssh itself follows no more."""


class NotConnected(NodeUnreachable):
    """A connection to a host failed, before anything ran over it.

    Args:
        words: ssh's own words.
        may_pass: whether the cause may be temporary, as where sshd closed the connection before
            login.
    """

    def __init__(self, words: str, *, may_pass: bool = False) -> None:
        super().__init__(words)
        self.may_pass = may_pass


class CircuitBreaker:
    """The limits and the present failure that sub-nodes share which connect in the same way.

    While connections fail, one sub-node at a time tries, and all others get its result.

    Args:
        name: of the host, for messages.
        limits: one for each sshd or ProxyCommand on the way, always in the same order.
        on_note: gets a sentence when connections are repeatedly closed before login.
    """

    def __init__(
        self, name: str, limits: Sequence[trio.CapacityLimiter], on_note: Callable[[str], None]
    ) -> None:
        self._name = name
        self._limits = limits
        self._on_note = on_note
        self._words = ""  # why connections fail; the first reason counts until one succeeds
        self._informed: set[Hashable] = set()  # the sub-nodes that got the last failure
        self._probe = trio.Lock()
        self._changed = trio.Event()
        self._closed_since: float | None = None
        self._pause = FIRST_PAUSE
        self._noted = False

    async def connect(self, who: Hashable, attempt: Callable[[], Awaitable[SessionT]]) -> SessionT:
        """Connect within the limits.

        Args:
            who: the sub-node.
            attempt: makes one connection.

        Raises:
            NodeUnreachable: it failed, or the try of another sub-node for all failed.
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
        self, who: Hashable, attempt: Callable[[], Awaitable[SessionT]]
    ) -> SessionT | None:
        """Try for all, or get the result of another try; None where it is to be tried again."""
        async with self._probe:
            self._refuse_uninformed(who)
            if self._closed_since is not None and not self._words:
                with trio.move_on_after(self._pause):
                    await self._changed.wait()
                self._pause = min(2 * self._pause, LAST_PAUSE)
                self._refuse_uninformed(who)
            if not self._fails:
                return None
            return await self._attempt(who, attempt, probing=True)

    def _refuse_uninformed(self, who: Hashable) -> None:
        if self._words and who not in self._informed:
            self._informed.add(who)
            raise NodeUnreachable(self._words)

    async def _attempt(
        self, who: Hashable, attempt: Callable[[], Awaitable[SessionT]], *, probing: bool
    ) -> SessionT | None:
        """Connect within the limits; None where it is to be tried again."""
        with ExitStack() as acquired:
            for limit in self._limits:
                borrower = object()
                await limit.acquire_on_behalf_of(borrower)
                acquired.callback(limit.release_on_behalf_of, borrower)
            if self._fails and not probing:
                return None  # another one failed meanwhile
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
            self._informed.clear()
            self._notify()

    def _fail(self, who: Hashable, error: NotConnected, *, probing: bool) -> None:
        """Record a failure; raise unless it may be temporary."""
        if error.may_pass and not self._words and not self._lasts(error.words):
            return
        if not self._words or (probing and not error.may_pass):
            self._words = error.words
        if probing:
            self._informed.clear()
        self._informed.add(who)
        self._notify()
        raise NodeUnreachable(self._words) from error

    def _lasts(self, words: str) -> bool:
        """Return whether connections have been closed before login for too long."""
        now = trio.current_time()
        if self._closed_since is None:
            self._closed_since = now
        lasted = now - self._closed_since
        if CLOSED_NOTE_AFTER <= lasted < CLOSED_LIMIT and not self._noted:
            self._noted = True
            self._on_note(
                f"{self._name} closes connections before login, trying again for up to "
                f"{CLOSED_LIMIT:g} s: {words}"
            )
        return lasted >= CLOSED_LIMIT

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Handshakes:
    """Finds the circuit breaker of a destination.

    Args:
        resolver: returns how ssh interprets a destination.
        on_note: gets a sentence that a user should read once.
    """

    def __init__(self, resolver: Resolver, on_note: Callable[[str], None]) -> None:
        self._resolver = resolver
        self._on_note = on_note
        self._limits: dict[tuple[str, ...], trio.CapacityLimiter] = {}
        self._breakers: dict[Hashable, CircuitBreaker] = {}

    async def breaker(self, hostname: str) -> CircuitBreaker:
        """Return what all destinations share that ssh connects to in the same way as to this one.

        Args:
            hostname: as it is written in the hosts file.
        """
        resolved = await self._resolver.resolve(hostname)
        alike = resolved.settings or hostname
        if alike not in self._breakers:
            places = sorted(set(await self._places(resolved)))
            # Always in the same order: otherwise two could wait for each other.
            limits = [self._limits.setdefault(each, _limit()) for each in places]
            breaker = CircuitBreaker(hostname, limits, self._on_note)
            self._breakers.setdefault(alike, breaker)
        return self._breakers[alike]

    async def _places(self, resolved: Resolved) -> list[tuple[str, ...]]:
        """Return the sshds and the ProxyCommand that a connection passes before it is logged in."""
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
