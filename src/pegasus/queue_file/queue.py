"""queue.yaml: reads it, and under its lock takes jobs out and puts jobs in.

Rule 1: a job is returned only after the file without it is on disk.
Rule 2: a new text is parsed before it is written; a text that does not mean what it should is never
written.
Rule 3: the file belongs to the user: every byte that does not belong to these jobs stays.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus import durable, grid
from pegasus.errors import FileFault, PegasusError
from pegasus.model import Barrier, Entry, Job
from pegasus.picker import FirstJobs, Picker
from pegasus.queue_file import (
    content,
    departure,
    disk_errors,
    interrupted,
    left,
    lock,
    settled,
    taking,
)
from pegasus.queue_file.adding import with_entries
from pegasus.queue_file.content import State
from pegasus.queue_file.entries import QueueReader, WrittenBarrier, check_added
from pegasus.queue_file.known import LeftText
from pegasus.queue_file.picking import TakeResult
from pegasus.queue_file.settled import Sight, Sign
from pegasus.queue_file.take_files import ADD_FILE, beside
from pegasus.queue_file.taking import MOST_TRIES, ReceiptFor

WRITER_WAIT_LIMIT = 10.0
"""Seconds to wait for a process that writes into the file; a copy takes less."""

_WRITER_POLL = 0.02


class QueueFile:
    """One queue file, which need not exist.

    A symbolic link is followed; the lock and consumed.yaml are beside the real file.

    Args:
        path: as the user gave it; messages name it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._given = Path(path)
        self._real = Path(os.path.realpath(path))

    @property
    def real(self) -> Path:
        """The file to which all symbolic links resolve now."""
        if str(self._real) != (real := os.path.realpath(self.path)):
            self._real = Path(real)
        return self._real

    @contextlib.asynccontextmanager
    async def locked(self, on_wait: Callable[[str], None]) -> AsyncIterator[LockedQueue]:
        """Hold the lock of the queue; only its holder can change the file.

        Waiting for it can be cancelled; acquiring and releasing it are not checkpoints.

        Args:
            on_wait: is called once, after a second of waiting, with a message that names the
                holder.

        Raises:
            PegasusError: the lock file cannot be created or locked.
        """
        real = self.real
        async with lock.held(real, self.path, on_wait):
            yield LockedQueue(self.path, real, on_wait)

    def state(self) -> State | None:
        """Give the state of the file, with one ``stat``; None if there is no file."""
        return content.state(self._given)

    def states(self) -> tuple[State | None, ...]:
        """Give the states of the file and of its old files that are still written to."""
        return (self.state(), *left.states(self.real))

    def signs(self) -> tuple[Sign, ...]:
        """Give what changes before pending entries can be complete."""
        return left.signs(self.real)

    def blind_spot(self) -> str:
        """Give a warning if the system does not show who writes the file; else an empty text."""
        state, written, _ = settled.sign_of(self.real)
        if state is None or written is not None or not content.is_regular(state):
            return ""  # a read of what is no regular file says what is wrong
        return (
            f"{self.path}: the file system, or the owner of the file, does not let Pegasus see all "
            "programs that write to this file, and what they write while a job is taken may be "
            "lost. Add jobs with `pegasus add`."
        )

    async def recover(self, limit: float) -> None:
        """Finish or undo a take that a crash interrupted, if the lock is free in time.

        The holder of the lock does the same. If it cannot be done, nothing is lost.

        Args:
            limit: seconds to wait for the lock.
        """
        import trio  # noqa: PLC0415 -- commands that only read do without it

        with trio.move_on_after(limit), contextlib.suppress(PegasusError):
            async with self.locked(lambda _: None) as locked:
                locked.recover()

    def is_interrupted(self) -> bool:
        """Tell whether a take is in progress or was interrupted by a crash."""
        return interrupted.is_interrupted(self.real)

    def entries(self) -> Iterator[Entry | FileFault]:
        """Read all entries, without the barriers; a bad entry is given as its fault.

        This needs no lock: Pegasus replaces the file and never writes it in part. A file that is
        missing or cannot be read is one fault.
        """
        try:
            reader = self.reader()
        except FileFault as fault:
            yield fault
            return
        for written in reader:
            if not isinstance(written, WrittenBarrier):
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
        """Count the jobs in the file, without those in entries with a fault."""
        return sum(grid.count(entry) for entry in self.entries() if isinstance(entry, Entry))


