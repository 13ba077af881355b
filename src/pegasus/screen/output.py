"""One file that text goes to: what waits for it, and the task that writes.

Rule 1: writes block, and happen in a worker thread, one at a time. ``O_NONBLOCK`` is never set:
it would be set for the user's shell and for every child as well.
Rule 2: what waits is bounded for those who can wait (``wait_room``) and for those who cannot
(``offer``).
Rule 3: an error is no exception here; it is the end of this output, or it is told once.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

ROOM_FOR_JOBS = 1024 * 1024
"""Bytes that may wait before jobs that print have to: sixteen full pipes, enough to ride out a
pager's or a terminal's hiccup, and little enough that ``| head`` is obeyed at once."""

ROOM_FOR_EVENTS = 4 * ROOM_FOR_JOBS
"""Bytes that may wait before run and done lines are left out: some forty thousand of them."""

ROOM_FOR_NOTES = 2 * ROOM_FOR_EVENTS
"""Bytes that may wait before notes are left out: the answer to a Ctrl-C has room when events
have none."""

_ONE_WRITE = 256 * 1024
"""Bytes that are written at a time: a hop into the thread costs 0.1 ms, a copy of these less,
and while they are written the next are made ready."""

_LOOK_AGAIN = 1000
"""Milliseconds after which a thread that waits for a non-blocking reader looks whether anybody
still waits for the thread."""

_GONE = frozenset((errno.EPIPE, errno.ECONNRESET))


@dataclass(frozen=True, slots=True)
class _Written:
    """How far a write came, and what stopped it."""

    count: int
    error: OSError | None = None


class Output:
    """One file's queue, and ``run``, the task that empties it.

    Args:
        fd: where to write; it stays open when the output is closed.
        terminal: whether it is one; one that is hung up would not say so any more.
        on_gone: called once, when nobody is left who could read.
        on_fault: called with the first error of any other kind. Later text is still tried,
            for a full disk may have room again.
        left_out: makes the line that says how many lines were left out.
    """

    def __init__(
        self,
        fd: int,
        *,
        terminal: bool,
        on_gone: Callable[[], None],
        on_fault: Callable[[OSError], None],
        left_out: Callable[[int], bytes],
    ) -> None:
        self.gone = False
        self._fd = fd
        self._gone_errors = _GONE | {errno.EIO} if terminal else _GONE
        self._on_gone = on_gone
        self._on_fault = on_fault
        self._line_about = left_out
        self._queue: deque[bytes] = deque()
        self._put = self._done = 0  # bytes, ever
        self._left_out = 0
        self._torn = self._faulty = self._closed = False
        self._turn = trio.Lock()
        self._work, self._progress = trio.lowlevel.ParkingLot(), trio.lowlevel.ParkingLot()
        self._limiter = trio.CapacityLimiter(1)
        self._given_up = threading.Event()

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return self._put - self._done

    async def wait_room(self) -> None:
        """Wait until there is room for jobs' output; whoever waits longest goes on first.

        What is put before the next checkpoint has the room for itself.
        """
        async with self._turn:
            while self.waiting > ROOM_FOR_JOBS:
                await self._progress.park()

    def put(self, data: bytes) -> None:
        """Queue what must not be lost: whole lines."""
        if self.gone or not data:
            return
        if self._left_out and self.waiting <= ROOM_FOR_EVENTS:
            self._say_left_out()
        self._enqueue(data)

    def offer(self, data: bytes, room: int) -> None:
        """Queue lines, or only count them where more than ``room`` bytes wait already."""
        if self.waiting > room:
            self._left_out += data.count(b"\n")
        else:
            self.put(data)

    async def wait_written(self) -> None:
        """Wait until everything that has been queued so far is written, or never will be."""
        await trio.lowlevel.checkpoint()
        goal = self._put
        while self._done < goal:
            await self._progress.park()

    def close(self) -> None:
        """Let ``run`` end when the queue is empty."""
        self._closed = True
        self._work.unpark_all()

    async def run(self) -> None:
        """Write until closed. When cancelled, leave the thread to its fate, at once."""
        try:
            while await self._wait_work():
                await self._write(self._take())
        finally:
            self._given_up.set()

    def _enqueue(self, data: bytes) -> None:
        self._queue.append(data)
        self._put += len(data)
        self._work.unpark_all()

    def _say_left_out(self) -> None:
        count, self._left_out = self._left_out, 0
        self._enqueue(self._line_about(count))

    async def _wait_work(self) -> bool:
        while not self._queue:
            if self._left_out and not self.gone:
                self._say_left_out()
            elif self._closed:
                return False
            else:
                await self._work.park()
        return True

    def _take(self) -> bytes:
        parts = [self._queue.popleft()]
        size = len(parts[0])
        while self._queue and size + len(self._queue[0]) <= _ONE_WRITE:
            parts.append(self._queue.popleft())
            size += len(parts[-1])
        return b"".join(parts)

    async def _write(self, data: bytes) -> None:
        mend = b"\n" if self._torn else b""
        written = await trio.to_thread.run_sync(
            _write_all,
            self._fd,
            mend + data,
            self._given_up,
            limiter=self._limiter,
            abandon_on_cancel=True,
        )
        if written.count:
            self._torn = (mend + data)[written.count - 1] != ord("\n")
        self._done += len(data)
        if written.error:
            self._note_error(written.error)
        self._progress.unpark_all()

    def _note_error(self, error: OSError) -> None:
        if error.errno in self._gone_errors:
            self.gone = True
            self._queue.clear()
            self._done = self._put
            self._on_gone()
        elif not self._faulty:
            self._faulty = True
            self._on_fault(error)


def _write_all(fd: int, data: bytes, given_up: threading.Event) -> _Written:
    view = memoryview(data)
    while view and not given_up.is_set():
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody else set O_NONBLOCK on the file that we share
            _wait_writable(fd)
        except OSError as error:
            return _Written(len(data) - len(view), error)
    return _Written(len(data) - len(view))


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(_LOOK_AGAIN)
