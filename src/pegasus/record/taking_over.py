"""Takes over the detached commands of a run whose Pegasus is gone: its record is continued.

Rule 1: the lock of the record decides: whoever holds it follows the run's commands, and nobody else
does. It is never waited for.
Rule 2: the journal is read again under the lock: only then is what is left certain.
Rule 3: what is recorded of an output is what its file holds. Where the machine of the last writer
may have lost what was not synced, only that counts; the node has the rest.
Rule 4: nothing in a record makes this fail: what is odd is left as it is, and followed from there.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from pegasus import durable
from pegasus.errors import PegasusError
from pegasus.events import Event, OutputMissing, OutputSizes, Progressed, RunEnded, TakenOver
from pegasus.model import Assignment, Stream
from pegasus.record import folder as folders
from pegasus.record.encoding import line_of
from pegasus.record.finding import find_runs, refreshed
from pegasus.record.reading import RunRecord
from pegasus.record.recording import RECORD_END_LIMIT, Record, open_files
from pegasus.run_state import Execution, JobState, RunState


@dataclass(frozen=True, slots=True)
class LeftCommand:
    """A detached command whose folder may still be on its node.

    Attributes:
        assignment: where it runs, with its key.
        extent: how many bytes of each of its streams the record has.
        started_at: when it started, in seconds since the epoch.
        stop_stored: whether a user ended it while it could not be reached.
        has_ended: whether its end is recorded, so that only the folder is left.
    """

    assignment: Assignment
    extent: OutputSizes
    started_at: float
    stop_stored: bool
    has_ended: bool


@dataclass(frozen=True, slots=True)
class ContinuedRun:
    """A run whose commands this Pegasus follows now.

    Attributes:
        record: of the run; what it is told is appended.
        name: of the run.
        state: the run as its journal describes it; it does not follow what ``record`` is told.
        commands: what is left of it, in the order of the starts.
    """

    record: Record
    name: str
    state: RunState
    commands: Sequence[LeftCommand]


def find_left(queue: Path, warnings: list[str]) -> list[RunRecord]:
    """Find and read the runs of a queue with detached commands whose folders may be left.

    Runs that go on are among them.

    Args:
        queue: the real path of the queue file, which need not exist.
        warnings: gets a sentence for each run that could not be read.

    Raises:
        PegasusError: see ``find_runs``.
    """
    runs = [run for run in find_runs(queue, warnings) if run.began.detached]
    runs = [run for run in runs if not run.ends_with_nothing_left()]
    return [run for run in runs if refreshed(run, warnings) and _has_left(run.state)]


def _has_left(state: RunState) -> bool:
    return any(state.left()) or bool(state.folders.strays)


@asynccontextmanager
async def take_over(
    run: RunRecord, by: str, on_trouble: Callable[[str], None]
) -> AsyncIterator[ContinuedRun | None]:
    """Continue the record of a run during the block, if its Pegasus is gone.

    At the end of the block the run ends: with the end that the record was told, or else as left.

    Args:
        run: as ``find_left`` gave it; this reads on in it.
        by: the name of the run that takes over; empty for ``pegasus attach``.
        on_trouble: gets a message where the record cannot be continued or is incomplete.

    Returns:
        None where another Pegasus follows its commands, where nothing is left of it any more, or
        where the record cannot be continued.
    """
    taken = await trio.to_thread.run_sync(_take, run, by)
    if isinstance(taken, str):
        on_trouble(taken)
    if taken is None or isinstance(taken, str):
        yield None
        return
    opened = open_files(run.folder, run.began, taken.journal_fd, taken.lock_fd, on_trouble)
    if taken.is_torn:
        opened.writer.expect_torn_line()
    for event in taken.events:
        opened.writer.put_line(line_of(event, time.time()))
    opened.writer.settle()
    if opened.detached is not None:
        running = [each.assignment for each in taken.commands if not each.has_ended]
        opened.detached.resume(running, run.state.folders.keys())
    record = Record(run.began, opened, end=RunEnded(None, "left"))
    try:
        yield ContinuedRun(record, run.name, run.state, taken.commands)
    finally:
        with trio.move_on_after(RECORD_END_LIMIT, shield=True):
            await record.close()


@dataclass(frozen=True, slots=True)
class _LockedRecord:
    """A record that is locked.

    Attributes:
        lock_fd: holds the lock.
        journal_fd: the journal, open for appending.
        is_torn: whether it ends within a line.
        commands: what is left.
        events: what is to be appended.
    """

    lock_fd: int
    journal_fd: int
    is_torn: bool
    commands: Sequence[LeftCommand]
    events: Sequence[Event]


def _take(run: RunRecord, by: str) -> _LockedRecord | str | None:
    """Lock a record and read what is left; a text says why that is not possible."""
    lock_fd: int | None = None
    try:
        lock_fd = _lock(run)
        if lock_fd is None:
            return None
        run.refresh()
        if _has_left(run.state):
            fd = durable.open_private(run.folder.journal)
            return _read_on(run, by, lock_fd, fd)
    except PegasusError as error:
        words = str(error)
    except OSError as error:
        words = f"{error.filename or run.folder.path}: {error.strerror or error}."
    else:
        os.close(lock_fd)
        return None
    if lock_fd is not None:
        os.close(lock_fd)
    return f"The detached commands of run {run.name} cannot be taken over. {words}"


def _lock(run: RunRecord) -> int | None:
    """Lock a record; None where another Pegasus follows its commands.

    Raises:
        OSError: the lock cannot be opened.
        PegasusError: the journal cannot be read.
    """
    if run.began.locked:
        try:
            return folders.try_lock(run.folder)
        except OSError as error:
            if not folders.has_no_locks(error):
                raise
    run.refresh()
    if run.state.end is None and folders.may_live(run.state.follower or run.began):
        return None
    return durable.open_private(run.folder.lock)


def _read_on(run: RunRecord, by: str, lock_fd: int, journal_fd: int) -> _LockedRecord:
    """Find out how far the record extends; from here on it is this Pegasus that continues it."""
    try:
        writer, here = run.state.follower or run.began, socket.gethostname()
        boot = folders.boot_of_host()
        trusts_sizes = (writer.host, writer.boot) == (here, boot)
        is_torn = durable.is_torn(journal_fd, os.fstat(journal_fd).st_size)
        with suppress(OSError):  # the next ``persist`` will say so
            os.fsync(journal_fd)
        events: list[Event] = [TakenOver(os.getpid(), here, by, boot)]
        commands = []
        for job, execution in run.state.left():
            command, missing = _left_of(run, job, execution, trusts_sizes=trusts_sizes)
            commands.append(command)
            events += missing
            if not command.has_ended:
                events.append(Progressed(command.assignment, command.extent))
        for event in events:
            run.state.apply(event, time.time())
    except BaseException:
        os.close(journal_fd)
        raise
    return _LockedRecord(lock_fd, journal_fd, is_torn, commands, events)


def _left_of(
    run: RunRecord, job: JobState, execution: Execution, *, trusts_sizes: bool
) -> tuple[LeftCommand, list[OutputMissing]]:
    """Find out how far the record of one command extends."""
    extent: dict[Stream, int] = {}
    missing: list[OutputMissing] = []
    has_ended = execution.outcome is not None
    number, sub_node = job.number, execution.sub_node.number
    for stream in Stream if run.is_last(job, execution) else ():
        path = run.output(number, sub_node, stream)
        before = run.recorded_before(job, execution, stream)
        synced = execution.printed.get(stream, 0)
        most = None if trusts_sizes or has_ended else before + synced
        size = _synced_size(path, most)
        extent[stream] = max(0, size - before)
        if size < before:
            words = "the file was shorter than the journal says"
            missing.append(OutputMissing(number, sub_node, stream, size, before - size, words))
        if not trusts_sizes and extent[stream] < synced:
            has_ended = False  # its end was synced, and its output was not
    left = LeftCommand(
        execution.assignment,
        extent,
        execution.started_at or 0.0,
        execution.stop_stored,
        has_ended,
    )
    return left, missing


def _synced_size(path: Path, most: int | None) -> int:
    """Sync an output, and give its size; 0 where there is none.

    Args:
        path: of the file.
        most: cut off what is behind so many bytes; None to trust all of it.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except OSError:
        return _size_of(path)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return 0
        if most is not None and status.st_size > most:
            os.ftruncate(fd, most)
        os.fsync(fd)
        return os.fstat(fd).st_size
    except OSError:
        return _size_of(path)
    finally:
        os.close(fd)


def _size_of(path: Path) -> int:
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
