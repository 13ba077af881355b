"""The record of a run in progress: a listener that writes events and output to the disk.

Rule 1: a run goes on without its record. Why there is none, or what it lacks, is reported once,
through ``on_trouble``.
Rule 2: the time of an event is the time at which it arrives here, not at which it is written.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from pegasus import __version__, durable
from pegasus.events import (
    BarrierPassed,
    Connected,
    Ended,
    Event,
    LinesMissing,
    Prepared,
    Printed,
    Returned,
    RunBegan,
    RunDraining,
    RunEnded,
    RunMode,
    RunPaused,
    RunResumed,
    Stalled,
    Started,
    Taken,
    Unreachable,
)
from pegasus.model import Assignment, SubNode
from pegasus.record import folder as folders
from pegasus.record.detached_disk import DetachedRunFiles
from pegasus.record.detached_lines import AboutCommand, AboutFolder, DetachedLines, command_of
from pegasus.record.disk import RecordRemoved, RunFiles
from pegasus.record.encoding import FORMAT, line_of
from pegasus.record.folder import OutputName, RunFolder
from pegasus.record.syncing import Syncer
from pegasus.record.writer import RecordWriter

RECORD_END_LIMIT = 5.0
"""Seconds that the disk has at the end of a run for what waits. A busy disk needs less."""

LAST_SYNC_LIMIT = 3.0
"""Seconds of these that a sync may take, so that the rest is written also where it hangs."""

PERSIST_REPORT_AFTER = 1.0
"""Seconds after which a wait for the disk is reported: a user wonders by then."""


_FAILED = RunEnded(None, "failed")

_WAITS = (
    "waits for it: until then no detached command is started, and what detached commands print "
    "stays on their nodes"
)

_REMOVED = (
    "{}: this record was removed during the run. The outcomes of the run's jobs are not recorded, "
    "and `pegasus retry` cannot put them back; consumed.yaml lists what was taken."
)

_SLOW = (
    "{}: the disk takes long to store the record. Until it has, no detached command is started, "
    "and none that has ended is cleaned up."
)

_SETTLED = (
    *(Started, Ended, Prepared, RunDraining, RunPaused, RunResumed),
    *(Connected, Unreachable, Stalled, BarrierPassed),
)
"""What readers find in the journal as soon as the screen shows it, or a node was asked for it.

