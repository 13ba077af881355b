"""Jobs that are tried again: where, and for what they wait."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from pegasus.events import Ended
from pegasus.model import Assignment, Exited, Outcome, SubNode, TimedOut
from tests.unit.dispatching import Bench, only_on, run_broadcast, run_queue

A, B = SubNode(0, "n0"), SubNode(1, "n1")


# Which failures are tried again.


async def test_only_chosen_failures_are_tried_again(autojump_clock: MockClock) -> None:
    """A job that failed for another cause is final at once; a success or a last try asks nobody."""
    asked: list[tuple[int, str]] = []

    def choose(assignment: Assignment, outcome: Outcome) -> bool:
        asked.append((assignment.number, str(outcome)))
        return outcome in {Exited(7), TimedOut(10)}

    commands = ("exit 7", "exit 8", "exit 0", "sleep 20", "hang up")
    bench = Bench(*commands, nodes=2, retries=1, timeout=10, retries_after=choose)
    await run_queue(bench)
    tries = {"exit 7": 2, "exit 8": 1, "exit 0": 1, "sleep 20": 2, "hang up": 1}
    assert bench.commands_run == tries
    assert sorted(asked) == [
        (1, "exit status: 7"),
        (2, "exit status: 8"),
        (4, "timed out after 10 s"),
        (5, "lost: Connection refused"),
    ]
    assert len(bench.finals) == 5


async def test_in_a_broadcast_each_sub_node_is_chosen(autojump_clock: MockClock) -> None:
    """A step is tried again on the sub-nodes whose failure was chosen, and on no other."""
    bench = Bench("exit 7", retries=2, retries_after=lambda given, _: given.sub_node.number == 1)
    await run_broadcast(bench)
    assert [len(bench.nodes[name].ran) for name in ("n0", "n1", "n2")] == [1, 3, 1]


# Where a retry goes, when hosts.yaml changes.


async def test_a_sub_node_that_was_removed_is_not_waited_for(autojump_clock: MockClock) -> None:
    """A job is tried again where it failed once the only other sub-node is out of hosts.yaml."""
    bench = Bench("sleep 10", "exit 7", nodes=2, retries=1)
    change = bench.follow()
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(5)  # one has run `exit 7`, and the other has not come to it
            (tried,) = [node for node in bench.events(Ended) if node.again]
            await change.send([tried.assignment.sub_node])
    assert bench.commands_run == {"sleep 10": 1, "exit 7": 2}
    assert set(bench.finals) == {(1, "n0", "exit status: 0"), (2, "n1", "exit status: 7")} or (
        set(bench.finals) == {(1, "n1", "exit status: 0"), (2, "n0", "exit status: 7")}
    )


async def test_a_sub_node_that_is_on_its_way_out_is_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    """A sub-node that was removed ends its long command, and no retry waits for that."""
    bench = Bench("sleep 300", "exit 7", nodes=2, retries=1)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        (tried,) = bench.events(Ended)
        await change.send([tried.assignment.sub_node])
        await trio.sleep(5)
        assert bench.commands_run["exit 7"] == 2


@pytest.mark.parametrize("other", ["gone", "never came"])
async def test_a_sub_node_that_is_away_is_not_waited_for(
    other: str, autojump_clock: MockClock
) -> None:
    """A job is tried again where it failed while the other sub-node can't be reached."""
    bench = Bench("sleep 50", nodes=2, retries=1, timeout=10)
    if other == "never came":
        bench.nodes["n1"].answers_in = 1000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        busy, idle = sorted(("n0", "n1"), key=lambda name: not bench.nodes[name].runs_now)
        bench.nodes[idle].reachable = False
        bench.nodes[idle].hang_up()
        await trio.sleep(10)
        assert bench.nodes[busy].ran == ["sleep 50"] * 2
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert bench.finals == [(1, busy, "timed out after 10 s")]


async def test_a_retry_with_no_sub_node_left(autojump_clock: MockClock) -> None:
    """With the last sub-node gone, a job that waits for another try ends as it did last."""
    bench = Bench("sleep 50", "exit 7", nodes=2, retries=1)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        assert not bench.finals
        await change.send([])
        await trio.sleep(5)
        ((number, _, outcome),) = bench.finals
        assert (number, outcome) == (2, "exit status: 7")
    assert bench.commands_run["exit 7"] == 1


async def test_the_last_sub_node_leaves_with_the_job(autojump_clock: MockClock) -> None:
    """A job that fails on the last sub-node, which is on its way out, ends as it did."""
    bench = Bench("sleep 7", nodes=1, retries=5, timeout=5)
    change = bench.follow()
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_queue, bench)
            await trio.sleep(2)
            await change.send([])
    assert bench.finals == [(1, "n0", "timed out after 5 s")]


