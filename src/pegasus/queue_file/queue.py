"""queue.yaml: reading it, and under its lock taking jobs from its head and putting jobs in.

Rule 1: a job is given out only once the file without it is on the disk.
Rule 2: what is written is read back first; what does not read as it should is never written.
Rule 3: the file is the user's: every byte that is not about the jobs in question stays.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pegasus import durable, grid
from pegasus.errors import FileFault, PegasusError
from pegasus.model import Entry, Job, TakenJob
from pegasus.queue_file import consumed, content, disk_errors, left, lock, rendering, settled
from pegasus.queue_file.adding import with_entries
from pegasus.queue_file.content import State
from pegasus.queue_file.entries import QueueReader, check_added
from pegasus.queue_file.note import Receipt
from pegasus.queue_file.picking import JobFill, Picked, TakeResult
from pegasus.queue_file.settled import Sight, Sign, pending_in

ReceiptFor: TypeAlias = Callable[[Sequence[TakenJob]], Receipt | None]
"""Gives the receipt for jobs that are about to be taken; None where nobody wants one."""

WRITER_WAIT_LIMIT = 10.0
"""Seconds to wait for somebody who writes into the file before giving up: a copy takes less."""

_WRITER_POLL = 0.02


def _say_nothing(words: str) -> None:
    """Be told what is waited for and leave it at that."""


MOST_TRIES = 20
"""How often a queue file that others rewrite without the lock is read anew before giving up."""


class QueueFile:
    """One queue file, which need not exist.

    A symbolic link is followed; the lock and consumed.yaml stand beside the real file.

    Args:
        path: as the user gave it; messages name it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._given = Path(path)
        self._real = Path(os.path.realpath(path))

    @property
    def real(self) -> Path:
        """The file behind all symbolic links, as they are now."""
        if str(self._real) != (real := os.path.realpath(self.path)):
            self._real = Path(real)
        return self._real

    @contextlib.asynccontextmanager
    async def locked(self, on_wait: Callable[[str], None]) -> AsyncIterator[LockedQueue]:
        """Hold the queue's lock; only who holds it can change the file.

        Waiting for it can be cancelled; getting and releasing it are no checkpoints.

        Args:
            on_wait: is told once, after a second of waiting, who holds the lock.

        Raises:
            PegasusError: there can be no lock there.
        """
        real = self.real
        async with lock.held(real, self.path, on_wait):
            yield LockedQueue(self.path, real, on_wait)

    def state(self) -> State | None:
        """Tell one state of the file from another, cheaply; None where there is no file."""
        return content.state(self._given)

    def states(self) -> tuple[State | None, ...]:
        """Tell one state from another, with what somebody writes to a file that was replaced."""
        return (self.state(), *left.states(self.real))

    def signs(self) -> tuple[Sign, ...]:
        """Give what has to change before there is more of what was pending."""
        return left.signs(self.real)

    def blind_spot(self) -> str:
        """Say what the system does not tell about writers of the file; nothing where it does."""
        state, written, _ = settled.sign_of(self.real)
        if state is None or written is not None:
            return ""
        return (
            f"{self.path}: the file system, or the owner of the file, does not let Pegasus see all "
            "programs that write to this file, and what they write while a job is taken may be "
            "lost. Add jobs with `pegasus add`."
        )

    async def recover(self, patience: float) -> None:
        """Bring a take to its end that a crash interrupted, if nobody holds the lock for longer.

        Whoever holds it does so as well; and where it can't be done, nothing is lost by waiting.

        Args:
            patience: seconds to wait for the lock.
        """
        import trio  # noqa: PLC0415 -- it is loaded where it runs; who only reads can do without

        with trio.move_on_after(patience), contextlib.suppress(PegasusError):
            async with self.locked(lambda _: None) as locked:
                locked.recover()

    def is_interrupted(self) -> bool:
        """Tell whether a take goes on now, or was interrupted by a crash."""
        return consumed.is_interrupted(self.real)

    def entries(self) -> Iterator[Entry | FileFault]:
        """Read all entries, and in the place of a bad one its fault.

        Needs no lock: the file is replaced, never half-written, by every Pegasus.
        A file that is missing or cannot be read is one fault.
        """
        try:
            reader = self.reader()
        except FileFault as fault:
            yield fault
            return
        for written in reader:
            yield written if isinstance(written, FileFault) else written.entry

    def reader(self) -> QueueReader:
        """Read the file, with what other programs append to files that it replaced.

        Raises:
            FileFault: it is missing or cannot be read.
        """
        data, _ = content.read(self.path, self.real)
        return QueueReader(self.path, left.with_tails(self.real, data))

    def refuse_lockless(self) -> None:
        """Check that the file system has locks.

        Raises:
            FileFault: it has none.
        """
        lock.refuse_lockless(self.real, self.path)

    def count(self) -> int:
        """Tell how many jobs wait, without those that cannot be taken because of a fault."""
        return sum(grid.count(entry) for entry in self.entries() if isinstance(entry, Entry))


