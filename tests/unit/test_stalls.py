"""``--stall``: a command that prints nothing for long is reported, and nothing else happens."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from trio.testing import MockClock

from pegasus.event_bus import EventBus
from pegasus.events import (
    Cut,
    Ended,
    Event,
    Printed,
    Progressed,
    Reconnected,
    Returned,
    Stalled,
    Started,
)
from pegasus.model import Exited, Stream
from pegasus.stalls import LATE, READING, watch_stalls
from tests.unit.states import given_to

ONE, TWO = given_to(1), given_to(2, 1)


@dataclass
class Reports:
    """A listener that notes events and their times, and whose output may stall."""

    told: list[tuple[float, Event]] = field(default_factory=list)
    stalls_for: float = 0.0

    def tell(self, event: Event) -> None:
        self.told.append((trio.current_time(), event))

    async def show(self, printed: Printed) -> None:
        await trio.sleep(self.stalls_for)

    @property
    def stalled(self) -> list[tuple[int, float, float]]:
        """When, on Trio's clock, which job was reported, and the length of its silence."""
        found = [(at, each) for at, each in self.told if isinstance(each, Stalled)]
        return [(each.assignment.number, at, each.seconds) for at, each in found]


@asynccontextmanager
async def watched(limit: float) -> AsyncIterator[tuple[EventBus, Reports]]:
    """Watch a run for silences."""
    reports = Reports()
    bus = EventBus(reports, clock=trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_stalls, bus, limit)
        yield bus, reports
        nursery.cancel_scope.cancel()


def printed(data: bytes = b"x", stream: Stream = Stream.STDOUT) -> Printed:
    """Give output of the first job."""
    return Printed(ONE, stream, data)


async def test_each_silence_is_reported_once(autojump_clock: MockClock) -> None:
    """A silent command is reported after the limit, and again only after it has printed."""
    async with watched(100) as (bus, reports):
        bus.tell(Started(ONE))
        await trio.sleep(250)
        await bus.show(printed())
        await trio.sleep(400)
    assert reports.stalled == [(1, 100, 100), (1, 350, 100)]


async def test_a_command_that_prints_is_not_reported(autojump_clock: MockClock) -> None:
    """Output on either stream, more often than the limit, is no silence."""
    async with watched(100) as (bus, reports):
        bus.tell(Started(ONE))
        for stream in (Stream.STDOUT, Stream.STDERR) * 5:
            await trio.sleep(99)
            await bus.show(printed(stream=stream))
    assert not reports.stalled


async def test_commands_are_watched_one_by_one(autojump_clock: MockClock) -> None:
    """Each command has its own silence, from its own start; one that ended has none."""
    async with watched(100) as (bus, reports):
        bus.tell(Started(ONE))
        await trio.sleep(30)
        bus.tell(Started(TWO))
        await trio.sleep(90)
        assert reports.stalled == [(1, 100, 100)]
        bus.tell(Ended(TWO, Exited(0), 90.0))
        bus.tell(Returned(ONE, "gone"))
        await trio.sleep(300)
    assert reports.stalled == [(1, 100, 100)]


async def test_a_late_start_is_reported_in_time(autojump_clock: MockClock) -> None:
    """A command that starts while nothing else runs is reported exactly after the limit."""
    async with watched(100) as (bus, reports):
        await trio.sleep(130)
        bus.tell(Started(ONE))
        await trio.sleep(150)
    assert reports.stalled == [(1, 230, 100)]


async def test_a_reader_that_stalls_is_no_silence(autojump_clock: MockClock) -> None:
    """While output waits for the terminal, its command is not silent: it may be unable to print."""
    async with watched(100) as (bus, reports):
        reports.stalls_for = 1000
        bus.tell(Started(ONE))
        await trio.sleep(10)
        await bus.show(printed())
        assert not reports.stalled
        await trio.sleep(150)
    assert reports.stalled == [(1, 1110, 100)]


async def test_a_broken_connection_is_no_silence(autojump_clock: MockClock) -> None:
    """What a detached command prints meanwhile is unknown: the silence begins when it is back."""
    async with watched(100) as (bus, reports):
        bus.tell(Started(ONE))
        await trio.sleep(90)
        bus.tell(Cut(ONE, "Broken pipe"))
        await trio.sleep(500)
        bus.tell(Reconnected(ONE))
        await trio.sleep(150)
    assert reports.stalled == [(1, 690, 100)]


async def test_a_command_of_an_earlier_run(autojump_clock: MockClock) -> None:
    """A command that was taken over is watched from the moment in which it is followed."""
    async with watched(100) as (bus, reports):
        bus.resume(ONE, {})
        await trio.sleep(500)
        bus.tell(Reconnected(ONE))
        await trio.sleep(150)
    assert reports.stalled == [(1, 600, 100)]


async def test_pegasus_itself_was_stopped() -> None:
    """After a Ctrl-Z, output that was printed meanwhile and is still unread is no silence."""
    now = [0.0]
    clock = MockClock(rate=0)

    async def watch() -> Reports:
        reports = Reports()
        bus = EventBus(reports, clock=lambda: now[0] + trio.current_time())
        async with trio.open_nursery() as nursery:
            bus.tell(Started(ONE))
            nursery.start_soon(watch_stalls, bus, 100)
            await trio.testing.wait_all_tasks_blocked()
            now[0] = 500 + LATE  # and Trio's own clock wakes the task at 100
            clock.jump(101)
            await trio.testing.wait_all_tasks_blocked()
            assert not reports.stalled
            clock.jump(99)
            await trio.testing.wait_all_tasks_blocked()
            assert not reports.stalled
            clock.jump(2)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return reports

    reports = await trio.to_thread.run_sync(lambda: trio.run(watch, clock=clock))
    assert [(job, seconds) for job, _, seconds in reports.stalled] == [(1, 101)]


async def test_pegasus_was_stopped_for_a_moment() -> None:
    """After a short stop too, unread output is read before a command is reported as silent."""
    now = [0.0]
    clock = MockClock(rate=0)

    async def watch() -> Reports:
        reports = Reports()
        bus = EventBus(reports, clock=lambda: now[0] + trio.current_time())
        async with trio.open_nursery() as nursery:
            bus.tell(Started(ONE))
            bus.tell(Started(TWO))
            nursery.start_soon(watch_stalls, bus, 100)
            await trio.testing.wait_all_tasks_blocked()
            now[0] = LATE - 1
            clock.jump(100)
            await trio.testing.wait_all_tasks_blocked()
            assert not reports.stalled
            await bus.show(printed())
            clock.jump(READING)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return reports

    reports = await trio.to_thread.run_sync(lambda: trio.run(watch, clock=clock))
    assert [job for job, _, _ in reports.stalled] == [2]


async def test_the_next_output_ends_the_silence_for_readers(autojump_clock: MockClock) -> None:
    """``status`` sees at once that a command prints again, however short the time since."""
    async with watched(1) as (bus, reports):
        bus.tell(Started(ONE))
        await trio.sleep(1.5)
        await bus.show(printed())
        await bus.show(printed())
    kinds = [type(each) for _, each in reports.told]
    assert kinds == [Started, Stalled, Progressed]


async def test_without_a_limit_nothing_is_watched() -> None:
    """Without ``--stall`` there is no task."""
    began = time.monotonic()
    await watch_stalls(EventBus(), math.inf)
    assert time.monotonic() >= began
