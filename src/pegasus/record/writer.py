"""The thread that writes a record, as the run uses it.

Rule 1: everything is written in its order, so the journal reports the end of a job after the job's
output is complete.
Rule 2: lines never wait, and are bounded by their number; output is bounded by its bytes, and jobs
that print more wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from pegasus.record.disk import CommandName, RunFiles
from pegasus.record.folder import OutputName
from pegasus.writer_thread import BatchLimits, WriterThread

RECORD_ROOM = 4 * 1024 * 1024
"""Bytes of output that may wait to be written: some milliseconds of a disk's time, and enough
that the thread finds work whenever it wakes."""

MOST_LINES = 100_000
"""Lines of the journal that may wait while the disk is full or hangs: some twenty megabytes."""

STALL_LIMIT = 0.5
"""Seconds that a start or an end of a job may wait until the journal has it. On a healthy disk that
takes some 0.03 ms, or some hundred where many others have their files synced, so the journal knows
each job that runs and each end on the screen. On another disk the run waits this long once, and
then goes on until the thread has caught up."""

STALL_SHARE = 0.1
"""How much of the time a run may wait for a disk that stalls again and again: it must react to a
Ctrl-C and keep its connections alive."""

LEAST_STALL = 0.02
"""Seconds that it waits at least when that share is used up: not noticeable on a key press."""

NO_STALL = 0.005
"""Seconds up to which a wait is no stall."""

_RECORD_BATCHES = BatchLimits(
    size=1024 * 1024,  # a part of the room: jobs that wait go on before all of it is written
    items=10_000,  # lines that come in some hundredth of a second of a large run
    wake=1024 * 1024,  # as much as takes longer to write than to wake the thread for
    # `pegasus logs -f` looks half as often. With less, eight progress bars wake the thread eighty
    # times a second, which takes more time than the writing.
    gather=0.05,
)

_Step: TypeAlias = Callable[[], None]


class StallBudget:
    """How long the run may wait for its disk at present: stalls use it up, and time restores it.

    Args:
        clock: gives a time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._since = STALL_LIMIT, clock()

    def wait(self, wait: Callable[[float], bool]) -> bool:
        """Wait for the disk.

        Args:
            wait: waits up to so many seconds, and reports whether the disk was done by then.
        """
        began = self._clock()
        self._left = min(STALL_LIMIT, self._left + STALL_SHARE * (began - self._since))
        done = wait(max(self._left, LEAST_STALL))
        self._since = self._clock()
        if self._since - began > NO_STALL:
            self._left = max(0.0, self._left - (self._since - began))
        return done


class RecordWriter:
    """Has a disk's methods called in its thread; call it from Trio only.

    Args:
        disk: what the thread works on.
        lines_gap: makes the line that reports how many lines are missing.
    """

    def __init__(self, disk: RunFiles, lines_gap: Callable[[int], bytes]) -> None:
        self._disk = disk
        self._changes = 0  # what was handed over so far
        self._lines_gap = lines_gap
        self._lines = self._left_out = 0  # handed over so far, and left out since then
        self._budget = StallBudget()
        self._thread: WriterThread[_Step] = WriterThread(
            "pegasus record", self._run, _RECORD_BATCHES, on_end=disk.close
        )
        self.call_soon = self._thread.call_soon

    @property
    def changes(self) -> int:
        """How many lines, blocks and ends of outputs were queued so far."""
        return self._changes

    @property
    def has_ended(self) -> bool:
        """Whether nothing is written any more."""
        return self._thread.has_ended

    def put_line(
        self, line: bytes, about: CommandName | None = None, *, vital: bool = False
    ) -> None:
        """Queue a line of the journal.

        Args:
            line: with its newline.
            about: the detached command that it is about.
            vital: never leave it out: whoever puts it waits until it is stored, so there are few.
        """
        waiting = self._lines - self._disk.lines_done + self._disk.backlog
        if waiting >= MOST_LINES and not vital:
            self._left_out += 1
            return
        if self._left_out:
            gap, self._left_out = self._lines_gap(self._left_out), 0
            self.put_line(gap)
        self._lines += 1
        self._put(partial(self._disk.write_line, line, about))

    def put_output(self, name: OutputName, data: bytes) -> None:
        """Queue a block of output; call ``wait_room`` after it."""
        self._put(partial(self._disk.gather_output, name, data), len(data))

    def close_outputs(self, job: int, sub_node: int) -> None:
        """Have the files closed that one command printed to."""
        self._put(partial(self._disk.close_outputs, job, sub_node))

    def put_step(self, step: _Step) -> None:
        """Have something done at once, after what was queued before; it is no change itself.

        Args:
            step: called in the thread; it never raises.
        """
        self._thread.put(step, 0)
        self._thread.request_progress()  # somebody waits for it

    def expect_torn_line(self) -> None:
        """Start the next line on a line of its own: another writer may have torn the last one."""
        self._put(self._disk.expect_torn_line)

    def settle(self) -> None:
        """Wait until all that was queued is written, as long as the stall budget allows."""
        self._budget.wait(self._thread.settle)

    async def wait_room(self) -> None:
        """Wait until there is room for more output.

        Where there is, no other task runs in between: the screen, which is shown everything too,
        yields to them.
        """
        await self._thread.wait_room(RECORD_ROOM)

    async def close(self) -> None:
        """Have everything written, and wait for that; when cancelled, stop waiting."""
        if self._left_out:
            self._put(partial(self._disk.write_line, self._lines_gap(self._left_out)))
        await self._thread.close()

    def _put(self, step: _Step, size: int = 0) -> None:
        self._changes += 1
        self._thread.put(step, size)

    def _run(self, steps: Sequence[_Step]) -> None:
        """Run steps, in the thread."""
        for step in steps:
            step()
        self._disk.flush()