@dataclass(frozen=True, slots=True)
class LockedQueue:
    """A queue file whose lock is held: a way to change it, which ends with the lock.

    Its methods wait for the disk: call them in a worker thread, and not abandoned.

    Attributes:
        path: as the user gave it.
        real: the file itself.
        on_wait: is told once, after a second of waiting for a writer of the file, what is waited
            for; in Trio's own thread.
    """

    path: str
    real: Path
    on_wait: Callable[[str], None] = _say_nothing

    def recover(self) -> None:
        """Bring a take to its end that a crash interrupted, whichever way it had gone.

        Raises:
            PegasusError: the files could not be written.
        """
        with disk_errors.translated(self.path, "Nothing was changed"):
            consumed.recover(self.real)
            left.collect(self.path, self.real)
            self._new.unlink(missing_ok=True)

    def take(
        self,
        fills: Sequence[JobFill],
        receipt: ReceiptFor | None = None,
        pulse: Callable[[], None] | None = None,
        *,
        first: int = 1,
    ) -> TakeResult:
        """Take jobs from the head of the file, as many as there are sub-nodes for them.

        The jobs before the first fault are taken, in one rewrite of the file. Where there is
        nothing to take, nothing is written.

        Args:
            fills: one for each sub-node that is free; job number i is filled in by number i.
            receipt: gives, for the jobs that are about to be taken, who is told of it; it may be
                asked several times before a take succeeds.
            pulse: is called often while the file is read and before a job is rendered, and never
                once anything is written; it may raise, and then nothing is taken.
            first: the number of the first job that is taken.

        Raises:
            PegasusError: the file could not be rewritten (FileFault: it must not be); nothing was
                taken and nothing is lost.
        """
        with disk_errors.translated(self.path, "Nothing was taken, and nothing is lost"):
            for _ in range(MOST_TRIES):
                waits = self._collected()
                try:
                    sight = settled.look(self.path, self.real)
                except FileFault as fault:
                    consumed.recover(self.real)
                    missing = content.state(self.real) is None
                    return TakeResult(fault=fault, empty=missing, missing=missing)
                pending = pending_in([*waits, sight])
                reader = QueueReader(self.path, sight.complete, pulse)
                picked = Picked(reader, fills, first, sight.stays)
                if not picked.jobs:
                    consumed.recover(self.real)
                    return picked.result(pending)
                if self._replace(picked, sight, receipt):
                    return picked.result(pending)
        raise PegasusError(
            f"{self.path}: other programs keep rewriting this file, so nothing was taken. "
            "Edit it with `pegasus lock`."
        )

    def look(self, pulse: Callable[[], None] | None = None) -> TakeResult:
        """Look at the file as a take would, and take nothing.

        Args:
            pulse: see ``take``.

        Raises:
            PegasusError: the files could not be read, or not be brought up to date.
        """
        return self.take((), pulse=pulse)

    def _replace(self, picked: Picked, sight: Sight, receipt: ReceiptFor | None) -> bool:
        """Do the take; tell False where the file has changed since it was read."""
        consumed.recover_if_interrupted(self.real)  # whatever comes of this take
        content.refuse_read_only(self.path, self.real)
        content.refuse_record(self.path, self.real, consumed.record_of(self.real))
        record = "".join(rendering.canonical(taken.job) for taken in picked.jobs)
        return consumed.take(
            self.real,
            picked.rest(),
            record,
            receipt=receipt(picked.jobs) if receipt else None,
            sight=sight,
        )

    def _collected(self) -> list[Sight]:
        """Move to the queue what came to files that it was before; give what is not complete."""
        self._new.unlink(missing_ok=True)
        if not left.are_there(self.real):
            return []
        consumed.recover_if_interrupted(self.real)  # it may know of one more
        return left.collect(self.path, self.real)

    def add(self, entries: Sequence[Entry], *, top: bool = False) -> None:
        """Put entries into the file, which is made where it is missing.

        Args:
            entries: what to put in, in this order.
            top: before all others instead of after them.

        Raises:
            FileFault: the file has a fault, or an entry could not be run; nothing was written.
            PegasusError: the file could not be rewritten; nothing was written.
        """
        content.refuse_read_only(self.path, self.real)
        if not entries:
            return
        for entry in entries:
            check_added(entry, self.path)
        with disk_errors.translated(self.path, "Nothing was added"):
            consumed.recover(self.real)
            for _ in range(MOST_TRIES):
                left.collect(self.path, self.real)
                sight = self.to_be_changed()
                data = b"" if sight is None else sight.complete
                if self._put(with_entries(self.path, data, entries, top=top), sight):
                    return
        raise PegasusError(f"{self.path}: other programs keep rewriting this file. Try again.")

    def to_be_changed(self) -> Sight | None:
        """Read the file, to be replaced by one with more in it; None where there is none.

        What is written into it in place is waited for. What somebody still writes behind its end
        is not complete, and comes behind what is added.

        Raises:
            FileFault: it cannot be read.
            PegasusError: somebody does not come to an end.
        """
        import trio  # noqa: PLC0415 -- it is loaded where it runs; who only reads can do without

        began, said = time.monotonic(), False
        while content.state(self.real) is not None:
            sight = settled.look(self.path, self.real)
            if not (sight.overwritten or sight.stays):
                return sight
            waited = time.monotonic() - began
            if waited > WRITER_WAIT_LIMIT:
                raise PegasusError(
                    f"{sight.words} Nothing was added. Close the file and try again."
                )
            with contextlib.suppress(RuntimeError):  # no worker thread of Trio's
                trio.from_thread.check_cancelled()
                if waited > lock.LOCK_MESSAGE_DELAY and not said:
                    said = True
                    trio.from_thread.run_sync(self.on_wait, sight.words)
            time.sleep(_WRITER_POLL)
        return None

    def overwrite(self, data: bytes) -> bool:
        """Make the file what it is to be; tell False where somebody else is quicker.

        Raises:
            OSError, PegasusError: it was not done.
        """
        exists = content.state(self.real) is not None
        return self._put(data, settled.look(self.path, self.real) if exists else None)

    @property
    def _new(self) -> Path:
        """The file that becomes the queue; one that is there is left by a crash, of no use."""
        return self.real.with_name(f".{self.real.name}.pegasus-add")

    def _put(self, data: bytes, sight: Sight | None) -> bool:
        new = self._new
        new.unlink(missing_ok=True)
        like = None if sight is None else durable.model_of(self.real)
        try:
            durable.write_new(new, data, like=like)
            if not left.replace(self.real, new, sight):
                return False
        finally:
            new.unlink(missing_ok=True)
        durable.sync_folder(self.real.parent)
        return True


def entries_of(jobs: Sequence[Job]) -> list[Entry]:
    """Give for each job the entry that stands for nothing else."""
    return [
        Entry((job.command,), tuple((name, (value,)) for name, value in job.params)) for job in jobs
    ]
