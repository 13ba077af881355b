"""Takes jobs out of a queue file, and passes barriers; the lock of the queue is held.

Rule 1: the file is read again if it changed in between; then nothing has happened.
Rule 2: a barrier is passed as a job is taken: recorded first, then removed from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from pegasus.errors import FileFault, PegasusError
from pegasus.model import Barrier, TakenJob
from pegasus.picker import Picker
from pegasus.queue_file import (
    above,
    consumed,
    content,
    disk_errors,
    interrupted,
    left,
    old_files,
    rendering,
    settled,
)
from pegasus.queue_file.known import LeftText
from pegasus.queue_file.note import Receipt
from pegasus.queue_file.picking import BarrierRemoval, Picked, TakeResult
from pegasus.queue_file.settled import Sight, pending_in
from pegasus.queue_file.take_files import ADD_FILE, beside, record_of

ReceiptFor: TypeAlias = Callable[[Sequence[TakenJob]], Receipt | None]
"""Gives the receipt for jobs that are about to be taken; None for no receipt."""

MOST_TRIES = 20
"""How often a queue file that other programs rewrite without the lock is read again."""


def take(
    path: str,
    real: Path,
    picker: Picker,
    receipt: ReceiptFor | None = None,
    pulse: Callable[[], None] | None = None,
    *,
    first: int = 1,
    run: str = "",
    known: LeftText | None = None,
) -> TakeResult:
    """Take jobs; see ``LockedQueue.take``."""
    with disk_errors.translated(path, "Nothing was taken, and nothing is lost"):
        for _ in range(MOST_TRIES):
            waits = _collected(path, real)
            try:
                sight = settled.look(path, real)
            except FileFault as fault:
                interrupted.recover(real)
                picker.begin(lambda: False)
                missing = content.state(real) is None
                return TakeResult(fault=fault, empty=missing, missing=missing)
            pending = pending_in([*waits, sight])
            complete = sight.complete
            is_known = known is not None and known.data == complete
            # The search takes a tenth of the time of a take from a file with 10,000 entries.
            has_barrier = known.has_barrier if known and is_known else above.has_barrier(complete)
            picker.begin(partial(bool, is_known))
            entries = known.known_in(complete) if known else ()
            picked = Picked(path, complete, picker, first, known=entries, pulse=pulse)
            if not picked.jobs:
                interrupted.recover(real)
                text = LeftText(complete, has_barrier, picked.known())
                return picked.result(pending, text)
            _prepare(path, real)
            noted_for = run if has_barrier else None
            rest = picked.rest(may_say_empty=not sight.stays)
            state = consumed.take(
                real,
                rest + sight.stays,
                "".join(rendering.canonical(taken.job) for taken in picked.jobs),
                unchanged=partial(_settled, real, picker, picked.jobs, noted_for),
                receipt=receipt(picked.jobs) if receipt else None,
                sight=sight,
            )
            if state is not None:
                # An old file may have been written to since it was read.
                state = None if old_files.are_there(real) else state
                text = LeftText(rest, has_barrier, picked.known())
                return picked.result(pending, text, state)
    raise PegasusError(
        f"{path}: other programs keep rewriting this file, so nothing was taken. "
        "Edit it with `pegasus lock`."
    )


def pass_barrier(
    path: str,
    real: Path,
    barrier: Barrier,
    may_open: Callable[[], bool],
    pulse: Callable[[], None] | None = None,
) -> bool | None:
    """Remove the barrier with which a file begins; see ``LockedQueue.pass_barrier``."""

    def forgotten() -> bool:
        # Before the rename: after a crash in between the barrier is judged without these jobs, and
        # opens again. After the rename they could hold back a barrier that comes later.
        above.forget_jobs(real)
        return True

    with disk_errors.translated(path, "Nothing was changed"):
        for _ in range(MOST_TRIES):
            _collected(path, real)
            try:
                sight = settled.look(path, real)
            except FileFault:
                interrupted.recover(real)
                return None
            interrupted.recover(real)
            removal = BarrierRemoval(path, sight.complete, barrier, pulse)
            if not removal.is_first:
                return None
            if not may_open():
                return False
            _prepare(path, real)
            rest = removal.rest(may_say_empty=not sight.stays) + sight.stays
            record = rendering.canonical(barrier)
            if consumed.take(real, rest, record, unchanged=forgotten, sight=sight):
                return True
    raise PegasusError(
        f"{path}: other programs keep rewriting this file, so its barrier was not passed. "
        "Edit it with `pegasus lock`."
    )


def _collected(path: str, real: Path) -> list[Sight]:
    """Move what was written to old files to the queue; give the files that are incomplete."""
    beside(real, ADD_FILE).unlink(missing_ok=True)
    if not old_files.are_there(real):
        return []
    interrupted.recover_if_interrupted(real)  # it may leave one more old file
    return left.collect(path, real)


def _prepare(path: str, real: Path) -> None:
    """Refuse to rewrite what must not be rewritten."""
    interrupted.recover_if_interrupted(real)  # also if this take fails
    content.refuse_read_only(path, real)
    content.refuse_record(path, real, record_of(real))


def _settled(real: Path, picker: Picker, jobs: Sequence[TakenJob], run: str | None) -> bool:
    """Note the jobs of a take, and tell the picker of them.

    Args:
        real: the queue file.
        picker: it picked the jobs.
        jobs: the jobs.
        run: the name of the run, which may be empty; None where no barrier is below the jobs.
    """
    try:
        if run is None:
            above.forget_jobs(real)
        elif run:
            above.note_jobs(real, run, [taken.number for taken in jobs])
    except OSError as error:
        step = disk_errors.next_step(error, "Look after the disk, and try again")
        step = "Make it writable for you" if isinstance(error, PermissionError) else step
        raise PegasusError(
            f"{above.above_file(real)}: {error.strerror or error}. This file keeps which jobs were "
            f"above a barrier. Nothing was taken, and nothing is lost. {step}."
        ) from error
    picker.settle(jobs)
    return True
