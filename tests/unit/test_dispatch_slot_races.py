"""Dispatch with slots where something happens during a take, or a take fails."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Collection

import pytest
import trio

from pegasus.dispatch.slot_ledger import SlotLedger
from pegasus.errors import FileFault, sole_error
from pegasus.events import Ended, Started
from pegasus.holds import Hold
from pegasus.model import Assignment, Command, HeldSlots, Job, Pool, Slot
from tests.unit.dispatching import Bench, run_broadcast, run_queue
from tests.unit.other_runs import OtherRun, living
from tests.unit.slotted import SlotBench, gpus, job, node
from tests.unit.slow_takes import slow


@pytest.mark.parametrize("pools", [(), gpus(1)])
async def test_a_connection_breaks_during_a_take(
    pools: tuple[Pool, ...], autojump_clock: object
) -> None:
    """A sub-node that was ready when a take began, and is away when the file is read, gets none."""
    jobs = [job("sleep 1", model="a"), Job("sleep 1"), Job("sleep 1")]
    bench = SlotBench([node(0, pools, model="a"), node(1, gpus(1))], jobs)
    queue, other = slow(bench), bench.nodes["n0 (model=a)"]

    def hang_up() -> None:
        if len(queue.takes) < 2 and bench.listening.told:
            other.hang_up()

    queue.during = hang_up
    await run_queue(bench)
    assert len(bench.events(Ended)) == 3
    bench.refuse_double()


@pytest.mark.parametrize("pools", [(), gpus(1)])
async def test_a_job_is_stopped_during_the_take_of_its_next_try(
    pools: tuple[Pool, ...], autojump_clock: object
) -> None:
    """A job that a user stops while a take places its next try does not start again."""
    jobs = [job("exit 3", model="a"), Job("sleep 1"), Job("sleep 1")]
    bench = SlotBench([node(0, pools, model="a")], jobs, retries=5)

    def stop() -> None:
        if bench.dispatcher is not None and bench.dispatcher.retries:
            bench.dispatcher.stop_job(1)

    slow(bench).after = stop
    await run_queue(bench)
    started = [str(event.assignment.command) for event in bench.events(Started)]
    assert sorted(started) == ["exit 3", "sleep 1", "sleep 1"]
    bench.refuse_double()


@pytest.mark.parametrize("run", [run_queue, run_broadcast])
async def test_a_take_that_fails_at_last_holds_nothing(
    run: Callable[[Bench], Awaitable[None]], threaded_clock: object
) -> None:
    """Other runs soon see that a job does not hold what it was to hold, if it stays in the file."""
    bench = SlotBench([node(0, gpus(2))], [job("sleep 1", {"gpu": 2})])
    slow(bench).refuses = True
    other, is_free = OtherRun(is_over=False), threading.Event()
    written: list[Collection[Hold]] = [other.holds.copy()]
    other.holds.clear()

    def write(holds: Collection[Hold]) -> bool:
        written.append(holds)
        if not holds and written[-2]:
            is_free.set()
        return True

    other.write = write  # type: ignore[method-assign]
    object.__setattr__(bench.run, "shared", other)
    object.__setattr__(bench.run, "daemon", True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, bench)
        assert await trio.to_thread.run_sync(is_free.wait, 20.0)
        nursery.cancel_scope.cancel()
    assert len(written) == 3


async def test_a_run_that_is_killed_while_another_one_waits_for_its_slots(
    threaded_clock: object,
) -> None:
    """A run that waits for the slots of another one notices that this is killed meanwhile."""
    bench = SlotBench([node(0, gpus(2))], [Job("sleep 1")])
    other = OtherRun(is_over=True)
    other.killed_at_look = 20
    object.__setattr__(bench.run, "shared", other)
    bench.nodes["n0"].answer = living("run-0 8")  # type: ignore[assignment]
    await run_queue(bench)
    assert len(bench.events(Ended)) == 1


async def test_a_broadcast_waits_for_no_slots_of_a_missing_node(autojump_clock: object) -> None:
    """A broadcast that goes on without a node does not wait until that node tells its slots."""
    pools = (Pool("gpu", "nvidia"),)
    bench = SlotBench([node(0, gpus(1)), node(1, pools)], [Job("sleep 1"), Job("sleep 2")])
    bench.nodes["n1"].reachable = False
    object.__setattr__(bench.run, "max_unreachable", 1)
    await run_broadcast(bench)
    assert [event.assignment.command for event in bench.events(Ended)] == ["sleep 1", "sleep 2"]


async def test_a_step_that_can_never_begin(autojump_clock: object) -> None:
    """A step for which the sub-nodes of one machine share too few slots is an error of the run."""
    for counts in ((1, 1), (1, 2)):
        bench = SlotBench(
            [node(n, gpus(count)) for n, count in enumerate(counts)], [Job("sleep 1")]
        )
        bench.nodes["n1"].place = bench.nodes["n0"].place
        if max(counts) == 1:
            with pytest.raises(FileFault, match="needs 2 of gpu"), sole_error():
                await run_broadcast(bench)
        else:
            await run_broadcast(bench)
        assert len(bench.events(Ended)) == (0 if max(counts) == 1 else 2)


async def test_a_new_sub_node_runs_a_job_that_could_run_nowhere(autojump_clock: object) -> None:
    """A job that no sub-node could run starts at once on one that joins the run."""
    bench = SlotBench([node(0), node(1)], [Job("sleep 60"), job("sleep 1 # b", model="b")])
    send = bench.follow()

    async def add() -> None:
        await trio.sleep(10)
        await send.send([node(0), node(1), node(2, model="b")])

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        await run_queue(bench)
    started = {
        str(event.assignment.command): at
        for at, event in bench.listening.told
        if isinstance(event, Started)
    }
    assert started["sleep 1 # b"] - began < 20


def test_a_job_that_is_lost_twice_on_a_sub_node() -> None:
    """What the first lost command holds is not free since the second one is lost, too."""
    ledger = SlotLedger("run", OtherRun(is_over=False))
    for number in range(2):
        slots = (HeldSlots("gpu", (Slot(str(number)),), "fixed"),)
        lost = Assignment(1, Job("x"), node(0, gpus(2)), Command("x"), slots=slots)
        hold = (Hold("n0:22", "gpu", str(number), "run", 1),)
        ledger._held[1, 0] = hold
        ledger.release(lost, float(number), is_gone=False)
    assert ledger.held_keys("n0:22", "gpu") == {"0", "1"}


def test_an_old_look_at_other_runs_undoes_nothing() -> None:
    """A look that was slow does not make free what a later one has seen."""
    other = OtherRun(is_over=False)
    seen, other.holds = other.holds, set()
    ledger = SlotLedger("run", other)
    outer = other.others

    def slow_look() -> object:
        found = outer()
        other.others = outer  # type: ignore[method-assign]
        other.holds = seen
        assert len(ledger.see_others(1.0)) == 2
        return found

    other.others = slow_look  # type: ignore[method-assign, assignment]
    ledger.see_others(0.0)
    assert len(ledger.taken()) == 2
