"""What a pause promises: nothing is taken and nothing starts until the run is resumed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from pegasus.dispatch.pausing import PauseSwitch
from pegasus.events import RunPaused, RunResumed, Started
from pegasus.model import Barrier, Cancelled
from tests.fake_queue import Listening
from tests.unit.dispatching import Bench, run_broadcast, run_queue

LONG = 10_000.0
"""Seconds in which anything that waits would have happened; they are not real ones."""

MODES = pytest.mark.parametrize("mode", [run_queue, run_broadcast])


@asynccontextmanager
async def going_on(
    bench: Bench, mode: Callable[[Bench], Awaitable[None]] = run_queue
) -> AsyncIterator[trio.Event]:
    """Have a run go on; give what is set when it has ended: soon after the block."""
    ended = trio.Event()

    async def work() -> None:
        await mode(bench)
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await wait_all_tasks_blocked()
        yield ended
        with trio.fail_after(LONG):
            await ended.wait()


async def pause(bench: Bench) -> None:
    """Pause the run."""
    assert bench.dispatcher is not None
    assert await bench.dispatcher.pausing.pause()


def resume(bench: Bench) -> None:
    """Resume the run."""
    assert bench.dispatcher is not None
    assert bench.dispatcher.pausing.resume()


def started(bench: Bench) -> list[str]:
    """Give the commands that were started, in order."""
    return [event.assignment.command for event in bench.events(Started)]


@MODES
async def test_nothing_is_taken_during_a_pause(
    mode: Callable[[Bench], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """What runs goes on to its end; what waits stays in the queue, and runs after the resume."""
    bench = Bench("sleep 5", "exit 0", "printf x", nodes=1)
    async with going_on(bench, mode) as ended:
        await pause(bench)
        await trio.sleep(LONG)
        assert started(bench) == ["sleep 5"]
        assert [job.command for job in bench.queue.jobs] == ["exit 0", "printf x"]
        assert not ended.is_set()
        resume(bench)
    assert started(bench) == ["sleep 5", "exit 0", "printf x"]
    assert len(bench.events(RunPaused)) == len(bench.events(RunResumed)) == 1


@MODES
async def test_a_pause_does_not_end_a_run(
    mode: Callable[[Bench], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """A paused run with an empty queue waits: a job that is added meanwhile runs after it."""
    bench = Bench("sleep 5", nodes=1)
    async with going_on(bench, mode):
        await pause(bench)
        await trio.sleep(LONG)
        bench.queue.add("exit 0")
        await trio.sleep(LONG)
        assert started(bench) == ["sleep 5"]
        resume(bench)
    assert started(bench) == ["sleep 5", "exit 0"]


@MODES
async def test_a_paused_run_is_drained_at_once(
    mode: Callable[[Bench], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """A drain ends a paused run without a resume, and takes nothing."""
    bench = Bench("sleep 5", "exit 0", nodes=1)
    async with going_on(bench, mode):
        await pause(bench)
        await trio.sleep(LONG)
        bench.run.ending.drain()
    assert started(bench) == ["sleep 5"]


async def test_a_job_that_is_tried_again_waits(autojump_clock: MockClock) -> None:
    """A retry starts nothing during a pause; a user can stop its waiting."""
    bench = Bench("sleep 5", "exit 7", "exit 8", nodes=1, retries=1, timeout=2)
    async with going_on(bench):
        await pause(bench)
        await trio.sleep(LONG)
        assert started(bench) == ["sleep 5"]
        resume(bench)
    assert bench.commands_run == {"sleep 5": 2, "exit 7": 2, "exit 8": 2}
    bench = Bench("sleep 5", nodes=1, retries=1, timeout=2)
    async with going_on(bench):
        await pause(bench)
        await trio.sleep(LONG)
        assert bench.dispatcher is not None
        assert bench.dispatcher.stop_job(1).waiting
        resume(bench)
    assert bench.finals == [(1, "n0", "timed out after 2 s")]


async def test_a_rolling_broadcast_waits_within_its_step(autojump_clock: MockClock) -> None:
    """Sub-nodes whose turn has not come wait; each of them runs the step once after the resume."""
    bench = Bench("sleep 5", "exit 0", nodes=4)
    object.__setattr__(bench.run, "batch", 1)
    async with going_on(bench, run_broadcast):
        await pause(bench)
        await trio.sleep(LONG)
        assert started(bench) == ["sleep 5"]
        resume(bench)
    assert [bench.nodes[f"n{number}"].ran for number in range(4)] == [["sleep 5", "exit 0"]] * 4


async def test_a_barrier_stays_closed(autojump_clock: MockClock) -> None:
    """A paused run removes no barrier from its queue."""
    bench = Bench("sleep 5", "barrier: ended", "exit 0", nodes=1)
    async with going_on(bench):
        await pause(bench)
        await trio.sleep(LONG)
        assert bench.queue.passed == []
        resume(bench)
    assert bench.queue.passed == [Barrier("ended")]
    assert started(bench) == ["sleep 5", "exit 0"]


async def test_a_job_is_stopped_during_a_pause(autojump_clock: MockClock) -> None:
    """A pause changes nothing for what runs: it can be ended."""
    bench = Bench("sleep 5", nodes=1)
    async with going_on(bench):
        await pause(bench)
        assert bench.dispatcher is not None
        bench.dispatcher.stop_job(1)
        await wait_all_tasks_blocked()
        assert bench.listening.outcomes == [("sleep 5", "n0", Cancelled())]
        resume(bench)


async def test_a_pause_of_a_paused_run(autojump_clock: MockClock) -> None:
    """Who pauses or resumes twice learns that nothing has changed."""
    bench = Bench("sleep 5", nodes=1)
    async with going_on(bench):
        assert bench.dispatcher is not None
        pausing = bench.dispatcher.pausing
        assert not pausing.resume()
        assert await pausing.pause()
        assert not await pausing.pause()
        assert pausing.resume()
        assert not pausing.resume()


async def test_a_pause_while_the_taking_ends(autojump_clock: MockClock) -> None:
    """Where the last take does not notice a pause, the run waits all the same, and takes again."""
    listening, last_take, takes = Listening(), trio.Event(), 0

    async def take() -> None:
        nonlocal takes
        takes += 1
        with trio.CancelScope(shield=True):
            await last_take.wait()

    pausing = PauseSwitch(listening, trio.lowlevel.checkpoint)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pausing.repeat, take)
        await wait_all_tasks_blocked()
        nursery.start_soon(pausing.pause)
        await wait_all_tasks_blocked()
        last_take.set()
        await trio.sleep(LONG)
        assert (takes, pausing.is_over, len(listening.told)) == (1, False, 1)
        assert pausing.resume()
    assert (takes, pausing.is_over) == (2, True)


async def test_a_resume_before_the_taking_has_noticed_the_pause(autojump_clock: MockClock) -> None:
    """A pause that is ended at once by somebody else does not end the run."""
    unlocked, takes = trio.Event(), 0

    async def take() -> None:
        nonlocal takes
        takes += 1
        try:
            await trio.sleep(LONG)
        finally:
            with trio.CancelScope(shield=True):
                await unlocked.wait()

    pausing = PauseSwitch(Listening(), trio.lowlevel.checkpoint)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pausing.repeat, take)
        await wait_all_tasks_blocked()
        nursery.start_soon(pausing.pause)
        await wait_all_tasks_blocked()
        assert pausing.resume()
        unlocked.set()
    assert (takes, pausing.is_over) == (2, True)


class Moment(trio.abc.Instrument):
    """Sets an event after so many steps of tasks."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.event = trio.Event()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.event.set()


