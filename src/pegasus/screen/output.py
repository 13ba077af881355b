"""One file that text is written to, and what waits for it.

Rule 1: writes block, and happen in a thread of this file. ``O_NONBLOCK`` is never set: it
would be set for the user's shell and for every child process as well.
Rule 2: what waits is bounded for callers that can wait (``wait_room``) and for those that cannot
(``offer``).
Rule 3: an error is not raised; it ends this output, or is reported once.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TypeAlias

import trio

from pegasus.buffers import MOST_BUFFERS, Buffer, byte_at, without
from pegasus.screen.area import Area, AreaFrame
from pegasus.writer_thread import BatchLimits, WriterThread

ROOM_FOR_JOBS = 1024 * 1024
"""Bytes that may wait before jobs that print have to: sixteen full pipes, enough for the pauses of
a pager or a terminal, and few enough that ``| head`` takes effect at once."""

ROOM_FOR_EVENTS = 4 * ROOM_FOR_JOBS
"""Bytes that may wait before run and done lines are left out: some forty thousand of them."""

ROOM_FOR_NOTES = 2 * ROOM_FOR_EVENTS
"""Bytes that may wait before notes are left out: the answer to a Ctrl-C has room when events
have none."""

_SCREEN_WRITE = 256 * 1024
"""Bytes that are written at a time; one block of lines is always written whole."""

_SCREEN_BATCHES = BatchLimits(
    size=_SCREEN_WRITE,
    items=MOST_BUFFERS // 2 - 1,  # a block has two buffers, and a torn line needs one more
    wake=_SCREEN_WRITE,
    gather=0.005,  # no reader is faster, and waking the thread for each line costs more than it
)

_LIVE_BATCHES = replace(_SCREEN_BATCHES, gather=0.05)
"""The same with an area below the log: it is drawn anew after each write, and a reader sees no
difference between twenty writes a second and two hundred."""

_SMALL_BLOCK = 1024
"""Bytes below which the buffers of a block are joined: a buffer takes some hundred bytes of memory
itself, which the bounds above do not count."""

_STOP_LOOK = 1000
"""Milliseconds after which a thread that waits for a non-blocking reader checks whether it shall
end."""

_READER_GONE = frozenset((errno.EPIPE, errno.ECONNRESET))

_Buffers: TypeAlias = Sequence[Buffer]


class Output:
    """The queue of one file, and ``run``, the task that waits until it is written.

    Call it from Trio's thread only.

    Args:
        fd: the file; it stays open when the output is closed.
        terminal: whether it is a terminal, which reports EIO once it has hung up.
        on_gone: called once, when no reader is left.
        on_fault: called with the first error of any other kind. Later text is tried again, for a
            full disk may have room by then.
        left_out: makes the line that reports how many lines were left out.
        area: is drawn below the text; None for none.

    Attributes:
        gone: whether no reader is left; then nothing more is written.
        area: what is drawn below the text, if anything is.
    """

    def __init__(
        self,
        fd: int,
        *,
        terminal: bool,
        on_gone: Callable[[], None],
        on_fault: Callable[[OSError], None],
        left_out: Callable[[int], bytes],
        area: Area | None = None,
    ) -> None:
        self.gone = False
        self.area = area
        self._fd = fd
        self._gone_errors = _READER_GONE | {errno.EIO} if terminal else _READER_GONE
        self._on_gone = on_gone
        self._on_fault = on_fault
        self._line_about = left_out
        self._left_out = 0
        self._faulty = self._torn = False
        self._turn = trio.Lock()
        self._closed = trio.Event()
        self._thread: WriterThread[_Buffers] = WriterThread(
            "pegasus screen",
            self._write,
            _SCREEN_BATCHES if area is None else _LIVE_BATCHES,
            on_progress=self._see_progress,
        )

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return self._thread.waiting

    async def wait_room(self) -> None:
        """Wait until there is room for jobs' output; the task that waits longest goes on first.

        What is put before the next checkpoint has the room for itself.
        """
        async with self._turn:
            await self._thread.wait_room(ROOM_FOR_JOBS)

    async def wait_written(self) -> None:
        """Wait until everything that was queued so far is written, or never will be."""
        await trio.lowlevel.checkpoint()
        await self._thread.wait_written()

    def put(self, *buffers: Buffer) -> None:
        """Queue a block of whole lines that must not be lost."""
        if self.gone or not buffers:
            return
        if self._left_out and self.waiting <= ROOM_FOR_EVENTS:
            self._report_left_out()
        self._enqueue(buffers)

    def offer(self, data: bytes, room: int) -> None:
        """Queue lines, or only count them where more than ``room`` bytes wait already."""
        if self.waiting > room:
            self._left_out += data.count(b"\n")
            self._thread.request_progress()
        else:
            self.put(data)

    def show_area(self, frame: AreaFrame | None) -> None:
        """Draw the area; None takes it away. Where the thread stalls, only the last call counts."""
        if self.area is not None and not self.gone:
            waits = self.area.is_pending
            self.area.show(frame)
            if not waits:
                self._thread.put((), 1)

    def close(self) -> None:
        """Let ``run`` end when everything is written."""
        if self._left_out and not self.gone:
            self._report_left_out()
        self.show_area(None)
        self._closed.set()

    async def run(self) -> None:
        """Wait until all is closed and written. When cancelled, end at once; what waits is lost."""
        try:
            await self._closed.wait()
            await self.wait_written()
        finally:
            self._thread.stop()

    def _enqueue(self, buffers: _Buffers) -> None:
        size = sum(map(len, buffers))
        self._thread.put(buffers if size >= _SMALL_BLOCK else [b"".join(buffers)], size)

    def _report_left_out(self) -> None:
        count, self._left_out = self._left_out, 0
        self._enqueue([self._line_about(count)])

    def _see_progress(self) -> None:
        if self._left_out and not self.gone:
            if self.waiting:
                self._thread.request_progress()
            else:
                self._report_left_out()

    def _see_error(self, error: OSError) -> None:
        if error.errno in self._gone_errors:
            if not self.gone:
                self.gone = True
                self._on_gone()
        elif not self._faulty:
            self._faulty = True
            self._on_fault(error)

    def _write(self, blocks: Sequence[_Buffers]) -> None:
        """Write blocks, in the thread.

        What an error cuts off is lost; the next text starts on a line of its own. The record keeps
        such lines and writes them again, since it can wait for a disk and a reader can not.
        """
        log = list(chain.from_iterable(blocks))
        if self._torn:
            log.insert(0, b"\n")
        left, frame = (log, None) if self.area is None else self.area.around(log)
        while left and not (self.gone or self._thread.stopped):
            try:
                count = os.writev(self._fd, left[:MOST_BUFFERS])
            except BlockingIOError:  # another process set O_NONBLOCK on the file, which we share
                _wait_writable(self._fd)
            except OSError as error:
                self._thread.call_soon(partial(self._see_error, error))
                return
            else:
                self._torn = count > 0 and byte_at(left, count - 1) != ord("\n")
                left = without(left, count)
        if self.area is not None and not left:
            self._torn = False
            self.area.written(frame)


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(_STOP_LOOK)
