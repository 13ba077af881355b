"""What a pause promises: nothing is taken and nothing starts until the run is resumed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from pegasus.events import RunPaused, RunResumed, Started
from pegasus.model import Barrier, Cancelled
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
