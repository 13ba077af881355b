"""What a run waits for, and what it does not: it neither hangs nor loops."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from pegasus.dispatch import placing
from pegasus.errors import FileFault, PegasusError, TemplateFault, sole_error
from pegasus.events import Returned, Started, Taken
from pegasus.model import Command, Demand, Job, SubNode
from pegasus.picker import Picker
from tests.fake_queue import FakeBatch
from tests.unit.dispatching import Bench, only_on, run_broadcast, run_queue


async def test_an_empty_queue_and_a_node_that_drops_connections(autojump_clock: MockClock) -> None:
    """A run with nothing to do ends also where its only node drops each connection at once."""
    bench = Bench(nodes=1)
    bench.nodes["n0"].stands_for = 0
    with trio.fail_after(10):
        await run_queue(bench)


async def test_an_empty_queue_and_a_slow_node(autojump_clock: MockClock) -> None:
    """A broadcast of nothing still says that a node cannot be reached, however long that takes."""
    bench = Bench(nodes=2)
    bench.nodes["n0"].stands_for = 0.5
    bench.nodes["n1"].reachable = False
    bench.nodes["n1"].answers_in = 30
    with pytest.raises(PegasusError, match="n1 cannot be reached"), sole_error():
        await run_broadcast(bench)


async def test_a_disk_that_refuses_while_the_file_changes(autojump_clock: MockClock) -> None:
    """A disk that refuses is tried every five seconds, also while the file is another each time."""
    bench = Bench("sleep 100", nodes=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(1)
        bench.queue.full_until = math.inf
        bench.queue.changed = lambda: True  # type: ignore[method-assign]  # at each check
        tried = len(bench.queue.takes)
        await trio.sleep(40)
        assert 7 <= len(bench.queue.takes) - tried <= 9
        bench.run.ending.drain()


async def test_a_retry_while_the_disk_refuses(autojump_clock: MockClock) -> None:
    """A job that waits for another try needs no disk: it is tried again at once."""
    bench = Bench("sleep 100", "sleep 20", nodes=3, retries=1, timeout=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(1)
        bench.queue.full_until = trio.current_time() + 5000
        bench.queue.add("exit 0")
        await trio.sleep(11)
        assert bench.commands_run == {"sleep 100": 2, "sleep 20": 2}
        bench.run.ending.drain()


async def test_a_free_sub_node_whose_connection_broke_gets_no_job(
    autojump_clock: MockClock,
) -> None:
    """Nothing is taken for a shell that is gone, or a sub-node that is on its way out."""
    bench = Bench(nodes=2, daemon=True)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
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
        bench.run.ending.drain()
    assert not bench.events(Returned)
    assert len(bench.events(Started)) == 2


async def test_a_job_that_is_taken_as_its_sub_node_leaves(autojump_clock: MockClock) -> None:
    """A job that is taken for a sub-node that is removed in this moment runs on another one."""
    bench = Bench(nodes=2, daemon=True)
    change, take = bench.follow(), bench.queue.take

    async def take_and_change_hosts(picker: Picker) -> FakeBatch:
        taken = await take(picker)
        if taken.jobs and "new" not in bench.nodes.by_name:
            change.send_nowait([SubNode(0, "new")])
            while bench.nodes["new"].open == 0:
                await trio.lowlevel.checkpoint()
        return taken

    object.__setattr__(bench.queue, "take", take_and_change_hosts)  # to be there just then
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        bench.queue.add("exit 0", "exit 0")
        await trio.sleep(30)
        bench.run.ending.drain()
    assert bench.nodes["new"].ran == ["exit 0", "exit 0"]
    assert [event.words for event in bench.events(Returned)] == ["its sub-node is leaving"] * 2
    assert [outcome for *_, outcome in bench.finals] == ["exit status: 0"] * 2


async def test_a_run_ends_whose_last_node_is_gone(autojump_clock: MockClock) -> None:
    """With nothing left to do no node is waited for, in neither mode."""
    bench = Bench("sleep 10", nodes=1)
    node = bench.nodes["n0"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        node.reachable = False
        node.hang_up()
        await trio.sleep(5)
        assert bench.run.ending.drained.is_set()
    assert [outcome for *_, outcome in bench.finals] == ["lost: Connection refused"]


async def test_a_run_waits_for_a_node_while_there_is_work(autojump_clock: MockClock) -> None:
    """With a job left in the queue, or one to be tried again, the node is waited for."""
    for retries, more in ((0, ["exit 0"]), (1, [])):
        bench = Bench("sleep 10", *more, nodes=1, retries=retries)
        node = bench.nodes["n0"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(5)
            node.reachable = False
            node.hang_up()
            await trio.sleep(100)
            assert not bench.run.ending.drained.is_set()
            node.reachable = True
        assert bench.commands_run.total() == 2


async def test_a_job_of_several_free_sub_nodes_is_taken_with_others(
    autojump_clock: MockClock,
) -> None:
    """Several free sub-nodes are served by one take."""
    bench = Bench(nodes=3, daemon=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        before = len(bench.queue.takes)
        bench.queue.add("sleep 5", "sleep 5", "sleep 5")
        await trio.sleep(3)
        assert len(bench.queue.takes) - before == 1
        assert bench.commands_run.total() == 3
        bench.run.ending.drain()


async def test_the_notice_of_a_drain_waits_for_what_begins(autojump_clock: MockClock) -> None:
    """A drain is over when everything that was handed over has begun, or after five seconds."""
    for begins_in, over_in in ((2.0, 2.0), (100.0, 5.0)):
        bench = Bench("sleep 200", nodes=1)
        bench.nodes["n0"].begins_in = begins_in
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(0.5)
            bench.run.ending.drain()
            began = trio.current_time() - 0.5
            await bench.run.ending.drained.wait()
            assert trio.current_time() - began == pytest.approx(over_in, abs=0.6)
            nursery.cancel_scope.cancel()


# Jobs that can be rendered for some sub-nodes only.


async def test_a_sub_node_that_connects_later(autojump_clock: MockClock) -> None:
    """A job waits for the sub-nodes for which it can be rendered; the others take what is below."""
    bench = Bench("exit {{ x }}", "exit 0", nodes=2, fill=only_on("n1"))
    bench.nodes["n1"].answers_in = 30
    await run_queue(bench)
    assert bench.nodes["n0"].ran == ["exit 0"]
    assert bench.nodes["n1"].ran == ["exit 7"]
    assert bench.notes == []


async def test_a_sub_node_that_is_busy(autojump_clock: MockClock) -> None:
    """It is waited for while it runs something else, and while its shell comes back."""
    bench = Bench("sleep 20 # {{ x }}", "exit {{ x }}", nodes=2, fill=only_on("n1"))
    bench.nodes["n1"].next_in = 5
    await run_queue(bench)
    assert bench.nodes["n0"].ran == []
    assert bench.nodes["n1"].ran == ["sleep 20 # 7", "exit 7"]
    assert bench.notes == []


async def test_a_sub_node_that_is_unreachable_for_a_while(autojump_clock: MockClock) -> None:
    """A job waits for it, as one with ``where`` does, and the user is told once."""
    bench = Bench("exit {{ x }}", "exit 0", "exit 1", nodes=2, fill=only_on("n1"))
    bench.nodes["n1"].reachable = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(100)
        assert bench.nodes["n0"].ran == ["exit 0", "exit 1"]
        bench.nodes["n1"].reachable = True
    assert bench.nodes["n1"].ran == ["exit 7"]
    (note,) = bench.notes
    words = "no sub-node for which its command can be rendered is connected. Other jobs go on."
    assert note == f"a job waits (exit {{{{ x }}}}): {words}"


async def test_no_sub_node_that_could_run_it(autojump_clock: MockClock) -> None:
    """A job that can be rendered for none is a fault at once, whoever is away or busy."""
    bench = Bench("sleep 20", "exit {{ x }}", "exit 0", nodes=3, fill=only_on())
    bench.nodes["n1"].reachable = False
    with pytest.raises(FileFault, match="unknown name x"), sole_error():
        await run_queue(bench)
    assert bench.commands_run == {"sleep 20": 1, "exit 0": 1}
    assert len(bench.notes) == 1


@pytest.mark.parametrize("able", [(), ("n1",)])
async def test_a_job_for_a_sub_node_that_is_away(
    autojump_clock: MockClock, able: tuple[str, ...]
) -> None:
    """Where ``where`` leaves only that one, a job that it could not run either is a fault."""
    bench = Bench("exit 0", nodes=2, fill=only_on(*able))
    bench.queue.jobs.append(Job("exit {{ x }}", demand=Demand(where=(("hostname", ("n1",)),))))
    bench.nodes["n1"].reachable = False
    if able:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(100)
            bench.nodes["n1"].reachable = True
        assert bench.nodes["n1"].ran == ["exit 7"]
    else:
        with pytest.raises(FileFault, match="unknown name x"), sole_error():
            await run_queue(bench)
    assert bench.nodes["n0"].ran == ["exit 0"]


async def test_jobs_below_use_what_no_job_above_can_use(autojump_clock: MockClock) -> None:
    """Each job gets the first idle sub-node that can run it, in the order of the file."""
    bench = Bench("sleep 40 # {{ y }}", "exit 0", nodes=3, daemon=True, fill=x_and_y)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        bench.queue.add("exit 0 # {{ y }}", "exit 3 # {{ x }}", "sleep 100 # long")
        await trio.sleep(5)
        assert bench.nodes["n0"].ran[-1:] == ["sleep 100 # long"]
        assert bench.nodes["n1"].ran[-1:] == ["exit 3 # {{ x }}"]
        await trio.sleep(100)
        bench.run.ending.drain()
    assert bench.nodes["n2"].ran[-2:] == ["sleep 40 # {{ y }}", "exit 0 # {{ y }}"]


async def test_many_jobs_that_wait(autojump_clock: MockClock) -> None:
    """The jobs below are found in one take, whatever waits above, and nothing is repeated."""
    jobs = [f"exit 0 # {{{{ y }}}} {number}" for number in range(100)]
    bench = Bench("sleep 1000 # {{ y }}", *jobs, "exit 0 # plain", nodes=3, fill=x_and_y)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        assert bench.commands_run["exit 0 # plain"] == 1
        assert len(bench.queue.takes) < 10
        await trio.sleep(980)
        assert len(bench.queue.takes) < 10
    assert len(bench.nodes["n2"].ran) == 101


async def test_more_jobs_that_wait_than_are_passed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many are not passed in one take; the run neither loops nor ends before all have run."""
    monkeypatch.setattr(placing, "MOST_PASSED", 50)
    jobs = [f"exit 0 # {{{{ y }}}} {number}" for number in range(55)]
    bench = Bench("sleep 1000 # {{ y }}", *jobs, "exit 0 # plain", nodes=3, fill=x_and_y)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(900)
        assert bench.commands_run == {"sleep 1000 # {{ y }}": 1}
        assert len(bench.queue.takes) < 10
    assert sum(bench.commands_run.values()) == 57


async def test_a_queue_that_is_emptied_while_nobody_is_there(autojump_clock: MockClock) -> None:
    """The run ends: what waited was in the file, and is gone."""
    bench = Bench("exit {{ x }}", nodes=2, fill=only_on("n1"))
    bench.nodes["n1"].reachable = False
    with trio.fail_after(200):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(5)
            bench.nodes["n0"].reachable = False
            bench.nodes["n0"].hang_up()
            await trio.sleep(5)
            bench.queue.jobs.clear()


def x_and_y(job: Job, sub_node: SubNode) -> Command:
    """Render jobs with x for n1 only, and those with y for n2 only."""
    for name, host in (("{{ x }}", "n1"), ("{{ y }}", "n2")):
        if name in job.command and sub_node.hostname != host:
            raise TemplateFault(1, 1, f"unknown name {name}")
    return Command(job.command)