@dataclass(frozen=True, slots=True)
class LockedQueue:
    """A queue file whose lock is held, so that it can be changed.

    Its methods wait for the disk: call them in a worker thread that is not abandoned.

    Attributes:
        path: as the user gave it.
        real: the file.
        on_wait: is called once, in Trio's thread, after a second of waiting for another program
            that writes the file.
    """

    path: str
    real: Path
    on_wait: Callable[[str], None] | None = None

    def recover(self) -> None:
        """Finish or undo a take that a crash interrupted.

        Raises:
            PegasusError: the files could not be written.
        """
        with disk_errors.translated(self.path, "Nothing was changed"):
            interrupted.recover(self.real)
            left.collect(self.path, self.real)
            beside(self.real, ADD_FILE).unlink(missing_ok=True)

    def take(
        self,
        picker: Picker,
        receipt: ReceiptFor | None = None,
        pulse: Callable[[], None] | None = None,
        *,
        first: int = 1,
        run: str = "",
        known: LeftText | None = None,
    ) -> TakeResult:
        """Take the jobs that a picker picks.

        Those before the first barrier and before the first fault are taken, in one rewrite of the
        file. If there is nothing to take, nothing is written.

        Args:
            picker: picks the jobs; it begins anew each time the file is read.
            receipt: gives the receipt for the jobs that are about to be taken. It may be called
                several times before a take succeeds.
            pulse: is called often while the file is read, and never after anything was written. If
                it raises, nothing is taken.
            first: the number of the first job that is taken.
            run: the name of the run, for jobs above a barrier; without it they are not noted.
            known: the file after the last take, if that is known.

        Raises:
            PegasusError: the file could not be rewritten (FileFault: it is read-only, or it is
                consumed.yaml); nothing was taken and nothing is lost.
        """
        return taking.take(
            self.path, self.real, picker, receipt, pulse, first=first, run=run, known=known
        )

    def pass_barrier(
        self,
        barrier: Barrier,
        may_open: Callable[[], bool],
        pulse: Callable[[], None] | None = None,
    ) -> bool | None:
        """Remove the barrier with which the file begins, and record that in consumed.yaml.

        Args:
            barrier: the barrier.
            may_open: is asked whether it opens, if the file begins with it. It may be asked several
                times.
            pulse: see ``take``.

        Returns:
            Whether it was removed; None if the file does not begin with it any more.

        Raises:
            PegasusError: the file could not be rewritten; nothing was changed.
        """
        return taking.pass_barrier(self.path, self.real, barrier, may_open, pulse)

    def look(self, pulse: Callable[[], None] | None = None) -> TakeResult:
        """Read the file as a take does, and take nothing.

        Args:
            pulse: see ``take``.

        Raises:
            PegasusError: the files could not be read, or not be brought up to date.
        """
        return self.take(FirstJobs(()), pulse=pulse)

    def add(self, entries: Sequence[Entry | Barrier], *, top: bool = False) -> None:
        """Add entries to the file, which is created if it is missing.

        Args:
            entries: the entries, in this order.
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
            interrupted.recover(self.real)
            for _ in range(MOST_TRIES):
                left.collect(self.path, self.real)
                sight = self.to_be_changed()
                data = b"" if sight is None else sight.complete
                if self._put(with_entries(self.path, data, entries, top=top), sight):
                    return
        raise PegasusError(f"{self.path}: other programs keep rewriting this file. Try again.")

    def to_be_changed(self) -> Sight | None:
        """Read the file before it is replaced by one with more entries; None if there is none.

        This waits for a program that writes into the middle of the file. What a program appends is
        incomplete, and will follow the new entries.

        Raises:
            FileFault: it cannot be read.
            PegasusError: another program writes it for too long.
        """
        import trio  # noqa: PLC0415 -- commands that only read do without it

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
            with contextlib.suppress(RuntimeError):  # not a worker thread of Trio
                trio.from_thread.check_cancelled()
                if waited > lock.LOCK_MESSAGE_DELAY and not said:
                    said = True
                    if self.on_wait is not None:
                        trio.from_thread.run_sync(self.on_wait, sight.words)
            time.sleep(_WRITER_POLL)
        return None

    def overwrite(self, data: bytes) -> bool:
        """Replace the content of the file. Return False if another program changes it meanwhile.

        Raises:
            OSError, PegasusError: nothing was changed.
        """
        exists = content.state(self.real) is not None
        return self._put(data, settled.look(self.path, self.real) if exists else None)

    def _put(self, data: bytes, sight: Sight | None) -> bool:
        new = beside(self.real, ADD_FILE)
        new.unlink(missing_ok=True)
        like = None if sight is None else durable.model_of(self.real)
        try:
            durable.write_new(new, data, like=like)
            if not departure.replace(self.real, new, sight):
                return False
        finally:
            new.unlink(missing_ok=True)
        durable.sync_folder(self.real.parent)
        return True


def entries_of(jobs: Sequence[Job]) -> list[Entry]:
    """Give an entry for each job."""
    return [
        Entry(
            (job.command,), tuple((name, (value,)) for name, value in job.params), None, job.demand
        )
        for job in jobs
    ]