Notes are not among them: a note about a disk that hangs must not wait for the disk.
"""


class Record:
    """A listener that records a run; ``open_record`` makes one.

    Args:
        began: the run's first event.
        opened: its files; None where there is no record.
        end: the end that is recorded where no other is told.

    Attributes:
        began: the run's first event, with its name and number.
        folder: where the record is; None where there is none.
    """

    def __init__(
        self,
        began: RunBegan,
        opened: OpenedRecord | None,
        *,
        end: RunEnded = _FAILED,
    ) -> None:
        self.began = began
        self.folder = opened.folder if opened else None
        self._opened = opened
        self._receipt_given = self._slow_reported = False
        self._end = end

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.began.name

    def receipt(self, events: Sequence[Taken]) -> tuple[Path, bytes] | None:
        """Give the journal's path, and the lines for jobs that are about to be taken.

        The take appends the lines itself. Only if it could not, ``tell`` gets these events.

        Returns:
            None where there is no journal.
        """
        if self._opened is None:
            return None
        self._receipt_given = True
        lines = [line_of(event, time.time()) for event in events]
        return self._opened.folder.journal, b"".join(lines)

    def tell(self, event: Event) -> None:
        """Write an event to the journal.

        Where the disk is not slow, what people are told of, or the name of a folder, is in the
        journal on return. So a job that runs, an end or a drain that is on the screen, or a folder
        that a node was asked for, is never missing in the journal.
        """
        if isinstance(event, RunEnded):
            self._end = event
        elif self._opened is not None:
            self._write(event, self._opened)

    def _write(self, event: Event, opened: OpenedRecord) -> None:
        writer = opened.writer
        if isinstance(event, Taken) and self._receipt_given:
            self._receipt_given = False
            writer.expect_torn_line()  # the receipt may have been appended in part
        if isinstance(event, Ended | Returned):
            writer.close_outputs(*command_of(event.assignment))
        line = line_of(event, time.time())
        if opened.detached is not None and isinstance(event, AboutCommand | AboutFolder):
            opened.detached.write(event, line)
        else:
            writer.put_line(line)
        if isinstance(event, _SETTLED):
            writer.settle()

    async def persist(self, assignment: Assignment | None = None) -> None:
        """Wait until everything that was told and shown so far is on the disk, also after a crash.

        Only for a run with detached commands. Concurrent calls share syncs, and where nothing is
        new this costs nothing. While the disk refuses, it waits, and reports that once. Where there
        is no record, or it was removed, it returns at once.

        An output that the disk refuses keeps nobody else waiting: each has a file of its own.

        Args:
            assignment: wait for this command's output, and for all events; None to wait for the
                outputs of all commands that have ended.
        """
        if self._opened is None or self._opened.detached is None:
            await trio.lowlevel.checkpoint()
            return
        command = None if assignment is None else command_of(assignment)
        with trio.move_on_after(PERSIST_REPORT_AFTER) as soon:
            await self._opened.detached.syncer.persist(command)
        if soon.cancelled_caught:
            if not self._slow_reported and not self._opened.disk.reported:
                self._slow_reported = True
                self._opened.on_trouble(_SLOW.format(self._opened.folder.path))
            await self._opened.detached.syncer.persist(command)

    async def show(self, printed: Printed) -> None:
        """Write output; waits while the disk is too slow.

        The output is accepted before the first checkpoint: who is cancelled must not show it again.
        While the disk refuses output of a detached command, this waits: its node keeps the rest.
        """
        if self._opened is None or not printed.data:
            await trio.lowlevel.checkpoint()
            return
        writer, name = (
            self._opened.writer,
            OutputName(*command_of(printed.assignment), printed.stream),
        )
        writer.put_output(name, printed.data)
        await writer.wait_room()
        if self._opened.detached is not None:
            await self._opened.detached.syncer.wait_unstuck(name)

    @property
    def kept(self) -> bool:
        """Whether there is a record that readers find; it is certain once the record is closed."""
        return self._opened is not None and not self._opened.removed.is_set()

    def has_outputs(self) -> bool:
        """Return whether the folder of the outputs still exists.

        A disk may take long to answer: call it in a thread.
        """
        return self._opened is not None and self.kept and self._opened.folder.output.is_dir()

    async def close(self) -> None:
        """Write the end of the run, wait until it is written, and release the lock."""
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self._opened is None:
            return
        writer, detached = self._opened.writer, self._opened.detached
        end = self._end if detached is None else replace(self._end, left=detached.left)
        writer.put_line(line_of(end, time.time()))
        try:
            if detached is not None:
                with trio.move_on_after(LAST_SYNC_LIMIT):
                    await detached.syncer.sync_once()
            await writer.close()
            if detached is not None:
                await detached.syncer.close()
        finally:
            os.close(self._opened.lock_fd)


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """The files of a record that is written.

    Attributes:
        folder: of the run.
        disk: what writes them.
        writer: its thread.
        detached: writes what happens to detached commands; None in a run without.
        lock_fd: the lock, which is held while this is open.
        removed: set once the record was removed.
        on_trouble: gets messages.
    """

    folder: RunFolder
    disk: RunFiles
    writer: RecordWriter
    detached: DetachedLines | None
    lock_fd: int
    removed: threading.Event
    on_trouble: Callable[[str], None]


@asynccontextmanager
async def open_record(
    queue: Path,
    name: str,
    *,
    mode: RunMode,
    hosts_file: str,
    sub_nodes: Sequence[SubNode],
    on_trouble: Callable[[str], None],
    detached: bool = False,
    resumes: str = "",
) -> AsyncIterator[Record]:
    """Record a run during the block, in a folder beside its queue file.

    At the end everything is written, or given up after RECORD_END_LIMIT.

    Args:
        queue: the real path of the queue file, which need not exist.
        name: the run's name without its number.
        mode: whether each job runs once, or on every sub-node.
        hosts_file: its path as the user gave it.
        sub_nodes: all sub-nodes.
        on_trouble: gets a message where there is no record or it is incomplete; once, and once more
            where the run cannot lock its record.
        detached: whether the run's commands are detached: then see ``Record.persist``.
        resumes: the name of the run whose broadcast this one continues.
    """
    began = RunBegan(
        name=name,
        number=None,
        mode=mode,
        queue_file=str(queue),
        hosts_file=hosts_file,
        sub_nodes=tuple(sub_nodes),
        pid=os.getpid(),
        host=socket.gethostname(),
        locked=False,
        format=FORMAT,
        pegasus=__version__,
        detached=detached,
        boot=folders.boot_of_host(),
        resumes=resumes,
    )
    record = Record(began, None)
    try:
        record = _open(queue, began, on_trouble)
    except OSError as error:
        on_trouble(_words(error, folders.records_of(queue), "is not recorded"))
    try:
        yield record
    finally:
        with trio.move_on_after(RECORD_END_LIMIT, shield=True):
            await record.close()


def _open(queue: Path, began: RunBegan, on_trouble: Callable[[str], None]) -> Record:
    folder, number = folders.make_folder(queue, began.name)
    lock_fd, locked = folders.hold_lock(folder)
    if not locked:
        on_trouble(
            f"{folder.lock} cannot be locked on this file system. The run is recorded, but "
            "`pegasus status` on another machine cannot find out whether it still goes on."
        )
    try:
        journal_fd = durable.open_private(folder.journal)
    except OSError:
        os.close(lock_fd)
        raise
    began = replace(began, name=folder.name, number=number, locked=locked)
    opened = open_files(folder, began, journal_fd, lock_fd, on_trouble)
    opened.writer.put_line(line_of(began, time.time()))
    opened.writer.settle()
    return Record(began, opened)


def open_files(
    folder: RunFolder,
    began: RunBegan,
    journal_fd: int,
    lock_fd: int,
    on_trouble: Callable[[str], None],
) -> OpenedRecord:
    """Open what writes a record.

    Args:
        folder: of the run.
        began: the run's first event.
        journal_fd: the journal, open for appending; this closes it at the end.
        lock_fd: the lock; see ``journal_fd``.
        on_trouble: see ``open_record``.
    """
    removed = threading.Event()
    consequence = _WAITS if began.detached else "goes on, and its record is incomplete"

    def report_trouble(error: OSError) -> None:
        words = _words(error, folder.path, consequence)
        if isinstance(error, RecordRemoved):
            removed.set()
            words = _REMOVED.format(folder.path)
        writer.call_soon(partial(on_trouble, words))

    if began.detached:
        kept = DetachedRunFiles(folder, began.mode, journal_fd, report_trouble)
        writer = RecordWriter(kept, _gap_line)
        detached = DetachedLines(writer, Syncer(kept, writer, began.mode))
        return OpenedRecord(folder, kept, writer, detached, lock_fd, removed, on_trouble)
    disk = RunFiles(folder, began.mode, journal_fd, report_trouble)
    writer = RecordWriter(disk, _gap_line)
    return OpenedRecord(folder, disk, writer, None, lock_fd, removed, on_trouble)


def _gap_line(count: int) -> bytes:
    return line_of(LinesMissing(count), time.time())


def _words(error: OSError, path: Path, consequence: str) -> str:
    return (
        f"{path}: the record cannot be written: {error.strerror or error}. The run {consequence}. "
        "Look after the disk or the folder."
    )
