"""Limits by the address that ssh connects to, and one try for all after a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from pegasus.errors import NodeUnreachable
from pegasus.transport import open_ssh
from pegasus.transport.handshakes import CLOSED_LIMIT, HANDSHAKES, CircuitBreaker, NotConnected

CLOSED = "kex_exchange_identification: read: Connection reset by peer"
DENIED = "me@node: Permission denied (publickey)."
ROUND_TRIP = 0.3


@dataclass
class Sshd:
    """An sshd that answers each try with what ``says`` gives: words of a failure, or nothing."""

    says: Callable[[int], str] = lambda _: ""
    tries: list[float] = field(default_factory=list)
    now: int = 0
    most: int = 0
    notes: list[str] = field(default_factory=list)

    def breaker(self, *limits: trio.CapacityLimiter) -> CircuitBreaker:
        return CircuitBreaker(
            "node", limits or [trio.CapacityLimiter(HANDSHAKES)], self.notes.append
        )

    async def attempt(self) -> str:
        self.tries.append(trio.current_time())
        number = len(self.tries)
        self.now += 1
        self.most = max(self.most, self.now)
        words = self.says(number)
        try:
            await trio.sleep(ROUND_TRIP / 10 if words == CLOSED else ROUND_TRIP)
        finally:
            self.now -= 1
        if words:
            raise NotConnected(words, may_pass=words == CLOSED)
        return "connected"


class Visitors:
    """Sub-nodes that connect as workers do: each waits longer after each failure."""

    def __init__(self, sshd: Sshd, count: int) -> None:
        self.sshd = sshd
        self.breaker = sshd.breaker()
        self.count = count
        self.connected = 0
        self.told: list[tuple[int, str]] = []

    async def connect_once(self, who: int) -> None:
        try:
            await self.breaker.connect(who, self.sshd.attempt)
        except NodeUnreachable as error:
            self.told.append((who, error.words))
        else:
            self.connected += 1

    async def connect(self, who: int, *, tries: int) -> None:
        for number in range(tries):
            before = self.connected
            await self.connect_once(who)
            if self.connected > before or number == tries - 1:
                return
            await trio.sleep(2**number * (1 + who / (4 * self.count)))

    async def all_connect(self, tries: int = 1) -> None:
        async with trio.open_nursery() as nursery:
            for who in range(self.count):
                nursery.start_soon(partial(self.connect, who, tries=tries))


async def test_no_more_than_the_limit_at_once(autojump_clock: MockClock) -> None:
    """Many connect to one sshd, and never more than eight are on their way."""
    visitors = Visitors(Sshd(), 40)
    await visitors.all_connect()
    assert visitors.connected == 40
    assert visitors.sshd.most == HANDSHAKES
    assert visitors.sshd.tries[-1] - visitors.sshd.tries[0] == pytest.approx(4 * ROUND_TRIP)


async def test_after_a_failure_one_tries_for_all(autojump_clock: MockClock) -> None:
    """With a wrong key each round is one try, whose result all get, with the first reason."""
    sshd = Sshd(lambda number: DENIED if number <= HANDSHAKES else CLOSED)
    visitors = Visitors(sshd, 16)
    await visitors.all_connect(tries=5)
    assert {words for _, words in visitors.told} == {DENIED}
    assert len(visitors.told) == 16 * 5
    assert len(sshd.tries) <= HANDSHAKES + 5
    assert sshd.notes == []


async def test_all_get_a_failure_at_once(autojump_clock: MockClock) -> None:
    """Those that wait for their turn get the failure at once, and need no try of their own."""
    visitors = Visitors(Sshd(lambda _: DENIED), 100)
    with trio.fail_after(2 * ROUND_TRIP):
        await visitors.all_connect()
    assert len(visitors.told) == 100
    assert len(visitors.sshd.tries) == HANDSHAKES


async def test_all_connect_when_the_one_does(autojump_clock: MockClock) -> None:
    """A host that lets the one in lets in all."""
    visitors = Visitors(Sshd(lambda number: DENIED if number <= HANDSHAKES + 1 else ""), 16)
    await visitors.all_connect(tries=4)
    assert visitors.connected == 16


async def test_a_reason_that_changes(autojump_clock: MockClock) -> None:
    """Another reason replaces the first one; that a connection is closed is none."""
    words = {1: DENIED, 2: CLOSED, 3: "Connection refused"}
    visitors = Visitors(Sshd(lambda number: words.get(number, CLOSED)), 1)
    await visitors.all_connect(tries=4)
    told = [words for _, words in visitors.told]
    assert told == [DENIED, DENIED, "Connection refused", "Connection refused"]


async def test_what_is_closed_before_login_is_tried_again(autojump_clock: MockClock) -> None:
    """An sshd that is busy for some seconds makes no sub-node unreachable."""
    visitors = Visitors(Sshd(), 16)
    visitors.sshd.says = lambda _: CLOSED if trio.current_time() < began + 12 else ""
    began = trio.current_time()
    await visitors.all_connect()
    assert visitors.connected == 16
    assert visitors.told == []
    assert len(visitors.sshd.tries) < HANDSHAKES + 16 + 10
    assert len(visitors.sshd.notes) == 1
    assert "node closes connections before login, trying again" in visitors.sshd.notes[0]


async def test_a_short_refusal_is_not_reported(autojump_clock: MockClock) -> None:
    """A connection that sshd had no room for is made as soon as there is room."""
    visitors = Visitors(Sshd(lambda number: CLOSED if number in {4, 5, 6, 7, 8} else ""), 16)
    await visitors.all_connect()
    assert visitors.connected == 16
    assert visitors.sshd.notes == []
    assert visitors.sshd.tries[-1] - visitors.sshd.tries[0] < 4 * ROUND_TRIP


async def test_a_host_that_never_lets_in(autojump_clock: MockClock) -> None:
    """Connections that are closed for half a minute make a host unreachable for all."""
    visitors = Visitors(Sshd(lambda _: CLOSED), 16)
    began = trio.current_time()
    await visitors.all_connect()
    assert [words for _, words in visitors.told] == [CLOSED] * 16
    assert CLOSED_LIMIT <= trio.current_time() - began < 2 * CLOSED_LIMIT
    assert len(visitors.sshd.tries) < HANDSHAKES + 10


async def test_a_reason_that_comes_while_it_waits(autojump_clock: MockClock) -> None:
    """A sub-node that waits for a busy sshd gets a permanent failure at once."""
    visitors = Visitors(Sshd(lambda number: DENIED if number == 2 else CLOSED), 3)
    with trio.fail_after(2):
        await visitors.all_connect()
    assert [words for _, words in visitors.told] == [DENIED] * 3


async def test_a_failure_here_affects_no_other_sub_node(autojump_clock: MockClock) -> None:
    """A sub-node for which something is missing here does not hold back the others."""
    visitors = Visitors(Sshd(), 4)

    async def no_file() -> str:
        raise NodeUnreachable("sh cannot be started: Too many open files.")

    with pytest.raises(NodeUnreachable, match="Too many"):
        await visitors.breaker.connect("one", no_file)
    await visitors.all_connect()
    assert visitors.connected == 4


async def test_one_that_is_cancelled_leaves_its_turn(autojump_clock: MockClock) -> None:
    """A cancelled try for all leaves the turn to the next one."""
    visitors = Visitors(Sshd(lambda number: DENIED if number == 1 else ""), 2)
    await visitors.connect_once(0)
    await visitors.connect_once(1)
    with trio.move_on_after(ROUND_TRIP / 2):
        await visitors.connect_once(0)
    await visitors.connect_once(1)
    assert visitors.connected == 1
    assert visitors.sshd.now == 0


CONFIG = """\
Host alias-*
  HostName 127.0.0.9
  Port 2201
