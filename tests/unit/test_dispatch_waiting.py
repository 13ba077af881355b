"""What a run waits for, and what it does not: it neither hangs nor loops."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from pegasus.dispatch import run_broadcast, run_queue
from pegasus.errors import PegasusError, sole_error
from pegasus.events import Returned, Started, Taken
from pegasus.model import SubNode
from tests.unit.dispatching import Bench


async def test_an_empty_queue_and_a_node_that_drops_us(autojump_clock: MockClock) -> None:
    """A run with nothing to do ends also where its only node drops each connection at once."""
    bench = Bench(nodes=1)
    bench.nodes["n0"].stands_for = 0
    with trio.fail_after(10):
        await run_queue(bench.run)


async def test_an_empty_queue_and_a_slow_node(autojump_clock: MockClock) -> None:
    """A broadcast of nothing still says that a node can't be reached, however long that takes."""
    bench = Bench(nodes=2)
    bench.nodes["n0"].stands_for = 0.5
    bench.nodes["n1"].reachable = False
    bench.nodes["n1"].answers_in = 30
    with pytest.raises(PegasusError, match="n1 can't be reached"), sole_error():
        await run_broadcast(bench.run)


async def test_a_disk_that_refuses_while_the_file_changes(autojump_clock: MockClock) -> None:
    """A disk that refuses is tried every five seconds, also while the file is another each time."""
    bench = Bench("sleep 100", nodes=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench.run)
        await trio.sleep(1)
        bench.queue.full_until = math.inf
        bench.queue.changed = lambda: True  # type: ignore[method-assign]  # somebody keeps writing
        tried = len(bench.queue.takes)
        await trio.sleep(40)
        assert 7 <= len(bench.queue.takes) - tried <= 9
        bench.run.drain.begin()


async def test_a_retry_while_the_disk_refuses(autojump_clock: MockClock) -> None:
    """A job that waits for another try needs no disk: it is tried again at once."""
    bench = Bench("sleep 100", "sleep 20", nodes=3, retries=1, timeout=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench.run)
        await trio.sleep(1)
        bench.queue.full_until = trio.current_time() + 5000
        bench.queue.add("exit 0")
        await trio.sleep(11)
        assert bench.commands_run == {"sleep 100": 2, "sleep 20": 2}
        bench.run.drain.begin()


async def test_a_free_sub_node_whose_connection_broke_gets_no_job(
    autojump_clock: MockClock,
) -> None:
    """Nothing is taken for a shell that is gone, or a sub-node that is on its way out."""
    bench = Bench(nodes=2, daemon=True)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench.run)
        await trio.sleep(5)
        bench.nodes["n0"].reachable = False
        bench.nodes["n0"].hang_up()
        await trio.sleep(1)
        bench.queue.add("sleep 1", "sleep 1")
        await trio.sleep(0.5)
        assert len(bench.events(Taken)) == 1
        await trio.sleep(5)
        await change.send([SubNode(0, "n0")])
        await trio.lowlevel.checkpoint()
        bench.queue.add("sleep 2")
        await trio.sleep(5)
        assert len(bench.events(Taken)) == 2
        bench.run.drain.begin()
    assert not bench.events(Returned)
    assert len(bench.events(Started)) == 2
