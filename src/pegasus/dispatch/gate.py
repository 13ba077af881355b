"""Waiting at a barrier of the queue until it opens.

Rule 1: this run must have ended everything first; the records of the other runs are read only then,
and once when the barrier is reached.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from pegasus.barriers import BarrierClosed, BarrierOpen, BarrierVerdict, BarrierWaits
from pegasus.dispatch.run import Run
from pegasus.dispatch.slot_desk import SlotDesk
from pegasus.errors import StaysClosed
from pegasus.events import BarrierPassed, Noted
from pegasus.model import Barrier

BARRIER_POLL = 0.5
"""Seconds between two looks at what a barrier waits for in other runs."""


class Gate:
    """Waits at barriers.

    Args:
        run: the run.
        desk: knows what is in doubt, and reports what is waited for.
        own_words: says what this run has to end first; empty where there is nothing.
        wait_changed: waits until something has changed in this run.
        may_start: tells whether a job of this run that waits for another try may start now.
    """

    def __init__(
        self,
        run: Run,
        desk: SlotDesk,
        own_words: Callable[[], str],
        wait_changed: Callable[[], Awaitable[None]],
        may_start: Callable[[], bool],
    ) -> None:
        self._run = run
        self._desk = desk
        self._own_words = own_words
        self._wait_changed = wait_changed
        self._may_start = may_start
        self._told = ""

    async def pass_through(self, barrier: Barrier) -> None:
        """Wait until a barrier has opened, or the queue has changed, or a job may start.

        Raises:
            StaysClosed: a job above it has failed, and nothing is under way that could help.
        """
        is_new = True  # what runs now is noted as above it: a user may have added it just now
        while not await self._look(barrier, is_new=is_new):
            is_new = False
            with trio.move_on_after(BARRIER_POLL):
                await self._wait_changed()
            if self._run.queue.changed() or self._may_start():
                return

    async def _look(self, barrier: Barrier, *, is_new: bool) -> bool:
        """Return whether the barrier is gone, or open and removed."""
        own = self._own_words()
        if own and not is_new:
            self._desk.reporter.see_barrier(barrier, own)
            return False
        judge = self._run.barriers.prepare(barrier)
        verdict = await self._run.queue.pass_barrier(barrier, partial(_judged, judge, own))
        if verdict is None or isinstance(verdict, BarrierOpen):
            if verdict is not None:
                self._run.listener.tell(BarrierPassed(barrier))
            self._desk.reporter.see_jobs(())
            return True
        self._desk.reporter.see_barrier(barrier, verdict.words)
        if isinstance(verdict, BarrierClosed):
            self._report_closed(barrier, verdict)
        if self._run.barriers.may_doubt:
            self._desk.survey.want()
        return False

    def _report_closed(self, barrier: Barrier, verdict: BarrierClosed) -> None:
        where = f"{barrier.position}: " if barrier.position else ""
        words = f"{where}this barrier stays closed. {verdict.words}"
        if not verdict.waits and not self._run.daemon:
            raise StaysClosed(words)
        if words != self._told:
            self._told = words
            self._run.listener.tell(Noted(words))


def _judged(judge: Callable[[], BarrierVerdict], own: str) -> BarrierVerdict:
    """Ask whether a barrier may open; not before this run has ended everything.

    Args:
        judge: knows what other runs do.
        own: says what this run has to end first; may be empty.
    """
    verdict = judge()
    return BarrierWaits(own) if own else verdict
