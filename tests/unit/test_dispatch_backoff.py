"""Sub-nodes that drop connections: how often they are tried, what they get, what is reported."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from pegasus.dispatch.backoff import (
    FIRST_BACKOFF,
    LAST_BACKOFF,
    LAST_LOSS_BACKOFF,
    SEVERAL_LOSSES,
    STEADY,
    Backoff,
    ConnectionHistory,
)
from pegasus.events import Connected, Ended, Started, Unreachable
from pegasus.model import Lost, SubNode
from tests.unit.dispatching import Bench, run_broadcast, run_queue

N0 = SubNode(0, "n0")
JITTER = 1.25

Mode = Callable[[Bench], Awaitable[None]]
MODES = pytest.mark.parametrize("mode", [run_queue, run_broadcast])


# How long it waits.


def test_waits_differ() -> None:
    """Waits have a jitter of a quarter, so that sub-nodes of one host do not connect in step."""
    waits = []
    for _ in range(200):
        backoff = Backoff()
        waits.append(backoff.fail(was_connected=False))
    assert max(waits) - min(waits) > FIRST_BACKOFF / 4


@pytest.mark.parametrize("failures", range(8))
def test_each_wait(failures: int) -> None:
    """Each failure in a row doubles the wait, from a second to a minute, a quarter more or less."""
    expected = min(2**failures * FIRST_BACKOFF, LAST_BACKOFF)
    for _ in range(50):
        backoff = Backoff()
        for _ in range(failures):
            backoff.fail(was_connected=True)
        assert 0.75 * expected <= backoff.fail(was_connected=True) <= JITTER * expected


def test_only_what_is_steady_starts_anew() -> None:
    """A connection that stood does not shorten the next wait; one that is steady does."""
    backoff = Backoff()
    for _ in range(10):
        backoff.fail(was_connected=True)
    assert backoff.drops == 10
    assert backoff.fail(was_connected=False) >= 45
    assert backoff.drops == 10
    backoff.reset()
    assert backoff.drops == 0
    assert backoff.fail(was_connected=True) <= JITTER
    assert backoff.drops == 1


@pytest.mark.parametrize(
    ("losses", "least", "most"),
    [
        (1, 0.75, 1.25),
        (2, 0.75, 1.25),
        (3, 45, 75),
        (4, 90, 150),
        (6, 360, 600),
        (7, 450, 750),
        (5000, 450, 750),
    ],
)
def test_losses_cost_longer_waits(losses: int, least: float, most: float) -> None:
    """From the third job lost in a row on the wait is a minute, then two, up to ten."""
    backoff = Backoff()
    for _ in range(losses):
        backoff.lose()
    backoff.reset()
    assert least <= backoff.fail(was_connected=True) <= most


def test_the_wait_for_a_loss_comes_once() -> None:
    """After the wait for a loss, a try that fails is followed by one at the usual time."""
    backoff = Backoff()
    for _ in range(SEVERAL_LOSSES + 9):
        backoff.lose()
    assert backoff.fail(was_connected=True) >= 0.75 * LAST_LOSS_BACKOFF
    assert backoff.fail(was_connected=False) <= JITTER * 2


def test_what_is_reported_of_a_connection() -> None:
    """A return is reported, but not after each of several drops; then only once it is steady."""
    history = ConnectionHistory()
    assert history.connect()
    assert not history.connect()
    history.fail(was_connected=True)
    assert history.connect()
    for _ in range(3):
        history.fail(was_connected=True)
        assert not history.connect()
    assert history.become_steady()
    assert not history.become_steady()
    history.fail(was_connected=True)
    assert history.connect()


def test_a_failure_that_makes_waits_longer_is_reported_once() -> None:
    """The third job lost in a row is the one that is reported; a job that ends starts anew."""
    history = ConnectionHistory()
    for _ in range(2):
        reported = []
        for _ in range(SEVERAL_LOSSES + 2):
            history.lose_job()
            reported.append(history.fail(was_connected=True).losses)
        assert reported == [None, None, SEVERAL_LOSSES, None, None]
        history.complete_job()


# What a sub-node that drops connections gets.


def tries(bench: Bench, name: str = "n0") -> list[float]:
    """Give the seconds between the tries to connect."""
    return [b - a for a, b in itertools.pairwise(bench.nodes[name].tries)]


async def test_a_node_that_drops_each_connection_leaves_the_queue_to_others(
    autojump_clock: MockClock,
) -> None:
    """A node that drops each connection a second after login gets few jobs, and Pegasus says so."""
    bench = Bench(*[f"sleep 3 #{number}" for number in range(60)], nodes=2)
    bench.nodes["n0"].stands_for = 1
    await run_queue(bench)
    lost = [outcome for *_, outcome in bench.listening.outcomes if isinstance(outcome, Lost)]
    # In three minutes: three soon, one after a minute, perhaps one after two more.
    assert len(lost) in {SEVERAL_LOSSES + 1, SEVERAL_LOSSES + 2}
    assert min(tries(bench)) >= 0.75
    assert len(tries(bench)) <= 6
    (note,) = bench.notes
    assert note.startswith("n0 lost 3 jobs in a row: it gets the next one in ")
    assert note.endswith("or take it out of the hosts file.")


@MODES
async def test_an_idle_node_that_drops_each_connection(
    mode: Mode, autojump_clock: MockClock
) -> None:
    """A node that drops each connection is tried ever later, as one that refuses each."""
    bench = Bench(nodes=2, daemon=True)
    bench.nodes["n0"].stands_for = 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mode, bench)
        await trio.sleep(600)
        bench.run.ending.drain()
    pauses = [wait - 5 for wait in tries(bench)]
    assert all(1.15 * a < b or b > 44 for a, b in itertools.pairwise(pauses))
    assert max(pauses) <= JITTER * LAST_BACKOFF
    told = [type(event) for _, event in bench.listening.told if about_n0(event)]
    assert told[:3] == [Connected, Unreachable, Connected]  # once may be an accident
    assert Connected not in told[3:]
    assert not bench.notes


def about_n0(event: object) -> bool:
    """Tell whether an event is about the way to the first node."""
    return isinstance(event, Connected | Unreachable) and event.sub_node == N0


@MODES
async def test_a_node_on_which_nothing_begins(mode: Mode, autojump_clock: MockClock) -> None:
    """A node whose shell starts no command gets few of them, and is not reported each time."""
    bench = Bench(*["sleep 1"] * 400, nodes=2)
    bench.nodes["n0"].starts_commands = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mode, bench)
        await trio.sleep(30)
        begun = [each for each in bench.events(Started) if each.assignment.sub_node == N0]
        assert 3 <= len(begun) <= 6
        told = [type(event) for _, event in bench.listening.told if about_n0(event)]
        assert told.count(Connected) == 2
        bench.nodes["n0"].starts_commands = True
        await trio.sleep(60)
        assert bench.nodes["n0"].ran
        told = [type(event) for _, event in bench.listening.told if about_n0(event)]
        assert told.count(Connected) == 3
        assert told[-1] is Connected
        bench.run.ending.drain()


async def test_a_broadcast_waits_for_a_node_that_loses_jobs(autojump_clock: MockClock) -> None:
    """In a broadcast a step waits for the node, ever longer, and all the others wait with it."""
    bench = Bench(*["sleep 3"] * 8, nodes=2)
    bench.nodes["n0"].stands_for = 1
    await run_broadcast(bench)
    starts = [when for when, event in bench.listening.told if isinstance(event, Started)][::2]
    waits = [b - a for a, b in itertools.pairwise(starts)]
    bounds = [(3, 9), (3, 9), (45, 77), (90, 152), (180, 302), (360, 602), (450, 752)]
    for wait, (least, most) in zip(waits, bounds, strict=True):
        assert least <= wait <= most
    assert len(bench.notes) == 1
    assert Counter(bench.nodes["n1"].ran) == {"sleep 3": 8}


async def test_a_job_that_ends_makes_up_for_losses(autojump_clock: MockClock) -> None:
    """After a job that ended on it, a node's losses are counted from the beginning."""
    jobs = ["hang up", "hang up", "exit 5"] * 4
    bench = Bench(*jobs, nodes=1)
    await run_queue(bench)
    assert bench.notes == []
    assert max(tries(bench)) <= JITTER * 2
    told = [type(event) for _, event in bench.listening.told if about_n0(event)]
    assert told.count(Connected) == 1 + 2 * 4  # after the second loss only once a job ended