async def test_a_sub_node_that_is_replaced_takes_the_retry(autojump_clock: MockClock) -> None:
    """A job that waits while its sub-node is exchanged for another is tried on the new one."""
    bench = Bench("sleep 50", "exit 7", nodes=2, retries=1)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        await change.send([SubNode(0, "new")])
    assert bench.nodes["new"].ran == ["exit 7"]


async def test_a_sub_node_that_comes_back_while_its_command_runs(
    autojump_clock: MockClock,
) -> None:
    """A sub-node taken out and put in again, all within one command, never runs two at a time."""
    bench = Bench("sleep 100", nodes=1, daemon=True)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        await change.send([B])
        await trio.sleep(5)
        await change.send([B, A])
        await trio.sleep(5)
        bench.queue.add("sleep 200", "exit 3")
        await trio.sleep(5)
        assert bench.nodes["n0"].runs_now == 1
        assert len(bench.queue.jobs) == 1
        await trio.sleep(100)
        assert bench.nodes["n0"].ran == ["sleep 100", "exit 3"]  # and it stays at work
        bench.run.ending.drain()


async def test_a_sub_node_that_comes_back_after_it_has_gone(autojump_clock: MockClock) -> None:
    """A sub-node that is put in again once it has gone works again."""
    bench = Bench(nodes=2, daemon=True)
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        for sub_nodes in ([B], [A], [A, B], [B], [A]):
            await trio.sleep(5)
            await change.send(sub_nodes)
        await trio.sleep(5)
        assert [bench.nodes[name].open for name in ("n0", "n1")] == [1, 0]
        bench.queue.add("exit 0")
        await trio.sleep(1)
        assert bench.nodes["n0"].ran == ["exit 0"]
        bench.run.ending.drain()


# Where it can be filled in.


async def test_a_retry_where_it_can_be_filled_in(autojump_clock: MockClock) -> None:
    """A job is tried again on a sub-node that can run it, passing over the one that cannot."""
    bench = Bench("exit {{ x }}", nodes=1, retries=3, daemon=True, fill=only_on("n0", "n2"))
    change = bench.follow()
    bench.nodes["n2"].reachable = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await change.send([A, B, SubNode(2, "n2")])
        await trio.sleep(20)
        bench.nodes["n2"].reachable = True
        await trio.sleep(100)
        bench.run.ending.drain()
    assert not bench.nodes["n1"].ran
    assert bench.commands_run == {"exit 7": 4}
    assert [outcome for *_, outcome in bench.finals] == ["exit status: 7"]


async def test_a_retry_that_can_be_filled_in_nowhere(autojump_clock: MockClock) -> None:
    """A job that ran keeps its outcome where no sub-node that is left can run it again."""
    bench = Bench("exit {{ x }}", nodes=1, retries=1, daemon=True, fill=only_on("n0"))
    change = bench.follow()
    bench.nodes["n0"].has_shells = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(0.5)
        assert bench.finals == [(1, "n0", "exit status: 7")]  # n0 has tried it twice
        bench.queue.add("hang up # {{ x }}")
        await trio.sleep(0.3)
        await change.send([B])
        await trio.sleep(5)
        assert bench.finals[1:] == [(2, "n0", "lost: Connection refused")]
        bench.run.ending.drain()
    assert not bench.nodes["n1"].ran


async def test_a_job_that_never_started_and_can_be_filled_in_nowhere(
    autojump_clock: MockClock,
) -> None:
    """A job that never began, and that no sub-node left can run, was not started: it says why."""
    bench = Bench("exit {{ x }}", nodes=1, daemon=True, fill=only_on("n0"))
    change = bench.follow()
    bench.nodes["n0"].starts_commands = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(0.5)
        await change.send([B])
        await trio.sleep(5)
        assert bench.finals == [(1, "n0", "not started: 1:1: unknown name x.")]
        bench.run.ending.drain()


async def test_a_connected_sub_node_that_cannot_run_it_is_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    """A busy sub-node that has not tried the job, and never can, keeps no retry waiting."""
    bench = Bench("sleep 20", nodes=1, retries=1, daemon=True, fill=only_on("n0"))
    change = bench.follow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(5)
        await change.send([A, B])
        await trio.sleep(5)
        bench.queue.add("sleep 100")
        await trio.sleep(5)
        assert bench.nodes["n1"].runs_now
        bench.queue.add("exit {{ x }}")
        await trio.sleep(10)
        assert bench.finals[1:] == [(3, "n0", "exit status: 7")]
        bench.run.ending.drain()