Host other-user
  HostName 127.0.0.9
  Port 2201
  User somebody
Host behind-*
  ProxyJump jump-alias
Host jump-alias
  HostName 127.0.0.9
  Port 2201
Host far-*
  ProxyJump me@behind-1:2222,alias-2
Host cloud-*
  ProxyCommand cloud connect %h
Host named-*
  HostName 127.0.0.9
  ProxyCommand cloud connect %n
Host loop-a
  ProxyJump loop-b
Host loop-b
  ProxyJump loop-a
"""


@pytest.mark.parametrize(
    ("one", "other", "common", "alike"),
    [
        ("alias-1", "alias-2", 1, True),
        ("alias-1", "ssh://alias-1:2201", 1, True),
        ("127.0.0.9", "ssh://127.0.0.9:22", 1, True),
        ("NODE", "node", 1, True),
        ("alias-1", "127.0.0.9", 0, False),
        ("alias-1", "other-user", 1, False),
        ("alias-1", "behind-1", 1, False),
        ("behind-1", "behind-2", 1, False),
        ("far-1", "behind-3", 1, False),
        ("far-1", "far-2", 2, False),
        ("cloud-1", "cloud-2", 1, False),
        ("named-1", "named-2", 2, False),
        ("loop-a", "loop-a", 2, True),
    ],
)
async def test_where_ssh_connects_to_counts(
    tmp_path: Path, one: str, other: str, common: int, *, alike: bool
) -> None:
    """Names of one sshd share its limit, and so do those behind one jump or ProxyCommand.

    Only those share a failure that ssh connects to with the same settings: another user's key may
    be the right one.
    """
    config = tmp_path / "config"
    config.write_text(CONFIG)
    async with open_ssh(config) as ssh:
        breakers = [await ssh.handshakes.breaker(name) for name in (one, other)]
    first, second = (breaker._limits for breaker in breakers)
    assert len({id(limit) for limit in first} & {id(limit) for limit in second}) == common
    assert (breakers[0] is breakers[1]) is alike
