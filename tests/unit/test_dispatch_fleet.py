"""Broadcast mode on fleets: batches, and sub-nodes that cannot be reached."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from pegasus.errors import PegasusError, sole_error
from pegasus.events import Ended, Missing, Started
from pegasus.model import Command, Exited, Job, Lost, NotStarted, SubNode
from tests.unit.dispatching import Bench, run_broadcast


def set_up(bench: Bench, **options: int | None) -> None:
    """Set options of the run."""
    for name, value in options.items():
        object.__setattr__(bench.run, name, value)


def slow_on(*slow: int, seconds: float = 10) -> Callable[[Job, SubNode], Command]:
    """Let a job that sleeps take longer on some sub-nodes."""

    def fill(job: Job, sub_node: SubNode) -> Command:
        return Command(f"sleep {seconds}" if sub_node.number in slow else job.command)

    return fill


def most_at_once(bench: Bench) -> int:
    """Give the highest number of commands that ran at the same time."""
    running, most = 0, 0
    for _, event in bench.listening.told:
        running += isinstance(event, Started)
        running -= isinstance(event, Ended)
        most = max(most, running)
    return most


def missing(bench: Bench) -> list[str]:
    """Name the sub-nodes without which the broadcast went on, in order."""
    return [str(event.sub_node) for event in bench.events(Missing)]


# Batches.


async def test_a_batch_is_a_window(autojump_clock: MockClock) -> None:
    """A step runs on so many sub-nodes at a time; as one ends, the next begins, in their order."""
    bench = Bench("sleep 1", "sleep 1", nodes=8, fill=slow_on(0))
    set_up(bench, batch=3)
    await run_broadcast(bench)
    assert most_at_once(bench) == 3
    started = [event.assignment.sub_node.number for event in bench.events(Started)]
    assert started == [*range(8)] * 2
    spans = bench.listening.spans()
    assert spans[1, 7][1] < spans[1, 0][1], "the slow one holds back one place only"
    assert min(spans[2, node][0] for node in range(8)) >= max(
        spans[1, node][1] for node in range(8)
    )


async def test_a_batch_with_retries(autojump_clock: MockClock) -> None:
    """A sub-node that tries again keeps its place: no more than the batch run at a time."""
    bench = Bench("exit 1", nodes=5, retries=2)
    set_up(bench, batch=2)
    await run_broadcast(bench)
    assert most_at_once(bench) == 2
    assert len(bench.events(Ended)) == 15
    assert len(bench.finals) == 5


async def test_one_that_is_away_lets_others_go_first(autojump_clock: MockClock) -> None:
    """A sub-node whose connection broke before its turn does not hold back the others."""
    bench = Bench("sleep 10", nodes=4)
    set_up(bench, batch=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(1)
        bench.nodes["n1"].reachable = False
        bench.nodes["n1"].hang_up()
        await trio.sleep(60)
        bench.nodes["n1"].reachable = True
    order = [event.assignment.sub_node.number for event in bench.events(Started)]
    assert order == [0, 2, 3, 1]


async def test_a_failure_in_a_batch_with_error_aborts(autojump_clock: MockClock) -> None:
    """With -e a failure lets what runs go on; the sub-nodes that have not begun never do."""

    def fill(job: Job, sub_node: SubNode) -> Command:
        return Command("exit 1" if sub_node.number == 1 else job.command)

    bench = Bench("sleep 1", "sleep 2", nodes=5, fill=fill, error_aborts=True)
    set_up(bench, batch=2)
    await run_broadcast(bench)
    outcomes = {name: outcome for _, name, outcome in bench.finals}
    assert outcomes["n0"] == str(Exited(0))
    assert outcomes["n1"] == str(Exited(1))
    words = "not started: the broadcast was ended before its turn"
    assert [outcomes[f"n{node}"] for node in (2, 3, 4)] == [words] * 3
    assert [job.command for job in bench.queue.jobs] == ["sleep 2"]


async def test_a_drain_in_a_batch(autojump_clock: MockClock) -> None:
    """A drain starts nothing more, and each sub-node of the step has an outcome."""
    bench = Bench("sleep 5", nodes=4)
    set_up(bench, batch=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(1)
        bench.run.ending.drain()
        await bench.run.ending.drained.wait()
        begun = len(bench.events(Started))
    assert begun == len(bench.events(Started)) == 2
    kinds = [type(event.outcome) for event in bench.events(Ended)]
    assert sorted(kind.__name__ for kind in kinds) == ["Exited"] * 2 + ["NotStarted"] * 2


async def test_a_stop_in_a_batch(autojump_clock: MockClock) -> None:
    """``stop JOB`` ends what runs of a step, and its waiting where it has not begun."""
    bench = Bench("sleep 5", "exit 0", nodes=3)
    set_up(bench, batch=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(1)
        assert bench.dispatcher is not None
        stopped = bench.dispatcher.stop_job(1)
        assert (len(stopped.running), len(stopped.waiting)) == (1, 2)
    assert len(bench.finals) == 6
    assert [end for end in bench.finals if end[0] == 2] == [
        (2, f"n{node}", "exit status: 0") for node in range(3)
    ]


# Sub-nodes that cannot be reached.


async def test_without_some_sub_nodes(autojump_clock: MockClock) -> None:
    """A broadcast goes on without sub-nodes that cannot be reached, and names them."""
    bench = Bench("exit 0", "exit 0", nodes=5)
    set_up(bench, max_unreachable=2)
    bench.nodes["n1"].reachable = bench.nodes["n4"].reachable = False
    await run_broadcast(bench)
    assert missing(bench) == ["n1", "n4"]
    assert len(bench.finals) == 6
    (note,) = [note for note in bench.notes if "Going on without" in note]
    assert "Going on without n[1,4]: 2 of 5 sub-nodes missing" in note
    assert len(bench.nodes["n1"].tries) == 1


async def test_too_many_are_unreachable(autojump_clock: MockClock) -> None:
    """When more are unreachable than allowed, the error names all, however late they are."""
    bench = Bench("exit 0", nodes=6)
    set_up(bench, max_unreachable=2)
    for number in (1, 3, 5):
        bench.nodes[f"n{number}"].reachable = False
        bench.nodes[f"n{number}"].answers_in = number * 10.0
    with pytest.raises(PegasusError, match=r"3 of 6 sub-nodes.*allows 2") as caught, sole_error():
        await run_broadcast(bench)
    assert str(caught.value).startswith("n[1,3,5] cannot be reached")
    assert len(bench.queue.jobs) == 1
    assert missing(bench) == []


async def test_one_sub_node_has_to_be_there(autojump_clock: MockClock) -> None:
    """A broadcast without any sub-node is an error, whatever is allowed."""
    bench = Bench("exit 0", nodes=2)
    set_up(bench, max_unreachable=2)
    for name in ("n0", "n1"):
        bench.nodes[name].reachable = False
    with pytest.raises(PegasusError, match="at least one"), sole_error():
        await run_broadcast(bench)
    assert len(bench.queue.jobs) == 1


async def test_a_sub_node_that_goes_away(autojump_clock: MockClock) -> None:
    """One that breaks and cannot be reached again is missing; the others go on.

    It runs no later step, even if it comes back: it has missed one.
    """
    bench = Bench("sleep 10", "sleep 20", "sleep 30", nodes=3)
    set_up(bench, max_unreachable=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(15)
        bench.nodes["n2"].reachable = False
        bench.nodes["n2"].hang_up()
        await trio.sleep(10)
        bench.nodes["n2"].reachable = True
    assert missing(bench) == ["n2"]
    assert bench.nodes["n2"].ran == ["sleep 10", "sleep 20"]
    lost = [event for event in bench.events(Ended) if isinstance(event.outcome, Lost)]
    assert [event.assignment.sub_node.number for event in lost] == [2]
    assert bench.nodes["n0"].ran == bench.nodes["n1"].ran == ["sleep 10", "sleep 20", "sleep 30"]


async def test_a_short_break_is_no_absence(autojump_clock: MockClock) -> None:
    """A sub-node that can be reached again at the first try is not missing."""
    bench = Bench("sleep 10", "sleep 20", nodes=2)
    set_up(bench, max_unreachable=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(5)
        bench.nodes["n1"].hang_up()
    assert missing(bench) == []
    assert bench.nodes["n1"].ran == ["sleep 10", "sleep 20"]


async def test_a_retry_of_a_sub_node_that_goes_away(autojump_clock: MockClock) -> None:
    """A step that waits for another try on a missing sub-node ends as it ended last."""
    bench = Bench("sleep 10", "exit 0", nodes=2, retries=3)
    set_up(bench, max_unreachable=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(5)
        bench.nodes["n1"].reachable = False
        bench.nodes["n1"].hang_up()
    ((_, _, outcome),) = [end for end in bench.finals if end[1] == "n1"]
    assert outcome.startswith("lost")
    assert [end for end in bench.finals if end[1] == "n0"] == [
        (1, "n0", "exit status: 0"),
        (2, "n0", "exit status: 0"),
    ]


async def test_one_more_than_allowed_is_waited_for(autojump_clock: MockClock) -> None:
    """Once as many are missing as allowed, the broadcast waits for the next one, as without."""
    bench = Bench("sleep 10", "sleep 20", nodes=3)
    set_up(bench, max_unreachable=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(5)
        for name in ("n1", "n2"):
            bench.nodes[name].reachable = False
            bench.nodes[name].hang_up()
        await trio.sleep(600)
        assert len(missing(bench)) == 1
        assert bench.listening.taken == ["sleep 10"]
        assert any("waits for" in note for note in bench.notes)
        for name in ("n1", "n2"):
            bench.nodes[name].reachable = True
    assert bench.listening.taken == ["sleep 10", "sleep 20"]
    assert len(missing(bench)) == 1


async def test_a_missing_sub_node_before_its_turn(autojump_clock: MockClock) -> None:
    """One that goes away before its turn in a batch has the outcome that it never started.

    This is no failure for -e, since the user has allowed it.
    """
    bench = Bench("sleep 10", "exit 0", nodes=3, error_aborts=True)
    set_up(bench, max_unreachable=1, batch=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(5)
        bench.nodes["n2"].reachable = False
        bench.nodes["n2"].hang_up()
    assert missing(bench) == ["n2"]
    ends = [event for event in bench.events(Ended) if event.assignment.sub_node.number == 2]
    assert [event.outcome for event in ends] == [
        NotStarted("its sub-node is missing: it cannot be reached")
    ]
    assert len(bench.finals) == 5


# Detached commands.


def detached(*commands: str, **options: int | None) -> Bench:
    """Give a broadcast of detached commands on two nodes that may go on without one of them."""
    bench = Bench(*commands, nodes=2)
    set_up(bench, detached=True, max_unreachable=1, **options)
    return bench


async def test_a_detached_command_of_a_missing_sub_node(autojump_clock: MockClock) -> None:
    """It still runs on its node; the broadcast does without that, and does not wait at its end."""
    bench = detached("sleep 50", "sleep 9")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(5)
        bench.nodes["n1"].reachable = False
        bench.nodes["n1"].hang_up()
    assert trio.current_time() < 100
    assert missing(bench) == ["n1"]
    assert bench.finals == [(1, "n0", "exit status: 0"), (2, "n0", "exit status: 0")]
    assert [keeper.command for keeper in bench.nodes["n1"].folders.values() if keeper] == [
        "sleep 50"
    ]


async def test_a_detached_command_of_a_sub_node_that_is_back(autojump_clock: MockClock) -> None:
    """If the node can be reached again meanwhile, the command is followed to its real end."""
    bench = detached("sleep 50", "sleep 100")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_broadcast, bench)
        await trio.sleep(5)
        bench.nodes["n1"].reachable = False
        bench.nodes["n1"].hang_up()
        await trio.sleep(10)
        bench.nodes["n1"].reachable = True
    assert missing(bench) == ["n1"]
    assert (1, "n1", "exit status: 0") in bench.finals
    assert bench.nodes["n1"].ran == ["sleep 50"]
    assert bench.nodes["n0"].ran == ["sleep 50", "sleep 100"]
