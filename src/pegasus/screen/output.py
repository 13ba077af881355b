"""One file that text goes to: what waits for it, and the thread that writes.

Rule 1: writes block, and happen in a thread of the file's own. ``O_NONBLOCK`` is never set: it
would be set for the user's shell and for every child as well.
Rule 2: what waits is bounded for those who can wait (``wait_room``) and for those who cannot
(``offer``).
Rule 3: an error is no exception here; it is the end of this output, or it is told once.

The thread is not one of Trio's: to hand something to one of those costs a tenth of a millisecond,
as long as it takes to write what a job prints in one go. This one takes what waits by itself, and
speaks to Trio only when somebody there wants to know.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

import trio

from pegasus.pieces import MOST_PIECES, Piece, byte_at, without

ROOM_FOR_JOBS = 1024 * 1024
"""Bytes that may wait before jobs that print have to: sixteen full pipes, enough to ride out a
pager's or a terminal's hiccup, and little enough that ``| head`` is obeyed at once."""

ROOM_FOR_EVENTS = 4 * ROOM_FOR_JOBS
"""Bytes that may wait before run and done lines are left out: some forty thousand of them."""

ROOM_FOR_NOTES = 2 * ROOM_FOR_EVENTS
"""Bytes that may wait before notes are left out: the answer to a Ctrl-C has room when events
have none."""

_ONE_WRITE = 256 * 1024
"""Bytes that are written at a time, of what waits; one block is always written whole."""

_ENOUGH = MOST_PIECES // 2
"""Pieces that are written at a time, about: a block has two, and is never parted."""

_SMALL = 1024
"""Bytes below which pieces are joined: a piece takes some hundred bytes of memory itself, which the
bounds above do not count."""

_GATHER = 0.005
"""Seconds in which the thread lets text gather when it has just written some: nobody reads faster,
and to wake it for each line would cost more than to write it."""

_LOOK_AGAIN = 1000
"""Milliseconds after which a thread that waits for a non-blocking reader looks whether anybody
still waits for the thread."""

_GONE = frozenset((errno.EPIPE, errno.ECONNRESET))


class Output:
    """One file's queue, and ``run``, the task that sees to it that it is emptied.

    Call it from Trio's thread only, as long as nothing else is said.

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
        self._pen = _Pen(fd, self._hear_progress, self._hear_error)
        self._gone_errors = _GONE | {errno.EIO} if terminal else _GONE
        self._on_gone = on_gone
        self._on_fault = on_fault
        self._line_about = left_out
        self._put = 0  # bytes, ever
        self._left_out = 0
        self._faulty = False
        self._turn = trio.Lock()
        self._progress = trio.lowlevel.ParkingLot()
        self._closed = trio.Event()

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return self._put - self._pen.done

    async def wait_room(self) -> None:
        """Wait until there is room for jobs' output; whoever waits longest goes on first.

        What is put before the next checkpoint has the room for itself.
        """
        async with self._turn:
            await self._wait_until(lambda: self.waiting <= ROOM_FOR_JOBS)

    async def wait_written(self) -> None:
        """Wait until everything that has been queued so far is written, or never will be."""
        await trio.lowlevel.checkpoint()
        goal = self._put
        await self._wait_until(lambda: self._pen.done >= goal)

    async def _wait_until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            self._pen.tell_progress()
            if not enough():
                await self._progress.park()

    def put(self, *pieces: Piece) -> None:
        """Queue what must not be lost: whole lines."""
        if self.gone or not pieces:
            return
        if self._left_out and self.waiting <= ROOM_FOR_EVENTS:
            self._say_left_out()
        self._enqueue(pieces)

    def offer(self, data: bytes, room: int) -> None:
        """Queue lines, or only count them where more than ``room`` bytes wait already."""
        if self.waiting > room:
            self._left_out += data.count(b"\n")
            self._pen.tell_progress()
        else:
            self.put(data)

    def close(self) -> None:
        """Let ``run`` end when the queue is empty."""
        if self._left_out and not self.gone:
            self._say_left_out()
        self._closed.set()

    async def run(self) -> None:
        """Write until closed. When cancelled, leave the thread to its fate, at once."""
        try:
            await self._closed.wait()
            await self.wait_written()
        finally:
            self._pen.put_down()

    def _enqueue(self, pieces: Sequence[Piece]) -> None:
        size = sum(map(len, pieces))
        self._put += size
        self._pen.write(pieces if size >= _SMALL else [b"".join(pieces)])

    def _say_left_out(self) -> None:
        count, self._left_out = self._left_out, 0
        self._enqueue([self._line_about(count)])

    def _hear_progress(self) -> None:
        self._progress.unpark_all()
        if self._left_out and not self.gone:
            if self.waiting:
                self._pen.tell_progress()
            else:
                self._say_left_out()

    def _hear_error(self, error: OSError) -> None:
        if error.errno in self._gone_errors:
            self._lose()
        elif not self._faulty:
            self._faulty = True
            self._on_fault(error)

    def _lose(self) -> None:
        if not self.gone:
            self.gone = True
            self._pen.discard()
            self._on_gone()


