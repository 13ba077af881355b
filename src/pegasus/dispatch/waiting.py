"""Reports what the jobs at the head of the queue wait for, for the record and its readers.

Rule 1: a change is reported, and at most one in a second: what a wide job waits for changes with
each slot that becomes free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio

from pegasus.errors import FileFault
from pegasus.events import Awaited, Listener, WaitingFor
from pegasus.model import Barrier, Job
from pegasus.placement import Waits

SHOWN_WAITS = 20
"""Jobs that are reported with what they wait for."""

NOWHERE = "(a job that can run nowhere)"
"""Stands for the command of such a job."""

REPORT_PAUSE = 1.0
"""Seconds between two reports."""


class WaitReporter:
    """Reports what is waited for.

    Args:
        listener: gets ``Awaited``.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._told: tuple[WaitingFor, ...] = ()
        self._next: tuple[WaitingFor, ...] = ()
        self._told_at = -math.inf

    def see_jobs(
        self,
        waits: Sequence[tuple[Job, Waits]],
        refused: Sequence[FileFault] = (),
        *,
        is_partial: bool = False,
    ) -> None:
        """Note the jobs that wait, in the order of the queue, and those that can run nowhere.

        Args:
            waits: the jobs, and what they wait for.
            refused: why jobs can run nowhere.
            is_partial: whether the jobs below these were not looked at, and none was taken: they
                wait as before.
        """
        if not (waits or refused or self._next):
            return
        waiting = [
            WaitingFor(str(job.position or ""), job.command, answer.words)
            for job, answer in waits[:SHOWN_WAITS]
        ]
        waiting += [
            WaitingFor(str(fault.position), NOWHERE, fault.what)
            for fault in refused[: SHOWN_WAITS - len(waiting)]
        ]
        if is_partial:
            waiting += [each for each in self._next[len(waiting) :] if each not in waiting]
        self._see(tuple(waiting))

    def see_barrier(self, barrier: Barrier, words: str) -> None:
        """Note that nothing is taken before a barrier opens."""
        text = f"barrier: {barrier.kind}"
        self._see((WaitingFor(str(barrier.position or ""), text, words),))

    def _see(self, waiting: tuple[WaitingFor, ...]) -> None:
        self._next = waiting
        self.flush()

    def flush(self) -> None:
        """Report what has changed, unless something was reported just now."""
        if self._next == self._told:
            return
        now = trio.current_time()
        if now - self._told_at >= REPORT_PAUSE or not self._next:
            self._told, self._told_at = self._next, now
            self._listener.tell(Awaited(self._next))