@pytest.mark.parametrize(
    ("stood", "least", "most"), [(STEADY - 1, 45, 75), (STEADY + 1, 0.75, 1.25)]
)
async def test_a_connection_that_stood_for_long(
    stood: float, least: float, most: float, autojump_clock: MockClock
) -> None:
    """A connection that stood for a minute may break and be tried at once; one of less may not."""
    bench = Bench(nodes=1, daemon=True)
    node = bench.nodes["n0"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        node.stands_for = 5
        await trio.sleep(300)
        tried = len(node.tries)
        node.stands_for = stood
        while len(node.tries) < tried + 3:
            await trio.sleep(1)
        assert least <= node.tries[-1] - node.tries[-2] - stood <= most
        bench.run.ending.drain()


async def test_a_node_that_is_steady_is_told_to_be_connected(autojump_clock: MockClock) -> None:
    """A node that dropped connections is reported once its connection lasted for a minute."""
    bench = Bench(nodes=1, daemon=True)
    node = bench.nodes["n0"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        node.stands_for = 5
        await trio.sleep(200)
        while node.open:  # a connection that is open now is dropped after five seconds
            await trio.sleep(1)
        node.stands_for = 1e9
        bench.queue.add("sleep 300")
        while not node.runs_now:
            await trio.sleep(1)
        assert isinstance(bench.listening.told[-1][1], Started)
        await trio.sleep(100)
        later, event = bench.listening.told[-1]
        assert event == Connected(N0)
        assert later - node.tries[-1] == pytest.approx(STEADY)
        nursery.cancel_scope.cancel()


# The end.


async def test_a_drain_waits_for_no_node_that_lost_a_job(autojump_clock: MockClock) -> None:
    """When the last job is lost after a drain, the run ends at once: no sub-node is tried again."""
    bench = Bench(*["sleep 9"] * 20, nodes=1)
    bench.nodes["n0"].stands_for = 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        while len(bench.events(Ended)) < SEVERAL_LOSSES + 1 or not bench.nodes["n0"].runs_now:
            await trio.sleep(0.5)
        bench.run.ending.drain()
        before = trio.current_time()
    assert trio.current_time() - before <= 3
    assert bench.events(Unreachable)[-1].again_in is None


async def test_a_sub_node_that_leaves_is_not_tried_again(autojump_clock: MockClock) -> None:
    """A sub-node that was removed, and loses its last job, is not connected to any more."""
    bench = Bench("sleep 9", nodes=2, daemon=True)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(1)
        (started,) = bench.events(Started)
        name = str(started.assignment.sub_node)
        await change.send([SubNode(9, "n1" if name == "n0" else "n0")])
        await trio.sleep(1)
        bench.nodes[name].hang_up()
        await trio.sleep(100)
        assert len(bench.nodes[name].tries) == 1
        assert bench.events(Unreachable)[-1].again_in is None
        bench.run.ending.drain()