class _Pen:
    """The thread that writes to one file, and the few words that it and Trio's thread exchange.

    Attributes:
        done: bytes that were written, or never will be; ever.
    """

    def __init__(
        self, fd: int, on_progress: Callable[[], None], on_error: Callable[[OSError], None]
    ) -> None:
        self.done = 0
        self._fd = fd
        self._on_progress = on_progress
        self._on_error = on_error
        self._token = trio.lowlevel.current_trio_token()
        self._queue: SimpleQueue[Sequence[Piece]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._torn = self._discards = self._put_down = False
        self._told = True
        self._given = 0  # bytes, ever
        self._urgent = threading.Event()

    # What Trio's thread does.

    def write(self, pieces: Sequence[Piece]) -> None:
        """Have whole lines written, in pieces; the first time the thread begins."""
        before = self._given // _ONE_WRITE
        self._given += sum(map(len, pieces))
        self._queue.put(pieces)
        if self._given // _ONE_WRITE > before:
            self._urgent.set()
        if self._thread is None:
            # A daemon: one that is stuck in a write must not keep Python from ending.
            self._thread = threading.Thread(target=self._work, name="pegasus screen", daemon=True)
            self._thread.start()

    def tell_progress(self) -> None:
        """Ask to be told of the next progress; look then whether it was not made already."""
        self._told = False
        self._urgent.set()

    def discard(self) -> None:
        """Write nothing more of what waits, and of what still comes."""
        self._discards = True

    def put_down(self) -> None:
        """Let the thread end, as soon as its write does."""
        self._discards = self._put_down = True
        self._queue.put(())
        self._urgent.set()

    # What the thread does.

    def _work(self) -> None:
        while not self._put_down:
            pieces = self._take()
            if not self._discards:
                self._write(pieces)
            # First this, then the look: Trio's thread goes the other way.
            self.done += sum(map(len, pieces))
            if not self._told:
                self._told = True
                self._call_soon(self._on_progress)
            if self._given - self.done < _ONE_WRITE:
                self._urgent.wait(_GATHER)
            self._urgent.clear()

    def _take(self) -> list[Piece]:
        pieces = [*self._queue.get()]
        size = sum(map(len, pieces))
        with suppress(Empty):
            while size < _ONE_WRITE and len(pieces) < _ENOUGH:
                more = self._queue.get_nowait()
                pieces += more
                size += sum(map(len, more))
        return pieces

    def _write(self, pieces: list[Piece]) -> None:
        left = [b"\n", *pieces] if self._torn else pieces
        while left and not self._put_down:
            try:
                count = os.writev(self._fd, left)
            except BlockingIOError:  # somebody else set O_NONBLOCK on the file that we share
                _wait_writable(self._fd)
            except OSError as error:
                self._call_soon(partial(self._on_error, error))
                return
            else:
                self._torn = count > 0 and byte_at(left, count - 1) != ord("\n")
                left = without(left, count)

    def _call_soon(self, what: Callable[[], object]) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(what)


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(_LOOK_AGAIN)
