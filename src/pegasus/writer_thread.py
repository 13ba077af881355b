"""A thread that writes what Trio hands over, in order and in batches.

A write can block: a reader that stalls, a busy disk, a file server that does not respond. Nothing
shows that before the write. So a thread writes, and Trio stays responsive.

It is not one of Trio's worker threads: handing an item to one of those takes a tenth of a
millisecond, as long as writing what a job prints in one read. Handing an item to this thread takes
less than a microsecond. It takes what waits by itself, and calls Trio only when a task waits for
progress.

Rule 1: items are written in the order in which they were put.
Rule 2: the owner bounds what waits, with ``wait_room`` for tasks that can wait and ``waiting`` for
code that cannot.
Rule 3: the thread never keeps the process from ending, even when it hangs in a write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import trio

_WriteItem = TypeVar("_WriteItem")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When the thread writes, and how much at a time.

    Attributes:
        size: bytes after which a batch takes no more items.
        items: items of a batch at most.
        wake: bytes that, once they wait, wake the thread at once, so that it works while others
            do. To wake it for fewer would take longer than to write them.
        gather: seconds for which the thread lets items gather after a batch, unless it is woken.
    """

    size: int
    items: int
    wake: int
    gather: float


class _Mark(Enum):
    """Entries of the queue that end a batch."""

    SETTLE = auto()
    END = auto()


class WriterThread(Generic[_WriteItem]):
    """A thread with its queue. Call it from Trio's thread only, except where stated otherwise.

    The thread starts with the first item.

    Args:
        name: of the thread.
        write: called in the thread with each batch. It handles its errors itself: when it raises,
            the thread ends, and all tasks that wait for it continue.
        limits: see ``BatchLimits``.
        on_progress: called in Trio's thread, once after each ``request_progress``, when a batch
            was written.
        on_end: called in the thread before it ends.

    Attributes:
        done: bytes that were written so far; readable from any thread.
        stopped: whether ``stop`` was called; readable from any thread.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[_WriteItem]], None],
        limits: BatchLimits,
        *,
        on_progress: Callable[[], None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.done = 0
        self.stopped = False
        self._write = write
        self._limits = limits
        self._on_progress = on_progress
        self._on_end = on_end
        self._given = 0  # bytes put so far
        self._marks_put = self._marks_reached = 0
        self._queue: SimpleQueue[tuple[_WriteItem, int] | _Mark] = SimpleQueue()
        self._urgent = threading.Event()
        self._settled = threading.Lock()
        self._settled.acquire()
        self._unsettled = self._wants_progress = self._ended = False
        self._token = trio.lowlevel.current_trio_token()
        self._parked = trio.lowlevel.ParkingLot()
        self._end = trio.Event()
        # A daemon thread does not keep Python from ending when it hangs in a write.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    # Trio's thread.

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return self._given - self.done

    @property
    def has_ended(self) -> bool:
        """Whether the thread writes nothing any more."""
        return self._ended

    def put(self, item: _WriteItem, size: int) -> None:
        """Queue an item.

        Args:
            item: it.
            size: its bytes, as far as they count for the bounds.
        """
        if self._ended:
            return
        wake = self._limits.wake
        before = self._given // wake
        self._given += size
        self._queue.put((item, size))
        if self._given // wake > before:
            self._urgent.set()
        self._start()

    def request_progress(self) -> None:
        """Have ``on_progress`` called after the next batch, and have that written at once.

        A batch may have ended just before: check again after this call.
        """
        self._wants_progress = True
        self._urgent.set()

    async def wait_room(self, limit: int) -> None:
        """Wait until at most ``limit`` bytes wait.

        Where that is so already, no other task runs in between.
        """
        await self._wait_until(lambda: self.waiting <= limit)

    async def wait_written(self) -> None:
        """Wait until all that was put so far is written."""
        goal = self._given
        await self._wait_until(lambda: self.done >= goal)

    async def _wait_until(self, enough: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not (enough() or self._ended):
            self.request_progress()  # before the second check: the thread goes the other way
            if not (enough() or self._ended):
                await self._parked.park()

    def settle(self, limit: float) -> bool:
        """Block Trio for a moment, until all that was put so far is written.

        Where an earlier call has timed out, and the thread has not caught up with it yet, this one
        does not wait at all.

        Args:
            limit: seconds to wait at most.

        Returns:
            Whether all is written.
        """
        if self._ended:
            return True
        if self._unsettled and not self._settled.acquire(blocking=False):
            return False
        self._mark(_Mark.SETTLE)
        self._unsettled = not self._settled.acquire(timeout=limit)
        return not self._unsettled

    def stop(self) -> None:
        """Let the thread end after its current write; what waits is lost."""
        self.stopped = True
        self._queue.put(_Mark.END)
        self._urgent.set()

    async def close(self) -> None:
        """Let the thread write what waits, and end; put nothing afterwards.

        When cancelled, the thread goes on as long as the process lives.
        """
        self._mark(_Mark.END)
        await self._end.wait()
        self._thread.join()

    def _mark(self, mark: _Mark) -> None:
        self._marks_put += 1
        self._queue.put(mark)
        self._urgent.set()
        self._start()

    def _start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    # The thread.

    def _work(self) -> None:
        try:
            is_last = False
            while not (is_last or self.stopped):
                is_last = self._write_batch()
            self._on_end()
        finally:
            self._ended = True
            self.call_soon(self._report_progress)
            self.call_soon(self._end.set)

    def _write_batch(self) -> bool:
        """Wait for a batch, write it, and let the next one gather; report whether it was the last.

        It does not gather where much has come during the write, or where Trio waits for a mark.
        """
        batch, size, mark = self._take()
        if batch and not self.stopped:
            self._write(batch)
        self.done += size  # before the next check: Trio's thread goes the other way
        if mark is not None:
            self._marks_reached += 1
        if mark is _Mark.SETTLE:
            self._settled.release()
        if self._wants_progress:
            self._wants_progress = False
            self.call_soon(self._report_progress)
        if mark is not _Mark.END:
            much = self._given - self.done >= self._limits.wake
            if not much and self._marks_put == self._marks_reached:
                self._urgent.wait(self._limits.gather)
            self._urgent.clear()
        return mark is _Mark.END

    def _take(self) -> tuple[list[_WriteItem], int, _Mark | None]:
        batch: list[_WriteItem] = []
        size = 0
        with suppress(Empty):
            entry = self._queue.get()
            while not isinstance(entry, _Mark):
                batch.append(entry[0])
                size += entry[1]
                if size >= self._limits.size or len(batch) >= self._limits.items:
                    return batch, size, None
                entry = self._queue.get_nowait()
            return batch, size, entry
        return batch, size, None

    def _report_progress(self) -> None:
        self._parked.unpark_all()
        self._on_progress()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function in Trio's thread, from any thread; not when Trio's run is over."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)
