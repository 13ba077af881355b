"""The jobs of one run: takes them from the queue file, numbers them, records and reports them.

Rule 1: this is the only place that counts the job numbers of a run.
Rule 2: one take is one step under the lock, in a worker thread. It can be cancelled until it begins
to write; then it runs to its end, so a cancellation never loses a job.
Rule 3: the journal gets its lines through the receipt, which the take appends together with the
change of the queue file. It gets an event only if the receipt could not be appended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import trio

from pegasus.barriers import BarrierOpen, BarrierVerdict
from pegasus.events import Event, Listener, Noted, Taken
from pegasus.model import Barrier, Command, Job, SlotsHeld, StepOrigin, SubNode, TakenJob
from pegasus.picker import Picker
from pegasus.queue_file.known import LeftText
from pegasus.queue_file.note import Receipt
from pegasus.queue_file.picking import TakeResult
from pegasus.queue_file.queue import LockedQueue, QueueFile
from pegasus.queue_file.settled import Pending
from pegasus.rendered import render


class TakeJournal(Protocol):
    """The journal of a run, as far as it records takes."""

    @property
    def name(self) -> str:
        """The name of the run."""

    def receipt(self, events: Sequence[Taken]) -> tuple[Path, bytes] | None:
        """Give the file and the lines that record events which are about to happen.

        Returns:
            None where there is no journal.
        """

    def tell(self, event: Event) -> None:
        """Record an event whose lines were not appended."""


class JobSource:
    """Takes jobs from one queue file for one run.

    Args:
        file: the queue file.
        journal: records the takes.
        listener: receives the events for all other listeners of the run.
        may_be_missing: whether a missing file counts as an empty one.
    """

    def __init__(
        self, file: QueueFile, journal: TakeJournal, listener: Listener, *, may_be_missing: bool
    ) -> None:
        self._file = file
        self._journal = journal
        self._listener = listener
        self._may_be_missing = may_be_missing
        self._next_number = 1
        self._seen = file.states()
        self._pending: Pending | None = None
        self._left: LeftText | None = None
        # Its own limiter: a slow disk must not keep other threads from being started.
        self._limiter = trio.CapacityLimiter(1)

    async def take(self, picker: Picker) -> TakeResult:
        """Take the jobs that a picker picks, and report them.

        Raises:
            PegasusError: the queue file cannot be rewritten; nothing was taken.
        """
        receipts: list[Receipt] = []

        def receipt_for(jobs: Sequence[TakenJob]) -> Receipt | None:
            lines = self._journal.receipt(_events(jobs))
            if lines is not None:
                receipts.append(Receipt(*lines))
            return receipts[-1] if receipts else None

        def work(locked: LockedQueue) -> TakeResult:
            check = trio.from_thread.check_cancelled
            first, run, known = self._next_number, self._journal.name, self._left
            return locked.take(picker, receipt_for, check, first=first, run=run, known=known)

        result = await self._look(work)
        self._left = result.left
        if result.state is not None:
            self._seen = (result.state,)
        self._next_number += len(result.jobs)
        is_journalled = bool(receipts) and receipts[-1].given
        for event in _events(result.jobs):
            if not is_journalled:
                self._journal.tell(event)
            self._listener.tell(event)
        return TakeResult(empty=True) if result.missing and self._may_be_missing else result

    def take_again(self, job: Job, origin: StepOrigin) -> int:
        """Number, record and report a job that an earlier run of the queue has taken.

        The queue file is not touched: the job left it when it was taken first.

        Args:
            job: as it was taken.
            origin: where it was taken from the queue.

        Returns:
            Its number in this run.
        """
        number = self._next_number
        self._next_number += 1
        event = Taken(number, job, origin)
        self._journal.tell(event)
        self._listener.tell(event)
        return number

    async def pass_barrier(
        self, barrier: Barrier, judge: Callable[[], BarrierVerdict]
    ) -> BarrierVerdict | None:
        """Remove the barrier with which the file begins, if it may open.

        Args:
            barrier: the barrier.
            judge: is asked under the lock of the queue, in a thread, if the file begins with it.

        Returns:
            The last verdict: the barrier is gone if it is ``BarrierOpen``. None if the file does
            not begin with it any more.

        Raises:
            PegasusError: the file could not be rewritten; nothing was changed.
        """
        verdicts: list[BarrierVerdict | None] = []

        def may_open() -> bool:
            verdicts.append(judge())
            return isinstance(verdicts[-1], BarrierOpen)

        def work(locked: LockedQueue) -> TakeResult:
            check = trio.from_thread.check_cancelled
            if locked.pass_barrier(barrier, may_open, check) is None:
                verdicts.append(None)
            return TakeResult()

        await self._look(work)
        return verdicts[-1]

    async def is_empty(self) -> bool:
        """Look whether the file has no barrier and no job, not even a faulty or a pending one.

        Nothing is taken. A missing file is empty only where it may be missing.

        Raises:
            PegasusError: the queue cannot be read.
        """
        result = await self._look(lambda locked: locked.look(trio.from_thread.check_cancelled))
        return result.empty and (self._may_be_missing or not result.missing)

    def changed(self) -> bool:
        """Tell whether there may be more jobs than at the last look into the file."""
        pending = self._pending
        if pending is not None and self._file.signs() != pending.signs:
            return True
        return self._file.states() != self._seen

    @property
    def pending(self) -> str:
        """What the queue waits for, if an entry is incomplete; else nothing."""
        return self._pending.words if self._pending else ""

    async def _look(self, work: Callable[[LockedQueue], TakeResult]) -> TakeResult:
        """Work on the file under its lock, in a thread, and remember what state it was in."""
        async with self._file.locked(self._note) as locked:
            self._seen = self._file.states()
            self._pending = None  # after a failure there is no known sign to wait for
            # Not abandoned when it is cancelled: the work checks for that itself.
            result = await trio.to_thread.run_sync(work, locked, limiter=self._limiter)
        self._pending = result.pending
        return result

    def _note(self, words: str) -> None:
        noted = Noted(words)
        self._journal.tell(noted)
        self._listener.tell(noted)


def _events(jobs: Sequence[TakenJob]) -> list[Taken]:
    return [Taken(taken.number, taken.job) for taken in jobs]


def fill(job: Job, sub_node: SubNode, slots: SlotsHeld = (), /) -> Command:
    """Render a job for a sub-node; a take that was cancelled ends here.

    Raises:
        TemplateFault: it cannot be rendered.
    """
    with suppress(RuntimeError):  # a retry is rendered in Trio's own thread
        trio.from_thread.check_cancelled()
    return render(job, sub_node, slots)