async def run_to_its_end(
    bench: Bench, mode: Callable[[Bench], Awaitable[None]], ended: trio.Event
) -> None:
    """Run all jobs, and set an event."""
    await mode(bench)
    ended.set()


async def paused_at(moment: int, mode: Callable[[Bench], Awaitable[None]]) -> str:
    """Pause a run of one job after so many steps of its tasks; give what came of it."""
    bench, steps, result = Bench("exit 0", nodes=1), Moment(moment), "paused"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_to_its_end, bench, mode, steps.event)
        trio.lowlevel.add_instrument(steps)
        await steps.event.wait()
        trio.lowlevel.remove_instrument(steps)
        assert bench.dispatcher is not None
        if steps.left > 0:
            result = "ended before"
        elif not bench.dispatcher.continues:
            result = "refused"
        elif await bench.dispatcher.pausing.pause():
            await trio.sleep(LONG)
            assert nursery.child_tasks, "a paused run has ended"
            resume(bench)
    assert started(bench) == ["exit 0"]
    return result


@MODES
async def test_a_pause_at_each_moment(
    mode: Callable[[Bench], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """A run either refuses a pause, since it takes nothing more, or waits for the resume."""
    results: list[str] = []
    while "ended before" not in results:
        results.append(await paused_at(len(results) + 1, mode))
    assert {*results} == {"paused", "refused", "ended before"}
