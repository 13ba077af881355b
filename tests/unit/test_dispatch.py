"""Dispatch: every job is accounted for, whatever happens and in whatever order."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from pegasus.errors import FileFault, PegasusError, sole_error
from pegasus.events import Connected, Returned, Unreachable
from pegasus.model import Cancelled, Exited, Lost, SubNode
from pegasus.picker import Picker
from tests.fake_queue import FakeBatch
from tests.unit.dispatching import Bench, run_queue


async def test_each_job_runs_once_in_order(autojump_clock: MockClock) -> None:
    """Every job of the queue is taken in order and runs exactly once."""
    commands = [f"sleep {i % 4}.{i}" for i in range(30)]
    bench = Bench(*commands)
    await run_queue(bench)
    assert bench.listening.taken == commands
    assert bench.commands_run == Counter(commands)
    assert all(outcome == Exited(0) for _, _, outcome in bench.listening.outcomes)


async def test_jobs_are_taken_when_a_sub_node_is_free(autojump_clock: MockClock) -> None:
    """A job stays in the queue until a sub-node can start it."""
    bench = Bench(*["sleep 10"] * 6, nodes=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        assert len(bench.queue.jobs) == 4
        await trio.sleep(10)
        assert len(bench.queue.jobs) == 2


async def test_an_empty_queue_ends_the_run(autojump_clock: MockClock) -> None:
    """With nothing to run and nothing running there is nothing to wait for."""
    bench = Bench()
    with trio.fail_after(2):
        await run_queue(bench)
    assert bench.listening.outcomes == []


async def test_a_job_added_while_another_runs(autojump_clock: MockClock) -> None:
    """A job added while any command runs starts within half a second on a free sub-node."""
    bench = Bench("sleep 60")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(20)
        bench.queue.add("exit 3")
        await trio.sleep(0.5)
        assert [(c, o) for c, _, o in bench.listening.outcomes] == [("exit 3", Exited(3))]


async def test_a_job_deleted_never_runs(autojump_clock: MockClock) -> None:
    """A job that is deleted from the queue before it is taken never runs."""
    bench = Bench("sleep 60", "sleep 60", "sleep 60", "exit 4")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(20)
        bench.queue.jobs.pop()
    assert "exit 4" not in bench.commands_run


async def test_the_daemon_waits(autojump_clock: MockClock) -> None:
    """A daemon waits for jobs without a limit, and starts one within half a second."""
    bench = Bench(daemon=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(600)
        bench.queue.add("exit 0")
        await trio.sleep(0.5)
        assert bench.commands_run == Counter(["exit 0"])
        bench.run.ending.drain()


async def test_drain(autojump_clock: MockClock) -> None:
    """Draining takes nothing more, lets what runs end, and hangs up free sub-nodes at once."""
    bench = Bench("sleep 10", "sleep 20")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        bench.run.ending.drain()
        await bench.run.ending.drained.wait()
        bench.queue.add("exit 0")
        await trio.sleep(1)
        assert bench.nodes.open == 2
        await trio.sleep(6)
        assert bench.nodes.open == 1
    assert [outcome for _, _, outcome in bench.listening.outcomes] == [Exited(0), Exited(0)]
    assert len(bench.queue.jobs) == 1


async def test_drain_while_connecting(autojump_clock: MockClock) -> None:
    """Draining does not wait for a node that can't be reached."""
    bench = Bench("sleep 10", nodes=2)
    bench.nodes["n1"].reachable = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(3)
        bench.run.ending.drain()
        before = trio.current_time()
    assert trio.current_time() - before == pytest.approx(7, abs=0.5)


async def test_abort(autojump_clock: MockClock) -> None:
    """Cancelling a run accounts for every command that ran: cancelled."""
    bench = Bench(*["sleep 100"] * 5)
    with trio.move_on_after(5):
        await run_queue(bench)
    assert [outcome for _, _, outcome in bench.listening.outcomes] == [Cancelled()] * 3
    assert len(bench.queue.jobs) == 2
    assert bench.run.ending.drained.is_set()


