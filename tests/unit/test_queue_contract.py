"""What a queue promises to dispatch: the fake queue of its tests keeps it as the real one does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pegasus.barriers import BarrierOpen, BarrierVerdict, BarrierWaits
from pegasus.dispatch import Queue
from pegasus.model import Barrier, Job
from tests.fake_queue import FakeQueue, Listening
from tests.unit.sources import Bench
from tests.unit.taking import Scripted

LINES = ["a", "b", "barrier: ended", "c"]


@pytest.fixture(params=["fake", "real"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[list[str]], Queue]:
    """Give what makes a queue with such jobs and barriers."""

    def fake(lines: list[str]) -> Queue:
        return FakeQueue(lines, Listening())

    def real(lines: list[str]) -> Queue:
        return Bench(tmp_path, "".join(f"- {line}\n" for line in lines)).source

    return fake if request.param == "fake" else real


async def test_what_a_take_gives(make: Callable[[list[str]], Queue]) -> None:
    """The picked jobs leave the queue, in order and with their numbers; all others stay."""
    queue = make([*LINES])
    picker = Scripted("-+")
    batch = await queue.take(picker)
    assert [(each.number, each.job) for each in batch.jobs] == [(1, Job("b"))]
    assert picker.settled == [1]
    assert (batch.barrier, batch.is_complete, batch.fault) == (None, True, None)
    assert not queue.changed()
    batch = await queue.take(picker)
    assert not batch.jobs
    assert picker.unchanged == [False, True]


async def test_a_take_that_is_full(make: Callable[[list[str]], Queue]) -> None:
    """A full picker ends the take, which then does not say that it was complete."""
    batch = await make([*LINES]).take(Scripted("+", most=1))
    assert [each.job for each in batch.jobs] == [Job("a")]
    assert (batch.barrier, batch.is_complete) == (None, False)


async def test_refused_jobs_stay(make: Callable[[list[str]], Queue]) -> None:
    """A job that can run nowhere stays, with its reason, and the next one is taken."""
    queue = make([*LINES])
    batch = await queue.take(Scripted("!+"))
    assert [each.job for each in batch.jobs] == [Job("b")]
    assert ["no sub-node has this" in str(fault) for fault in batch.refused] == [True]
    assert batch.barrier is None


async def test_passing_a_barrier(make: Callable[[list[str]], Queue]) -> None:
    """Only the first thing in the queue can be passed, and only if it is judged open."""
    queue, barrier = make([*LINES]), Barrier("ended")
    asked: list[BarrierVerdict] = []

    def waits() -> BarrierVerdict:
        asked.append(BarrierWaits("job 1 runs"))
        return asked[-1]

    assert await queue.pass_barrier(barrier, waits) is None
    assert (await queue.take(Scripted("+"))).barrier == barrier
    assert await queue.pass_barrier(Barrier("succeeded"), waits) is None
    assert await queue.pass_barrier(barrier, waits) == BarrierWaits("job 1 runs")
    assert not await queue.is_empty()
    assert await queue.pass_barrier(barrier, BarrierOpen) == BarrierOpen()
    assert queue.changed()
    assert [each.job for each in (await queue.take(Scripted("+"))).jobs] == [Job("c")]
    assert len(asked) == 1
    assert await queue.is_empty()
