"""Detached commands, as dispatch handles them: they outlive connections and runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import trio

from pegasus.dispatch import AttachDispatcher, Stray
from pegasus.errors import PegasusError
from pegasus.events import (
    Cut,
    Discarded,
    Ended,
    Reconnected,
    Released,
    Started,
    StopStored,
    Unreachable,
)
from pegasus.model import (
    Cancelled,
    Exited,
    Lost,
    NotStarted,
    Stream,
    SubNode,
    TimedOut,
)
from tests.fakes import FakeKeeper
from tests.unit.detached_runs import detached, heard, left_by, outcomes
from tests.unit.dispatching import Bench, run_broadcast, run_queue


async def test_a_command_outlives_its_connection(autojump_clock: trio.abc.Clock) -> None:
    """A broken connection is reported, and the command is followed to its real end, once."""
    bench = detached("sleep 30")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        bench.nodes["n0"].reachable = False
        bench.nodes["n0"].hang_up()
        await trio.sleep(10)
        bench.nodes["n0"].reachable = True
    assert outcomes(bench.listening) == [Exited(0)]
    assert bench.nodes["n0"].ran == ["sleep 30"]
    assert [len(bench.events(kind)) for kind in (Cut, Reconnected, Released)] == [1, 1, 1]
    assert bench.events(Ended)[0].seconds == 30
    assert not bench.nodes["n0"].folders


async def test_output_goes_on_from_the_byte_at_which_it_stopped(
    autojump_clock: trio.abc.Clock,
) -> None:
    """No byte is shown twice."""
    bench = detached("sleep 30")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        keeper = next(iter(bench.nodes["n0"].folders.values()))
        assert keeper is not None
        keeper.output += b" and more"
        bench.nodes["n0"].hang_up()
    shown = [event.data for _, event in bench.listening.told if hasattr(event, "data")]
    assert shown == [b"begun", b" and more"]


async def test_a_step_waits_for_a_node_that_is_away(autojump_clock: trio.abc.Clock) -> None:
    """In a broadcast the next step begins when all commands have ended, however long it takes."""
    bench = detached("sleep 5", "exit 0", nodes=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(1)
        bench.nodes["n1"].reachable = False
        bench.nodes["n1"].hang_up()
        await trio.sleep(600)
        assert bench.nodes["n0"].ran == ["sleep 5"]
        bench.nodes["n1"].reachable = True
    assert outcomes(bench.listening) == [Exited(0)] * 4
    assert bench.nodes["n1"].ran == ["sleep 5", "exit 0"]


async def test_an_abort_with_a_node_away(autojump_clock: trio.abc.Clock) -> None:
    """What can be reached is ended; for the rest the stop is recorded, and no end is reported."""
    bench = detached("sleep 50", "sleep 60", nodes=2)
    with bench.run.ending.working:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(5)
            bench.nodes["n1"].reachable = False
            bench.nodes["n1"].hang_up()
            await trio.sleep(5)
            bench.run.ending.abort()
    assert trio.current_time() < 25
    assert outcomes(bench.listening) == [Cancelled()]
    assert [str(event.assignment.sub_node) for event in bench.events(StopStored)] == ["n1"]
    assert any("cannot be reached" in words for words in bench.notes)
    assert None not in bench.nodes["n1"].folders.values()


async def test_a_stop_is_delivered_later(autojump_clock: trio.abc.Clock) -> None:
    """``pegasus stop JOB`` for a node that is away ends the job once the node is back."""
    bench = detached("sleep 500")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        bench.nodes["n0"].reachable = False
        bench.nodes["n0"].hang_up()
        await trio.sleep(5)
        assert bench.dispatcher is not None
        stopped = bench.dispatcher.stop_job(1)
        assert not stopped.running
        assert [assignment.number for assignment in stopped.unreachable] == [1]
        await trio.sleep(50)
        bench.nodes["n0"].reachable = True
    assert outcomes(bench.listening) == [Cancelled()]
    assert trio.current_time() < 300


async def test_leaving(autojump_clock: trio.abc.Clock) -> None:
    """A run that is left reports no end, and its commands go on."""
    bench = detached("sleep 50", "sleep 60")
    with bench.run.ending.working:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(5)
            bench.run.ending.leave()
    assert not bench.listening.outcomes
    assert [keeper.command for keeper in bench.nodes["n0"].folders.values() if keeper] == [
        "sleep 50"
    ]


async def test_the_time_limit_holds_while_nobody_is_connected(
    autojump_clock: trio.abc.Clock,
) -> None:
    """The node ends the command, and the run learns it later."""
    bench = detached("sleep 500", timeout=20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        bench.nodes["n0"].reachable = False
        bench.nodes["n0"].hang_up()
        await trio.sleep(100)
        bench.nodes["n0"].reachable = True
    assert outcomes(bench.listening) == [TimedOut(20)]
    assert bench.events(Ended)[0].seconds == 20


async def test_a_command_that_never_started(autojump_clock: trio.abc.Clock) -> None:
    """Another sub-node gets its job, and its folder is removed."""
    bench = detached("exit 0", nodes=2)
    bench.nodes["n0"].starts_commands = False
    bench.nodes["n1"].answers_in = 1
    await run_queue(bench)
    assert outcomes(bench.listening) == [Exited(0)]
    assert bench.nodes["n1"].ran == ["exit 0"]


async def test_giving_up(autojump_clock: trio.abc.Clock) -> None:
    """A job is lost after --give-up, and is ended once its node is back, before anything else."""
    bench = detached("sleep 5000", "sleep 100", give_up=60)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        bench.nodes["n0"].reachable = False
        bench.nodes["n0"].hang_up()
        await trio.sleep(85)
        bench.nodes["n0"].reachable = True
    assert [type(outcome) for outcome in outcomes(bench.listening)] == [Lost, Exited]
    assert bench.nodes["n0"].ran == ["sleep 5000", "sleep 100"]
    assert not bench.nodes["n0"].folders


@pytest.mark.parametrize("where", ["n0", "elsewhere"])
async def test_taking_over(autojump_clock: trio.abc.Clock, where: str) -> None:
    """A command of an earlier run is followed, in the record of that run; its sub-node is busy."""
    bench = Bench("sleep 1", "sleep 1", nodes=2)
    keeper = FakeKeeper("sleep 50", 0, 50, Exited(3), b"0123456789")
    inherited = left_by(bench, where, keeper, extent={Stream.STDOUT: 4})
    bench.run = replace(bench.run, inherited=[inherited])
    await run_queue(bench)
    told = heard(inherited)
    assert outcomes(told) == [Exited(3)]
    assert [event.data for _, event in told.told if hasattr(event, "data")] == [b"456789"]
    assert [type(event) for _, event in told.told if isinstance(event, Released)]
    assert outcomes(bench.listening) == [Exited(0)] * 2
    nodes = {event.assignment.sub_node.hostname for event in bench.events(Started)}
    assert nodes == ({"n1"} if where == "n0" else {"n0", "n1"})
    assert trio.current_time() >= 50


async def test_nothing_is_taken_before_it_was_probed(autojump_clock: trio.abc.Clock) -> None:
    """A node that is away delays the others only by one try to reach it."""
    bench = Bench("exit 0", nodes=2)
    inherited = left_by(bench, "n0", FakeKeeper("sleep 500", 0, 500, Exited(0)))
    bench.nodes["n0"].reachable, bench.nodes["n0"].answers_in = False, 20
    bench.run = replace(bench.run, inherited=[inherited])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(19)
        assert not bench.listening.taken
        await trio.sleep(5)
        assert outcomes(bench.listening) == [Exited(0)]
        bench.nodes["n0"].reachable = True
    assert outcomes(heard(inherited)) == [Exited(0)]


@pytest.mark.parametrize(
    ("keeper", "outcome"),
    [(None, NotStarted), (FakeKeeper("exit 4", 0, 0, Exited(4)), Exited)],
)
async def test_attaching(
    autojump_clock: trio.abc.Clock, keeper: FakeKeeper | None, outcome: type
) -> None:
    """The fate of each command is found out on its node; nothing is taken."""
    bench = Bench("exit 0", nodes=0)
    inherited = left_by(bench, "n0", keeper)
    bench.run = replace(bench.run, inherited=[inherited])
    await AttachDispatcher(bench.run).run_all()
    assert [type(each) for each in outcomes(heard(inherited))] == [outcome]
    assert not bench.nodes["n0"].folders
    assert not bench.listening.taken


async def test_what_is_left_is_removed(autojump_clock: trio.abc.Clock) -> None:
    """Folders of ended commands, and folders without a command, are removed."""
    bench = Bench(nodes=0)
    inherited = left_by(bench, "n0", FakeKeeper("exit 4", 0, 0, Exited(4)), has_ended=True)
    bench.nodes["n1"].folders["stray"] = None
    stray = Stray(SubNode(1, "n1"), "stray", bench.listening)
    bench.run = replace(bench.run, inherited=[inherited], strays=[stray])
    await AttachDispatcher(bench.run).run_all()
    assert not outcomes(heard(inherited))
    assert "stray" in {event.key for event in bench.events(Discarded)}
    assert not bench.nodes["n0"].folders
    assert not bench.nodes["n1"].folders


async def test_a_run_of_an_empty_queue_removes_what_is_left(
    autojump_clock: trio.abc.Clock,
) -> None:
    """A run does not end before its nodes, which take seconds to connect, have no folders left."""
    bench = Bench(nodes=2)
    inherited = left_by(bench, "n0", FakeKeeper("exit 4", 0, 0, Exited(4)), has_ended=True)
    bench.nodes["n1"].folders["stray"] = None
    for name in ("n0", "n1"):
        bench.nodes[name].answers_in = 3
    strays = [Stray(SubNode(1, "n1"), "stray", bench.listening)]
    bench.run = replace(bench.run, inherited=[inherited], strays=strays)
    await run_queue(bench)
    assert not bench.nodes["n0"].folders
    assert not bench.nodes["n1"].folders


async def test_a_run_ends_while_a_shell_starts(autojump_clock: trio.abc.Clock) -> None:
    """The folder that the shell has asked for is removed."""
    bench = detached("exit 0", nodes=2)
    lot = bench.nodes["n1"].preparing = trio.lowlevel.ParkingLot()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        lot.unpark_all()
    assert not bench.nodes["n1"].folders
    assert trio.current_time() < 6


async def test_a_run_ends_though_a_shell_never_starts(autojump_clock: trio.abc.Clock) -> None:
    """A run waits ten seconds for a folder to be removed, and no longer."""
    bench = detached("exit 0", nodes=2)
    bench.nodes["n1"].preparing = trio.lowlevel.ParkingLot()
    await run_queue(bench)
    assert trio.current_time() < 12


async def test_a_stored_stop(autojump_clock: trio.abc.Clock) -> None:
    """A command that was to be ended is ended as soon as it is reached, by the next run."""
    bench = Bench(nodes=1)
    keeper = FakeKeeper("sleep 5000", 0, 5000, Exited(0))
    inherited = left_by(bench, "n0", keeper, stop_stored=True)
    bench.run = replace(bench.run, inherited=[inherited])
    await run_queue(bench)
    assert outcomes(heard(inherited)) == [Cancelled()]
    assert trio.current_time() < 20


async def test_attach_waits_for_a_node(autojump_clock: trio.abc.Clock) -> None:
    """A node that is away is tried again and again; its words are in the record of its run."""
    bench = Bench(nodes=0)
    inherited = left_by(bench, "n0", FakeKeeper("sleep 5", 0, 5, Exited(0)))
    bench.nodes["n0"].reachable = False
    bench.run = replace(bench.run, inherited=[inherited])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(AttachDispatcher(bench.run).run_all))
        await trio.sleep(300)
        bench.nodes["n0"].reachable = True
    assert outcomes(heard(inherited)) == [Exited(0)]
    told = [event for _, event in heard(inherited).told if isinstance(event, Unreachable)]
    assert len(told) > 3


async def test_a_stop_of_an_earlier_run_s_job(autojump_clock: trio.abc.Clock) -> None:
    """It ends that job, and not the job of the same number of this run."""
    bench = Bench("sleep 20", nodes=1)
    keeper = FakeKeeper("sleep 5000", 0, 5000, Exited(0))
    inherited = left_by(bench, "elsewhere", keeper)
    assignment = replace(inherited.assignment, number=1)
    bench.run = replace(bench.run, inherited=[replace(inherited, assignment=assignment)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        assert bench.dispatcher is not None
        stopped = bench.dispatcher.stop_job(1, None, "earlier")
        assert [each.sub_node.hostname for each in stopped.running] == ["elsewhere"]
    assert outcomes(heard(inherited)) == [Cancelled()]
    assert outcomes(bench.listening) == [Exited(0)]


async def test_a_stopped_command_that_never_started(autojump_clock: trio.abc.Clock) -> None:
    """No other sub-node gets its job: a user has ended it."""
    bench = Bench(nodes=1)
    inherited = left_by(bench, "n0", None, stop_stored=True)
    owner = replace(inherited.owner, name="test", listener=bench.listening)
    bench.run = replace(bench.run, inherited=[replace(inherited, owner=owner)])
    await run_queue(bench)
    assert [type(outcome) for outcome in outcomes(bench.listening)] == [NotStarted]
    assert not bench.nodes["n0"].ran


async def test_an_error_leaves_detached_commands(autojump_clock: trio.abc.Clock) -> None:
    """A run that ends with an error does not wait for what it follows."""
    bench = Bench("exit 0", nodes=2)
    bench.nodes["n1"].reachable, bench.nodes["n1"].answers_in = False, 3
    inherited = left_by(bench, "n0", FakeKeeper("sleep 500", 0, 500, Exited(0)))
    bench.run = replace(bench.run, inherited=[inherited])
    with pytest.RaisesGroup(PegasusError, flatten_subgroups=True):
        await run_broadcast(bench)
    assert trio.current_time() < 20
    assert not heard(inherited).outcomes
    assert not [event for _, event in heard(inherited).told if isinstance(event, Cut)]
