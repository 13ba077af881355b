"""The thread that writes a record, and the run's side of it.

A disk can be slow (one that is busy makes writers wait), or hang (a file server that is away),
and nobody can tell before the write. So a thread writes, one step after the other, in order; a
run that waited itself could not be interrupted. Handing a step over costs less than a
microsecond; Trio's own threads take a hundred, and would be as long as most jobs' output.

Rule 1: what is handed over is written in its order, so the journal says that a job has ended
after the job's output is complete.
Rule 2: lines wait for nobody, and are bounded by their number; blocks of output are bounded by
their bytes, and whoever has more waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeAlias

import trio

from pegasus.record.disk import Disk
from pegasus.record.folder import OutputName

ROOM = 4 * 1024 * 1024
"""Bytes of output that may wait to be written: some milliseconds of a disk's time, and enough
that the thread finds work whenever it wakes."""

MOST_LINES = 100_000
"""Lines of the journal that may wait while the disk is full or hangs: some twenty megabytes."""

STALL = 0.5
"""Seconds that a start or an end of a job may wait until the journal has it. On a disk that is well
it is there in some 0.03 ms, or in some hundred where many others have theirs synced, and so nobody
meets a job that runs, or reads of an end on the screen, that the journal does not know of. On one
that isn't, the run waits this long once, and then goes ahead until the thread has caught up."""

SHARE = 0.1
"""How much of the time a run may wait for a disk that stalls again and again: it must hear a Ctrl-C
and keep its connections alive."""

LEAST = 0.02
"""Seconds that it waits at least where that is used up: nobody feels it on a key press."""

WELL = 0.005
"""Seconds up to which a wait is no stall."""

GATHER = 0.01
"""Seconds in which the thread lets steps gather when it has just had some, and nobody waits. To
wake it for each would cost more than to write them. ``pegasus logs -f`` looks less often."""

GATHERED = 1024 * 1024
"""Bytes of output for which it is woken at once, so that it works while others do. For fewer, to
wake it would take longer than to write them."""

_Step: TypeAlias = Callable[[], None]


class Patience:
    """How long the run may wait for its disk now: stalls use it up, and time restores it.

    Args:
        clock: gives a time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._since = STALL, clock()

    def wait(self, wait: Callable[[float], bool]) -> bool:
        """Wait for the disk.

        Args:
            wait: waits up to so many seconds, and tells whether the disk was done by then.
        """
        began = self._clock()
        self._left = min(STALL, self._left + SHARE * (began - self._since))
        done = wait(max(self._left, LEAST))
        self._since = self._clock()
        if self._since - began > WELL:
            self._left = max(0.0, self._left - (self._since - began))
        return done


class Writer:
    """Hands steps over to its thread; call it from Trio only.

    Args:
        disk: what the thread works on.
        lines_gap: makes the line that says how many lines are missing.
    """

    def __init__(self, disk: Disk, lines_gap: Callable[[int], bytes]) -> None:
        self._disk = disk
        self._lines_gap = lines_gap
        self._steps: SimpleQueue[_Step | None] = SimpleQueue()
        self._lines = self._bytes = self._left_out = 0  # ever handed over, and never
        self._settled = threading.Lock()
        self._settled.acquire()
        self._behind = False
        self._patience = Patience()
        self._urgent = threading.Event()
        self._token = trio.lowlevel.current_trio_token()
        self._waiting = trio.lowlevel.ParkingLot()
        self._someone_waits = self._over = False
        self._ended = trio.Event()
        # A daemon: one that hangs on its disk must not keep Python from ending.
        self._thread = threading.Thread(target=self._work, name="pegasus record", daemon=True)
        self._thread.start()

    def put_line(self, line: bytes) -> None:
        """Hand a line of the journal over."""
        if self._lines - self._disk.lines_done + self._disk.backlog >= MOST_LINES:
            self._left_out += 1
            return
        if self._left_out:
            gap, self._left_out = self._lines_gap(self._left_out), 0
            self.put_line(gap)
        self._lines += 1
        self._put(partial(self._disk.write_line, line))

    def put_output(self, name: OutputName, data: bytes) -> None:
        """Hand a block of output over; ``wait_room`` belongs to it."""
        before = self._bytes // GATHERED
        self._bytes += len(data)
        self._put(partial(self._disk.gather_output, name, data))
        if self._bytes // GATHERED > before:
            self._urgent.set()

    def close_outputs(self, job: int, sub_node: int) -> None:
        """Have the files closed that one command printed to."""
        self._put(partial(self._disk.close_outputs, job, sub_node))

    def expect_torn_line(self) -> None:
        """Begin the next line anew: somebody else may have torn the last one."""
        self._put(self._disk.expect_torn_line)

    def settle(self) -> None:
        """See to it that all that was handed over is written, unless the disk stalls."""
        if self._behind and not self._settled.acquire(blocking=False):
            return
        self._steps.put(self._disk.flush)
        self._steps.put(self._settled.release)
        self._urgent.set()
        self._behind = not self._patience.wait(lambda limit: self._settled.acquire(timeout=limit))

    async def wait_room(self) -> None:
        """Wait until there is room for more output.

        Where there is, nobody else has a turn in between: the screen, which is shown everything
        too, sees to that.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._has_room():
            self._someone_waits = True  # first this, then the look: the thread goes the other way
            if not self._has_room():
                self._urgent.set()
                await self._waiting.park()

    def _put(self, step: _Step) -> None:
        if not self._over:
            self._steps.put(step)

    def _has_room(self) -> bool:
        return self._over or self._bytes - self._disk.bytes_done <= ROOM

    async def close(self) -> None:
        """Let the thread write what waits, and end; cancelled, leave it to its fate."""
        if self._left_out:
            self._put(partial(self._disk.write_line, self._lines_gap(self._left_out)))
        self._steps.put(None)
        self._urgent.set()
        await self._ended.wait()
        self._thread.join()

    def _work(self) -> None:
        try:
            step = self._steps.get()
            while self._run(step):
                step = self._next()
            self._disk.close()
        finally:
            self._over = True
            self.call_soon(self._waiting.unpark_all)
            self.call_soon(self._ended.set)

    def _next(self) -> _Step | None:
        """Wait for a step: while things go on, a moment or until somebody waits; else for long."""
        self._urgent.wait(GATHER)
        self._urgent.clear()
        return self._steps.get()

    def _run(self, step: _Step | None) -> bool:
        """Run a step and those that wait behind it; tell whether there may be more."""
        with suppress(Empty):
            while step is not None:
                step()
                step = self._steps.get_nowait()
        self._disk.flush()
        if self._someone_waits:
            self._someone_waits = False
            self.call_soon(self._waiting.unpark_all)
        return step is not None

    def call_soon(self, what: Callable[[], object]) -> None:
        """Call something in Trio's thread; nothing is called when that is over."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(what)
