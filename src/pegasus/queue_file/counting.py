"""How many jobs wait in the queue file, for those who show it all the time.

Rule 1: counting reads the whole file, and every take changes the file. So a count is used further,
less what the known runs have taken since, and the next count comes when it costs no more than a
hundredth of the time.
Rule 2: nothing here needs the lock, and no fault of the file is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pegasus import grid
from pegasus.errors import FileFault, PegasusError
from pegasus.queue_file.content import State
from pegasus.queue_file.queue import QueueFile

LEAST_COUNT_PERIOD = 1.0
"""Seconds from one count to the next at least: a user looks no more often."""

COUNT_PERIOD_FACTOR = 100.0
"""How many times as long as a count took Pegasus waits before the next one: that is one percent."""

MOST_LOOKED_THROUGH = 1 << 18
"""Bytes of a queue file that is looked through before a run. That takes 0.13 s of processor time
for 4,000 mappings or 11,000 short commands, and 0.7 s for 65,000 commands of one letter."""


@dataclass(frozen=True, slots=True)
class QueueCount:
    """What a look into the queue file gave.

    Attributes:
        states: of the file and of its old files, before it was read.
        jobs: how many jobs are in it; None where there is no such file.
        fault: why some of them could not be counted.
        seconds: the time of the processor that the look took.
    """

    states: tuple[State | None, ...]
    jobs: int | None
    fault: str | None
    seconds: float


def count_queue(queue: QueueFile, check: Callable[[], None] = lambda: None) -> QueueCount:
    """Count the jobs in the queue file; 20,000 entries take about half a second.

    Args:
        queue: the file.
        check: is called for each entry; what it raises ends the count.
    """
    began, states = time.thread_time(), queue.states()
    jobs: int | None = None if states[0] is None else 0
    fault: str | None = None
    for entry in () if jobs is None else queue.entries():
        check()
        if isinstance(entry, FileFault):
            fault = fault or str(entry)
        else:
            jobs = (jobs or 0) + grid.count(entry)
    return QueueCount(states, jobs, fault, time.thread_time() - began)


def fault_below(queue: QueueFile) -> FileFault | None:
    """Find the first fault that has entries above it: a run works on them before it fails.

    A large file is not read: that would delay its first job.
    """
    state = queue.state()
    _, size, *_ = state or (0, 0)
    if size > MOST_LOOKED_THROUGH:
        return None
    for place, entry in enumerate(queue.entries()):
        if isinstance(entry, FileFault):
            return entry if place else None
    return None


class WaitingJobs:
    """The number of jobs that wait in the queue file.

    Args:
        queue: the file.
        taken: gives how many jobs the known runs have taken so far.
        clock: gives a time in seconds that never goes back.
    """

    def __init__(
        self,
        queue: QueueFile,
        taken: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._taken, self._clock = queue, taken, clock
        self._count: QueueCount | None = None
        self._taken_before = 0
        self._next_at = float("-inf")

    @property
    def is_missing(self) -> bool:
        """Whether there was no such file at the last count."""
        return self._count is not None and self._count.jobs is None

    @property
    def jobs(self) -> int | None:
        """How many jobs wait; None before the first count. In a file that is missing none wait."""
        if self._count is None:
            return None
        return max(0, (self._count.jobs or 0) - max(0, self._taken() - self._taken_before))

    def known(self) -> int | None:
        """Give how many jobs were taken or wait; None before the first count."""
        return None if (jobs := self.jobs) is None else self._taken() + jobs

    @property
    def fault(self) -> str | None:
        """Why some jobs could not be counted at the last count."""
        return self._count.fault if self._count else None

    def is_due(self) -> bool:
        """Look whether the file has changed since it was counted, and may be counted again."""
        if self._count is not None and self._count.states == self._queue.states():
            self._taken_before = self._taken()  # what was taken is not in this file any more
            return False
        return self._clock() >= self._next_at

    def count(self, check: Callable[[], None] = lambda: None) -> None:
        """Count; may take long, and may be called in a thread. See ``count_queue``."""
        taken = self._taken()
        with suppress(PegasusError):  # too many open files, for example: the next count may work
            self._count = count_queue(self._queue, check)
            self._taken_before = taken
        seconds = self._count.seconds if self._count else 0.0
        self._next_at = self._clock() + max(LEAST_COUNT_PERIOD, COUNT_PERIOD_FACTOR * seconds)