@pytest.mark.parametrize("ticks", range(40))
async def test_abort_at_any_step(ticks: int, autojump_clock: MockClock) -> None:
    """At whatever step a run is cancelled, what was taken and what is left are all there is."""
    commands = [f"exit {number}" for number in range(12)]
    bench = Bench(*commands, nodes=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    left = [job.command for job in bench.queue.jobs]
    assert bench.listening.taken + left == commands
    assert sorted(command for command, _, _ in bench.listening.outcomes) == sorted(
        bench.listening.taken
    )


LACKS = pytest.mark.parametrize("lacks", ["reachable", "has_shells"])


@LACKS
async def test_a_node_that_is_unreachable(lacks: str, autojump_clock: MockClock) -> None:
    """The others do the work; the one is named with ssh's words and tried again, ever later.

    So is one that accepts connections and starts nothing; it is never reported as connected.
    """
    bench = Bench("sleep 1000", "sleep 1000", "sleep 1000", nodes=2)
    setattr(bench.nodes["n0"], lacks, False)
    await run_queue(bench)
    tries = bench.nodes["n0"].tries
    pauses = [b - a for a, b in itertools.pairwise(tries)]
    assert all(1.15 * a < b or b > 44 for a, b in itertools.pairwise(pauses))
    assert max(pauses) <= 75
    words = {event.words for _, event in bench.listening.told if isinstance(event, Unreachable)}
    assert words == {"Connection refused"}
    assert bench.commands_run == Counter(["sleep 1000"] * 3)
    told = [event for _, event in bench.listening.told if isinstance(event, Connected)]
    assert [event.sub_node.hostname for event in told] == ["n1"]


async def test_a_node_that_comes_back(autojump_clock: MockClock) -> None:
    """A node that could not be reached at first works as soon as it can be."""
    bench = Bench(*["sleep 100"] * 4, nodes=2)
    bench.nodes["n0"].reachable = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(50)
        bench.nodes["n0"].reachable = True
    assert bench.nodes["n0"].ran


@LACKS
async def test_no_node_at_all(lacks: str, autojump_clock: MockClock) -> None:
    """When no node can be reached, or starts anything, nothing is taken, and the run says so."""
    bench = Bench("exit 0")
    for name in ("n0", "n1", "n2"):
        setattr(bench.nodes[name], lacks, False)
    with (
        pytest.raises(PegasusError, match="No node can be reached, nothing was taken"),
        sole_error(),
    ):
        await run_queue(bench)
    assert len(bench.queue.jobs) == 1


async def test_a_broken_connection(autojump_clock: MockClock) -> None:
    """What ran over a connection that broke is lost, and is not run again; the node comes back."""
    bench = Bench("hang up", "exit 0", nodes=1)
    await run_queue(bench)
    assert bench.listening.outcomes == [
        ("hang up", "n0", Lost("Connection refused")),
        ("exit 0", "n0", Exited(0)),
    ]


async def test_a_job_that_never_started(autojump_clock: MockClock) -> None:
    """A connection that breaks between the take and the start costs no job: another gets it."""
    bench = Bench(nodes=2, daemon=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(1)
        bench.queue.add("exit 0", "exit 1")
        real_take = bench.queue.take

        async def take_and_hang_up(fills: object) -> object:
            taken = await real_take(fills)  # type: ignore[arg-type]  # the fake's own argument
            bench.nodes["n0"].hang_up()
            bench.nodes["n0"].reachable = False
            return taken

        bench.queue.take = take_and_hang_up  # type: ignore[method-assign, assignment]  # a fake
        await trio.sleep(1)
        assert any(isinstance(event, Returned) for _, event in bench.listening.told)
        assert bench.nodes["n1"].ran == ["exit 1", "exit 0"] or bench.nodes["n1"].ran == [
            "exit 0",
            "exit 1",
        ]
        bench.run.ending.drain()
    assert sorted(c for c, _, _ in bench.listening.outcomes) == ["exit 0", "exit 1"]


async def test_a_bad_entry_while_others_run(autojump_clock: MockClock) -> None:
    """A bad entry is named once and waited for while commands run; mended, the run goes on."""
    bench = Bench("sleep 30", "BAD", "exit 5")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        assert bench.notes == [
            "queue.yaml:1:1: this is bad. Waiting for the file to change.",
        ]
        bench.queue.jobs.popleft()
    assert bench.commands_run == Counter(["sleep 30", "exit 5"])


async def test_a_bad_entry_at_last(autojump_clock: MockClock) -> None:
    """With nothing left to wait for, a bad entry ends the run; it stays in the queue."""
    bench = Bench("exit 0", "BAD", "exit 5")
    with pytest.raises(FileFault, match="this is bad"), sole_error():
        await run_queue(bench)
    assert bench.commands_run == Counter(["exit 0"])
    assert len(bench.queue.jobs) == 2


async def test_a_template_that_cannot_be_filled(autojump_clock: MockClock) -> None:
    """A command that can't be filled in is not taken."""
    bench = Bench("exit 0", "echo {{ nope }}")
    with pytest.raises(FileFault, match="unknown name"), sole_error():
        await run_queue(bench)
    assert bench.listening.taken == ["exit 0"]


async def test_a_full_disk(autojump_clock: MockClock) -> None:
    """A full disk is named once; what runs goes on, and so does the run when there is room."""
    bench = Bench("sleep 100", "exit 0", nodes=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(1)
        bench.queue.full_until = trio.current_time() + 50
        bench.queue.add("exit 4")
    assert bench.notes == ["queue.yaml: the disk is full. Trying again."]
    assert bench.commands_run == Counter(["sleep 100", "exit 0", "exit 4"])
    assert len(bench.queue.takes) < 30


async def test_a_full_disk_with_nothing_to_wait_for(autojump_clock: MockClock) -> None:
    """A disk that is full from the beginning ends the run; the queue is as it was."""
    bench = Bench("exit 0")
    bench.queue.full_until = math.inf
    with pytest.raises(PegasusError, match="the disk is full"), sole_error():
        await run_queue(bench)
    assert len(bench.queue.jobs) == 1


async def test_an_entry_that_is_not_written_to_its_end(autojump_clock: MockClock) -> None:
    """A run does not end while an entry is being written; what it waits for is reported once."""
    bench = Bench("exit 0")
    bench.queue.half_written = "queue.yaml: somebody writes."
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(50)
        assert bench.commands_run == Counter(["exit 0"])
        assert len(bench.queue.takes) < 5
        bench.queue.add("exit 4")
        await trio.sleep(5)
        bench.queue.half_written = ""
    assert bench.commands_run == Counter(["exit 0", "exit 4"])
    assert bench.notes == ["queue.yaml: somebody writes."]


async def test_a_writer_without_pauses(autojump_clock: MockClock) -> None:
    """A file that changes before each check is checked at intervals, and the wait is reported."""
    bench = Bench("exit 0")
    bench.queue.half_written = "queue.yaml: somebody writes."
    bench.queue.changed = lambda: True  # type: ignore[method-assign]  # at each check
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        assert bench.notes == ["queue.yaml: somebody writes."]
        assert 40 <= len(bench.queue.takes) <= 60
        bench.run.ending.drain()


async def test_error_aborts(autojump_clock: MockClock) -> None:
    """With -e nothing is taken once a job has failed; the others that run go on to their end."""
    bench = Bench("sleep 30", "exit 1", "sleep 1", "exit 0", "exit 0", nodes=2, error_aborts=True)
    await run_queue(bench)
    assert bench.commands_run == Counter(["sleep 30", "exit 1"])
    assert bench.notes == ["A job failed: nothing more is taken."]


async def test_sub_nodes_come_and_go(autojump_clock: MockClock) -> None:
    """New sub-nodes join a run; one that is gone ends its command, and leaves."""
    bench = Bench("sleep 100", "sleep 100", nodes=2, daemon=True)
    send, receive = trio.open_memory_channel[Sequence[SubNode]](1)
    object.__setattr__(bench.run, "sub_node_updates", receive)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        await send.send([SubNode(0, "n1"), SubNode(1, "new", (("gpu", "1"),))])
        await trio.sleep(1)
        bench.queue.add("sleep 7")
        await trio.sleep(1)
        assert bench.nodes["new (gpu=1)"].ran == ["sleep 7"]
        await trio.sleep(90)
        assert bench.nodes["n0"].open == 0
        assert bench.nodes["n1"].open == 1
        await trio.sleep(100)
        bench.run.ending.drain()
    assert all(outcome == Exited(0) for _, _, outcome in bench.listening.outcomes)
    assert len(bench.listening.outcomes) == 3


async def test_a_job_that_comes_as_its_sub_node_goes_is_run(
    autojump_clock: MockClock,
) -> None:
    """A job that is taken in the moment in which its sub-node is taken out runs, here or there."""
    bench = Bench(nodes=2, daemon=True)
    send, receive = trio.open_memory_channel[Sequence[SubNode]](1)
    object.__setattr__(bench.run, "sub_node_updates", receive)
    take = bench.queue.take

    async def take_and_change_hosts(picker: Picker) -> FakeBatch:
        if bench.queue.jobs:
            send.send_nowait([SubNode(0, "n1")])
        return await take(picker)

    object.__setattr__(bench.queue, "take", take_and_change_hosts)  # to be there just then
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        bench.queue.add("exit 0")
        await trio.sleep(30)
        bench.run.ending.drain()
    assert [outcome for *_, outcome in bench.listening.outcomes] == [Exited(0)]
