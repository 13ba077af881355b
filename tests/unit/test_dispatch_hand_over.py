"""Between a take and a start: whatever a sub-node does then, the job is run."""

from __future__ import annotations

from collections.abc import Callable

import trio
from trio.testing import MockClock

from pegasus.dispatch import QueueDispatcher
from pegasus.events import Ended, Returned, Taken
from pegasus.model import Exited, NotStarted
from pegasus.picker import Picker
from tests.fake_queue import FakeBatch
from tests.unit.dispatching import Bench


def after_each_take(bench: Bench, act: Callable[[], None]) -> None:
    """Let something happen between each take that gives jobs and the hand-over of these."""
    take = bench.queue.take

    async def take_and_act(picker: Picker) -> FakeBatch:
        taken = await take(picker)
        if taken.jobs:
            act()
        return taken

    object.__setattr__(bench.queue, "take", take_and_act)


async def test_a_job_for_a_sub_node_that_leaves_goes_to_another(
    autojump_clock: MockClock,
) -> None:
    """A sub-node that is taken out of the hosts file after the take gets no job."""
    bench = Bench(nodes=2, daemon=True)
    dispatcher = QueueDispatcher(bench.run)
    after_each_take(bench, dispatcher.workers[0].leave)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dispatcher.run_all)
        await trio.sleep(5)
        bench.queue.add("exit 0", "sleep 1")
        await trio.sleep(10)
        bench.run.ending.drain()
    assert bench.nodes["n0"].ran == []
    assert sorted(bench.nodes["n1"].ran) == ["exit 0", "sleep 1"]
    assert [outcome for *_, outcome in bench.listening.outcomes] == [Exited(0)] * 2
    returned = [e for _, e in bench.listening.told if isinstance(e, Returned)]
    assert [event.words for event in returned] == ["its sub-node is leaving"]


async def test_nothing_is_taken_for_a_shell_that_is_gone(autojump_clock: MockClock) -> None:
    """A sub-node whose connection breaks while it is free is not free: its job stays in the queue.

    Another Pegasus, which has a node, can take it.
    """
    bench = Bench("exit 0", nodes=1, daemon=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QueueDispatcher(bench.run).run_all)
        await trio.sleep(5)
        node = bench.nodes["n0"]
        node.reachable = False
        node.hang_up()
        await trio.sleep(5)
        bench.queue.add("sleep 1")
        await trio.sleep(300)
        assert [job.command for job in bench.queue.jobs] == ["sleep 1"]
        node.reachable = True
        await trio.sleep(100)
        bench.run.ending.drain()
    assert node.ran == ["exit 0", "sleep 1"]
    taken = [event for _, event in bench.listening.told if isinstance(event, Taken)]
    assert len(taken) == 2
    assert not [event for _, event in bench.listening.told if isinstance(event, Returned)]


async def test_a_job_that_waits_for_another_try_ends_as_it_did(autojump_clock: MockClock) -> None:
    """At a drain, a job that failed and was to be tried elsewhere has failed, and ends once."""
    bench = Bench("exit 3", "sleep 20", nodes=2, retries=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QueueDispatcher(bench.run).run_all)
        await trio.sleep(10)
        bench.run.ending.drain()
    ends = [event for _, event in bench.listening.told if isinstance(event, Ended)]
    failed = [(e.outcome, e.again) for e in ends if e.assignment.command == "exit 3"]
    assert failed == [(Exited(3), True), (Exited(3), False)]


async def test_a_job_that_no_sub_node_is_left_for(autojump_clock: MockClock) -> None:
    """At a drain, a job that was taken and never started ends as that."""
    bench = Bench(nodes=1, daemon=True)
    node = bench.nodes["n0"]

    def cut_off() -> None:
        node.reachable = False
        node.hang_up()

    after_each_take(bench, cut_off)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QueueDispatcher(bench.run).run_all)
        await trio.sleep(5)
        bench.queue.add("exit 0")
        await trio.sleep(5)
        bench.run.ending.drain()
    assert [outcome for *_, outcome in bench.listening.outcomes] == [
        NotStarted("the shell on the node was gone")
    ]
    assert node.ran == []


async def test_a_node_that_comes_while_another_runs_the_last_job(
    autojump_clock: MockClock,
) -> None:
    """As long as any command runs the queue is watched, also when no sub-node is free."""
    bench = Bench("sleep 300", nodes=2)
    bench.nodes["n1"].reachable = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QueueDispatcher(bench.run).run_all)
        await trio.sleep(50)
        bench.queue.add("exit 0")
        bench.nodes["n1"].reachable = True
        await trio.sleep(200)
        assert bench.nodes["n1"].ran == ["exit 0"]
    assert [outcome for *_, outcome in bench.listening.outcomes] == [Exited(0)] * 2


async def test_a_shell_that_becomes_ready_as_its_sub_node_leaves(
    autojump_clock: MockClock,
) -> None:
    """A worker that was told to leave is not given a job, whatever its shell does then."""
    for _ in range(50):  # the order of the tasks in one tick is random
        bench = Bench("printf a", nodes=2)
        dispatcher = QueueDispatcher(bench.run)
        bench.nodes["n0"].starts_commands = False
        bench.nodes["n1"].preparing = ready = trio.lowlevel.ParkingLot()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dispatcher.run_all)
            await trio.sleep(0.1)
            bench.nodes["n0"].starts_commands = True
            await trio.sleep(0.4)
            ready.unpark_all()
            dispatcher.workers[1].leave()
            dispatcher.notify()
        assert bench.finals == [(1, "n0", "exit status: 0")]
