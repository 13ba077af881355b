"""Dispatch with slots: several commands at once on a node, and jobs of several widths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from pegasus.barriers import BarrierClosed, BarrierOpen, BarrierVerdict, BarrierWaits
from pegasus.errors import FileFault, StaysClosed, sole_error
from pegasus.events import Awaited, BarrierPassed, Ended, Noted, Started
from pegasus.holds import DoubtfulCommand
from pegasus.model import Barrier, Exited, Job, Pool, succeeded
from tests.unit.dispatching import only_on, run_broadcast, run_queue
from tests.unit.slotted import SlotBench, gpus, job, node


async def test_a_node_runs_as_many_commands_as_it_has_slots(autojump_clock: object) -> None:
    """A node runs as many commands at once as it has slots, in the order of the file."""
    bench = SlotBench([node(0, gpus(3))], [Job(f"sleep {n % 3 + 1}") for n in range(20)])
    await run_queue(bench)
    assert bench.refuse_double() == 3
    assert len(bench.events(Ended)) == 20
    numbers = [event.assignment.number for event in bench.events(Started)]
    assert numbers == sorted(numbers)


async def test_what_a_job_holds(autojump_clock: object) -> None:
    """A job is rendered with what it holds: by default one slot, and none where it says so."""
    jobs = [job("sleep 1 # a", {"gpu": 2}), job("sleep 1 # b", {"gpu": 0}), Job("sleep 1 # c")]
    bench = SlotBench([node(0, gpus(4))], jobs)
    await run_queue(bench)
    texts = {command: slots[0][0].text for command, slots in bench.slots_seen.items()}
    assert texts == {"sleep 1 # a": "0,1", "sleep 1 # b": "", "sleep 1 # c": "2"}
    assert bench.refuse_double() == 3


async def test_a_wide_job_is_not_starved(autojump_clock: object) -> None:
    """A wide job behind narrow ones starts once those have ended that ran before it."""
    narrow = [Job(f"sleep {n % 4 + 1}") for n in range(60)]
    wide = job("sleep 2 # wide", {"gpu": 4})
    bench = SlotBench([node(0, gpus(4)), node(1, gpus(4))], [*narrow[:8], wide, *narrow[8:]])
    await run_queue(bench)
    bench.refuse_double()
    order = [event.assignment.job for event in bench.events(Started)]
    # It is claimed at once, and starts when the longest of the first eight has ended.
    assert order.index(wide) < 24


async def test_what_is_kept_for_a_wide_job_is_reported(autojump_clock: object) -> None:
    """What a wide job waits for is reported also where no job below it is looked at any more."""
    jobs = [Job("sleep 5"), *[Job("sleep 50")] * 3, job("sleep 1 # wide", {"gpu": 2})]
    bench = SlotBench([node(0, gpus(2)), node(1, gpus(2))], [*jobs, *[Job("sleep 2 # below")] * 2])
    await run_queue(bench)
    seen = [[each.words for each in event.waiting] for event in bench.events(Awaited)]
    kept = "needs 2 slots of gpu; n0 is kept for it: 1 of 2 is free"
    assert any(words[0] == kept and len(words) == 3 for words in seen if words)


async def test_where_and_at_most(autojump_clock: object) -> None:
    """A job runs only where its entry says, and no more of its jobs at a time."""
    jobs = [Job("sleep 2", demand=job("", at_most=2).demand) for _ in range(6)]
    jobs += [job("sleep 1 # here", model="b")] * 3
    bench = SlotBench([node(0, model="a"), node(1, model="a"), node(2, model="b")], jobs)
    await run_queue(bench)
    running = most = 0
    for event in bench.story:
        if event.assignment.job.demand.at_most is not None:
            running += 1 if isinstance(event, Started) else -1
            most = max(most, running)
    assert most == 2
    places = {
        e.assignment.sub_node.number
        for e in bench.events(Started)
        if "here" in e.assignment.command
    }
    assert places == {2}


async def test_a_job_that_can_run_nowhere_stays_and_the_others_go_on(
    autojump_clock: object,
) -> None:
    """A job that no node can run is the last error of the run, and holds up nothing."""
    bench = SlotBench([node(0, gpus(2))], [job("sleep 1 # wide", {"gpu": 3}), Job("sleep 1")])
    with pytest.raises(FileFault), sole_error():
        await run_queue(bench)
    assert [event.assignment.command for event in bench.events(Ended)] == ["sleep 1"]
    assert [each.command for each in bench.queue.jobs] == ["sleep 1 # wide"]


async def test_a_failed_job_is_tried_again_with_slots(autojump_clock: object) -> None:
    """A job that is tried again gets slots again, on another node if there is one."""
    jobs = [Job("exit 3"), *[Job("sleep 1")] * 6]
    bench = SlotBench([node(0, gpus(2)), node(1, gpus(2))], jobs, retries=2)
    await run_queue(bench)
    bench.refuse_double()
    tries = [e for e in bench.events(Started) if e.assignment.command == "exit 3"]
    assert len(tries) == 3
    assert all(e.assignment.slots[0].slots for e in tries)
    assert len({e.assignment.sub_node.number for e in tries}) == 2


async def test_a_node_that_connects_more_slowly(autojump_clock: object) -> None:
    """That a node is not connected yet is reported only once a try to connect has failed."""
    for reachable in (True, False):
        jobs = [job("sleep 1 # there", model="b"), Job("sleep 1")]
        bench = SlotBench([node(0, model="a"), node(1, model="b")], jobs)
        slow = bench.nodes["n1 (model=b)"]
        slow.answers_in, slow.reachable = 4.0, reachable
        with trio.move_on_after(20):
            await run_queue(bench)
        notes = [event.text for event in bench.events(Noted)]
        assert any("a job waits" in text for text in notes) is not reachable


async def test_a_node_that_is_away_delays_no_other_job(autojump_clock: object) -> None:
    """A job whose node is away waits, is reported once, and runs when the node is back."""
    jobs = [job("sleep 1 # there", model="b"), *[Job("sleep 1")] * 4]
    bench = SlotBench([node(0, model="a"), node(1, model="b")], jobs)
    away = bench.nodes["n1 (model=b)"]
    away.reachable = False

    async def come_back() -> None:
        while len(bench.events(Ended)) < 4:
            await trio.sleep(1)
        assert any(event.waiting for event in bench.events(Awaited))
        away.reachable = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_back)
        await run_queue(bench)
    assert len(bench.events(Ended)) == 5
    notes = [event.text for event in bench.events(Noted) if "Other jobs go on" in event.text]
    assert len(notes) == 1
    assert bench.events(Awaited)[-1].waiting == ()


class Judge:
    """Judges barriers as a test says."""

    def __init__(self, *verdicts: BarrierVerdict) -> None:
        self.verdicts = list(verdicts)
        self.asked_at: list[float] = []
        self.may_doubt = False

    def prepare(self, barrier: Barrier) -> Callable[[], BarrierVerdict]:
        self.asked_at.append(trio.current_time())
        return lambda: self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]

    def doubtful(self) -> list[DoubtfulCommand]:
        return []

    def forget(self, commands: object) -> None:
        raise AssertionError("nothing is in doubt")


async def test_nothing_below_a_barrier_starts_before_all_above_has_ended(
    autojump_clock: object,
) -> None:
    """A barrier opens once everything above it has ended."""
    jobs = [Job("sleep 5"), Job("sleep 1"), Job("barrier: succeeded"), Job("sleep 2")]
    bench = SlotBench([node(0), node(1), node(2)], jobs)
    await run_queue(bench)
    kinds = [(type(e).__name__, str(e.assignment.command)) for e in bench.story]
    assert kinds.index(("Started", "sleep 2")) > kinds.index(("Ended", "sleep 5"))
    assert len(bench.events(BarrierPassed)) == 1


async def test_what_runs_when_a_barrier_is_reached_is_noted(autojump_clock: object) -> None:
    """The judge is asked once while jobs of the run go on, and does not open the barrier then."""
    jobs = [Job("sleep 100"), Job("barrier: succeeded"), Job("sleep 1")]
    bench = SlotBench([node(0), node(1)], jobs)
    judge, began = Judge(BarrierOpen()), trio.current_time()
    object.__setattr__(bench.run, "barriers", judge)
    await run_queue(bench)
    assert judge.asked_at[0] - began < 2
    assert judge.asked_at[1] - began >= 100
    assert len(judge.asked_at) == 2


@pytest.mark.parametrize("pools", [(), gpus(2)])
async def test_a_barrier_waits_for_retries(pools: tuple[Pool, ...], autojump_clock: object) -> None:
    """A job that has to be tried again is tried while the barrier waits, and then it opens."""
    jobs = [Job("sleep 5"), Job("barrier: succeeded"), Job("sleep 2")]
    bench = SlotBench([node(0, pools), node(1, pools)], jobs, retries=1)
    object.__setattr__(bench.run, "timeout", 3.0)
    with trio.fail_after(100):
        await run_queue(bench)
    commands = [event.assignment.command for event in bench.events(Started)]
    assert commands == ["sleep 5", "sleep 5", "sleep 2"]
    assert len(bench.events(BarrierPassed)) == 1


async def test_a_barrier_waits_for_other_runs(autojump_clock: object) -> None:
    """A barrier waits for what other runs still do."""
    bench = SlotBench([node(0)], [Job("barrier: ended"), Job("sleep 1")])
    judge = Judge(BarrierWaits("job 3 of run x runs on n7"), BarrierOpen())
    object.__setattr__(bench.run, "barriers", judge)
    await run_queue(bench)
    assert len(bench.events(Ended)) == 1
    assert "job 3 of run x" in bench.events(Awaited)[0].waiting[0].words


async def test_a_closed_barrier_ends_the_run(autojump_clock: object) -> None:
    """A run that waits for nothing but a closed barrier ends, and takes nothing below it."""
    bench = SlotBench([node(0)], [Job("exit 1"), Job("barrier: succeeded"), Job("sleep 1")])
    object.__setattr__(bench.run, "barriers", Judge(BarrierClosed("Job 1 failed.")))
    with pytest.raises(StaysClosed), sole_error():
        await run_queue(bench)
    assert [each.command for each in bench.queue.jobs] == ["barrier: succeeded", "sleep 1"]


async def test_a_step_holds_slots_on_each_node(autojump_clock: object) -> None:
    """A step of a broadcast holds slots on each node on which it may run."""
    jobs = [job("sleep 1 # two", {"gpu": 2}), job("sleep 1 # b", model="b"), Job("sleep 1")]
    bench = SlotBench([node(0, gpus(2), model="a"), node(1, gpus(4), model="b")], jobs)
    await run_broadcast(bench)
    bench.refuse_double()
    ended = bench.events(Ended)
    assert len(ended) == 5
    assert all(succeeded(event.outcome) or event.outcome == Exited(0) for event in ended)
    assert [slots[0].text for slots in bench.slots_seen["sleep 1 # two"]] == ["0,1", "0,1"]


async def test_many_jobs_that_one_node_can_run(autojump_clock: object) -> None:
    """Beside nodes for which they cannot be rendered, those below start at once, with few takes."""
    jobs = [Job("sleep 900 # {{ x }}")] * 2 + [
        Job(f"sleep 1 # {{{{ x }}}} {n}") for n in range(200)
    ]
    nodes = [node(number, gpus(2)) for number in range(3)]
    bench = SlotBench(nodes, [*jobs, Job("sleep 1 # plain")], fill=only_on("n1"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        assert bench.nodes["n1"].ran == ["sleep 900 # 7"] * 2
        assert bench.commands_run["sleep 1 # plain"] == 1
        assert len(bench.queue.takes) < 20
        await trio.sleep(800)
        assert len(bench.queue.takes) < 20
    assert bench.refuse_double() == 3
    assert len(bench.nodes["n1"].ran) == 202
