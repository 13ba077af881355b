"""Jobs that are tried again, that run out of time, or that a user stops."""

from __future__ import annotations

from collections import Counter

import trio
from trio.testing import MockClock

from pegasus.dispatch import StoppedJob
from pegasus.events import Ended
from pegasus.model import Cancelled, Command, Exited, Job, SlotsHeld, SubNode
from tests.unit.dispatching import Bench, run_broadcast, run_queue


async def test_retries_go_to_another_sub_node(autojump_clock: MockClock) -> None:
    """A job that failed is tried again N times, each time on a sub-node that has not tried it."""
    bench = Bench("exit 3", "sleep 50", retries=2)
    await run_queue(bench)
    tried = [
        event.assignment.sub_node.number
        for _, event in bench.listening.told
        if isinstance(event, Ended) and event.assignment.command == "exit 3"
    ]
    assert sorted(tried) == [0, 1, 2]
    assert [e.again for _, e in bench.listening.told if isinstance(e, Ended)].count(True) == 2
    assert bench.listening.taken == ["exit 3", "sleep 50"]


async def test_retries_on_the_only_sub_node(autojump_clock: MockClock) -> None:
    """With one sub-node, that one tries again."""
    bench = Bench("exit 3", "exit 0", nodes=1, retries=3)
    await run_queue(bench)
    assert bench.commands_run == Counter({"exit 3": 4, "exit 0": 1})


async def test_a_lost_job_is_tried_again(autojump_clock: MockClock) -> None:
    """A job whose connection broke is tried again only because retries were asked for."""
    bench = Bench("hang up", nodes=2, retries=1)
    await run_queue(bench)
    assert bench.commands_run == Counter({"hang up": 2})


async def test_draining_ends_retries(autojump_clock: MockClock) -> None:
    """A drain tries nothing again; what waited for another try ends as it did last."""
    bench = Bench("exit 3", "sleep 20", "sleep 20", nodes=3, retries=2)
    bench.nodes["n1"].reachable = False
    bench.nodes["n2"].reachable = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        bench.run.ending.drain()
    finals = [e for _, e in bench.listening.told if isinstance(e, Ended) and not e.again]
    assert Counter(e.assignment.command for e in finals) == Counter(bench.listening.taken)


async def test_aborting_ends_retries(autojump_clock: MockClock) -> None:
    """What waited for another try has an end also where draining and aborting come at once."""
    bench = Bench("exit 3", "sleep 20", nodes=2, retries=2)  # it waits for the other sub-node
    aborting = trio.CancelScope()

    async def run() -> None:
        with aborting:
            await run_queue(bench)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(10)
        bench.run.ending.drain()
        aborting.cancel()
    finals = [e for _, e in bench.listening.told if isinstance(e, Ended) and not e.again]
    assert Counter(e.assignment.command for e in finals) == Counter(bench.listening.taken)


async def test_a_timeout(autojump_clock: MockClock) -> None:
    """A command that runs longer than it may is ended, and has timed out."""
    bench = Bench("sleep 100", "sleep 5", timeout=10)
    await run_queue(bench)
    assert sorted(str(outcome) for _, _, outcome in bench.listening.outcomes) == [
        "exit status: 0",
        "timed out after 10 s",
    ]


async def test_stopping_one_job(autojump_clock: MockClock) -> None:
    """One job can be ended while the others go on."""
    bench = Bench("sleep 100", "sleep 50", retries=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        assert bench.dispatcher is not None
        assert [a.command for a in bench.dispatcher.stop_job(1).running] == ["sleep 100"]
        assert bench.dispatcher.stop_job(7) == StoppedJob([], [])
    assert {(c, o) for c, _, o in bench.listening.outcomes} == {
        ("sleep 100", Cancelled()),
        ("sleep 50", Exited(0)),
    }


async def test_broadcast_retries(autojump_clock: MockClock) -> None:
    """In a broadcast the sub-node that failed tries again, and the step waits for it."""
    bench = Bench("x", "sleep 1", nodes=3, retries=2)

    def fill(job: Job, sub_node: SubNode, _slots: SlotsHeld = (), /) -> Command:
        if job.command == "x":
            return Command("exit 1" if sub_node.number == 1 else "sleep 5")
        return Command(job.command)

    object.__setattr__(bench.run, "fill", fill)
    await run_broadcast(bench)
    assert bench.nodes["n1"].ran == ["exit 1"] * 3 + ["sleep 1"]
    assert bench.nodes["n0"].ran == ["sleep 5", "sleep 1"]
