"""The contract of the writer thread: order, batches, bounds, and an end that always comes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from queue import SimpleQueue

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pegasus.writer_thread import BatchLimits, WriterThread

LIMIT = 20.0
LIMITS = BatchLimits(size=100, items=10, wake=50, gather=LIMIT)


class FakeFile:
    """A file whose writes wait until the test lets them go on."""

    def __init__(self, *, open_: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.is_writing = threading.Event()
        self.may_write = threading.Event()
        if open_:
            self.may_write.set()

    def write(self, batch: Sequence[int]) -> None:
        """Write a batch."""
        self.is_writing.set()
        assert self.may_write.wait(LIMIT)
        self.batches.append(list(batch))

    @property
    def items(self) -> list[int]:
        """All that was written."""
        return [item for batch in self.batches for item in batch]


class FakeWake(threading.Event):
    """The event that wakes the thread; time passes only when the test sets it."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: SimpleQueue[float | None] = SimpleQueue()

    def wait(self, timeout: float | None = None) -> bool:
        """Note the pause, and wait until the event is set."""
        self.pauses.put(timeout)
        return super().wait(LIMIT)

    async def next_pause(self) -> float | None:
        """Wait for the thread's next pause; give its length."""
        return await trio.to_thread.run_sync(partial(self.pauses.get, timeout=LIMIT))


@asynccontextmanager
async def opened(
    file: FakeFile, limits: BatchLimits = LIMITS, **options: object
) -> AsyncIterator[WriterThread[int]]:
    """Open a writer thread for the length of a block; close it at its end."""
    thread: WriterThread[int] = WriterThread("test", file.write, limits, **options)  # type: ignore[arg-type]
    with trio.fail_after(LIMIT):
        try:
            yield thread
        except BaseException:
            thread.stop()
            file.may_write.set()
            raise
        await thread.close()


async def in_thread(event: threading.Event) -> None:
    """Wait for an event of the thread."""
    assert await trio.to_thread.run_sync(event.wait, LIMIT)


async def test_items_are_written_in_order() -> None:
    """All that was put is written before the end, in its order."""
    file = FakeFile()
    async with opened(file) as thread:
        for item in range(1000):
            thread.put(item, 1)
    assert file.items == list(range(1000))
    assert (thread.done, thread.waiting) == (1000, 0)
    assert not thread._thread.is_alive()


async def test_batches_are_bounded() -> None:
    """A batch ends with the item that reaches its bytes, or its number of items."""
    file = FakeFile(open_=False)
    async with opened(file) as thread:
        thread.put(0, 1)
        await in_thread(file.is_writing)
        for item in range(1, 15):
            thread.put(item, 1)
        for item in range(15, 18):
            thread.put(item, 60)
        assert thread.waiting == 195
        file.may_write.set()
    assert file.batches == [[0], list(range(1, 11)), [11, 12, 13, 14, 15, 16], [17]]


async def test_items_gather_until_the_time_is_up() -> None:
    """After a batch the thread pauses for the time that it was given, and then writes the rest."""
    file = FakeFile()
    async with opened(file, replace(LIMITS, gather=0.25)) as thread:
        thread._urgent = wake = FakeWake()
        thread.put(0, 1)
        assert await wake.next_pause() == 0.25
        for item in range(1, 4):
            thread.put(item, 1)
        assert file.batches == [[0]]
        wake.set()  # the time is up
        await wake.next_pause()
        assert file.batches == [[0], [1, 2, 3]]


async def test_much_wakes_the_thread() -> None:
    """The thread is woken as soon as there is as much as its limit, and not before."""
    file = FakeFile()
    async with opened(file) as thread:
        thread._urgent = wake = FakeWake()
        thread.put(0, 0)
        await wake.next_pause()
        thread.put(1, 49)
        assert not wake.is_set()
        thread.put(2, 1)
        await wake.next_pause()
        assert file.batches == [[0], [1, 2]]


async def test_there_is_no_pause_while_much_waits() -> None:
    """With as much behind a batch as wakes it, the thread goes on without a pause."""
    file = FakeFile(open_=False)
    async with opened(file) as thread:
        thread._urgent = wake = FakeWake()
        thread.put(0, 1)
        await in_thread(file.is_writing)
        thread.put(1, 50)
        file.may_write.set()
        await wake.next_pause()
        assert file.batches == [[0], [1]]


async def test_there_is_no_pause_before_a_mark() -> None:
    """Settling and closing do not wait for the time to gather, however many batches it takes."""
    file = FakeFile()
    async with opened(file) as thread:
        thread._urgent = wake = FakeWake()
        thread.put(0, 0)
        await wake.next_pause()
        for item in range(1, 33):
            thread.put(item, 0)
        assert await trio.to_thread.run_sync(thread.settle, LIMIT)
        await wake.next_pause()
        assert list(map(len, file.batches)) == [1, 10, 10, 10, 2]
        for item in range(33):
            thread.put(item, 0)
        await thread.close()
        assert wake.pauses.empty()
        assert len(file.items) == 66


async def test_progress_is_reported_once_when_asked_for() -> None:
    """Nobody is called in Trio's thread who did not ask, and each request gives one call."""
    calls: list[None] = []
    file = FakeFile()
    limits = replace(LIMITS, gather=0.0)
    async with opened(file, limits, on_progress=lambda: calls.append(None)) as thread:
        for item in range(5):
            thread.put(item, 1)
        assert thread.settle(LIMIT)
        await wait_all_tasks_blocked(0.01)
        assert calls == []
        thread.request_progress()
        thread.put(5, 1)
        thread.settle(LIMIT)
        thread.put(6, 1)
        thread.settle(LIMIT)
        await wait_all_tasks_blocked(0.01)
        assert len(calls) == 1


async def test_waiting_for_room() -> None:
    """A task waits while too much waits to be written, and goes on when that is less."""
    file = FakeFile(open_=False)
    went_on: list[int] = []
    async with opened(file) as thread, trio.open_nursery() as nursery:

        async def wait(limit: int) -> None:
            await thread.wait_room(limit)
            went_on.append(limit)

        thread.put(0, 100)
        await in_thread(file.is_writing)
        thread.put(1, 50)
        for limit in (49, 149, 150):
            nursery.start_soon(wait, limit)
        await wait_all_tasks_blocked()
        assert went_on == [150]
        file.may_write.set()
        await thread.wait_written()
        await wait_all_tasks_blocked()
        assert sorted(went_on) == [49, 149, 150]


async def test_room_that_is_there_costs_no_turn() -> None:
    """Where there is room no other task runs; a cancelled task notices that."""
    async with opened(FakeFile()) as thread, trio.open_nursery() as nursery:
        others: list[None] = []

        async def other() -> None:
            others.append(None)

        nursery.start_soon(other)
        await thread.wait_room(0)
        assert others == []
        with trio.CancelScope() as scope:
            scope.cancel()
            await thread.wait_room(0)
        assert scope.cancelled_caught


async def test_settling() -> None:
    """Settling returns as soon as all is written, although the time to gather is not up."""
    file = FakeFile()
    async with opened(file) as thread:
        for item in range(3):
            thread.put(item, 1)
            assert thread.settle(LIMIT)
            assert file.items == list(range(item + 1))


async def test_settling_is_bounded() -> None:
    """When the file hangs, settling gives up, and does not wait again before it has caught up."""
    file = FakeFile(open_=False)
    async with opened(file) as thread:
        thread.put(0, 1)
        assert not thread.settle(0.01)
        thread.put(1, 1)
        assert not thread.settle(LIMIT)
        file.may_write.set()
        await thread.wait_written()
        assert thread.settle(LIMIT)
        thread.put(2, 1)
        assert thread.settle(LIMIT)
        assert file.items == [0, 1, 2]


async def test_stopping_drops_what_waits() -> None:
    """After a stop the current write ends, the rest is lost, and nobody waits for it."""
    file = FakeFile(open_=False)
    ends: list[None] = []
    async with opened(file, on_end=lambda: ends.append(None)) as thread:
        thread.put(0, 1)
        await in_thread(file.is_writing)
        thread.put(1, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread.wait_written)
            await wait_all_tasks_blocked()
            thread.stop()
            file.may_write.set()
        thread.put(2, 1)
        assert thread.settle(0.0)
    assert file.items == [0]
    assert ends == [None]


async def test_an_end_without_items() -> None:
    """What is to be done at the end is done, also where nothing was put."""
    ends: list[str] = []
    async with opened(
        FakeFile(), on_end=lambda: ends.append(threading.current_thread().name)
    ) as thread:
        assert thread.waiting == 0
    assert ends == ["test"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_write_that_raises_holds_nobody() -> None:
    """A bug in the write ends the thread; tasks that wait go on."""

    def fail(_: Sequence[int]) -> None:
        raise ValueError("a bug")

    thread: WriterThread[int] = WriterThread("test", fail, LIMITS)
    with trio.fail_after(LIMIT):
        thread.put(0, 1_000)
        await thread.wait_room(0)
        await thread.wait_written()
        assert thread.settle(LIMIT)
        thread.put(1, 1)
        await thread.close()


async def test_closing_can_be_cancelled() -> None:
    """Whoever waits for the end can stop waiting; what waits is still written later."""
    file = FakeFile(open_=False)
    async with opened(file) as thread:
        thread.put(0, 1)
        with trio.move_on_after(0.01) as scope:
            await thread.close()
        assert scope.cancelled_caught
        file.may_write.set()
    assert file.items == [0]


def test_a_write_that_hangs_does_not_keep_python_from_ending() -> None:
    """The process ends while the thread is in a write."""
    script = """
        import threading, trio
        from pegasus.writer_thread import BatchLimits, WriterThread

        async def main():
            hangs = threading.Event()
            def hang(batch):
                hangs.set()
                threading.Event().wait()
            thread = WriterThread("hangs", hang, BatchLimits(1, 1, 1, 1.0))
            thread.put(0, 1)
            hangs.wait()

        trio.run(main)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    subprocess.run(command, check=True, timeout=LIMIT)


async def test_a_call_after_the_end_of_trio_is_dropped() -> None:
    """A thread that outlives Trio's run does no harm when it reports something."""

    async def make() -> WriterThread[int]:
        return WriterThread("test", FakeFile().write, LIMITS)

    thread = await trio.to_thread.run_sync(trio.run, make)
    thread.call_soon(pytest.fail)
