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
    Ended,
    Event,
    LinesMissing,
    Printed,
    Returned,
    RunBegan,
    RunEnded,
    RunMode,
    Started,
    Taken,
)
from pegasus.model import Assignment, SubNode
from pegasus.record import folder as folders
from pegasus.record.disk import RecordRemoved, RunFiles
from pegasus.record.encoding import FORMAT, line_of
from pegasus.record.folder import OutputName, RunFolder
from pegasus.record.writer import RecordWriter

RECORD_END_LIMIT = 5.0
"""Seconds that the disk has at the end of a run for what waits. A busy disk needs less."""


_REMOVED = (
    "{}: this record was removed during the run. The outcomes of the run's jobs are not recorded, "
    "and `pegasus retry` cannot put them back; consumed.yaml lists what was taken."
)


class Record:
    """A listener that records a run; ``open_record`` makes one.

    Attributes:
        began: the run's first event, with its name and number.
        folder: where the record is; None where there is none.
    """

    def __init__(self, began: RunBegan, opened: _OpenedRecord | None) -> None:
        self.began = began
        self.folder = opened.folder if opened else None
        self._opened = opened
        self._receipt_given = False
        self._end = RunEnded(None, "failed")

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

        Where the disk is not slow, a start or an end is in the journal on return. So a job that
        runs, or an end that is on the screen, is never missing in the journal.
        """
        if isinstance(event, RunEnded):
            self._end = event
        elif self._opened is not None:
            self._write(event, self._opened.writer)

    def _write(self, event: Event, writer: RecordWriter) -> None:
        if isinstance(event, Taken) and self._receipt_given:
            self._receipt_given = False
            writer.expect_torn_line()  # the receipt may have been appended in part
        if isinstance(event, Ended | Returned):
            writer.close_outputs(*_key(event.assignment))
        writer.put_line(line_of(event, time.time()))
        if isinstance(event, Started | Ended):
            writer.settle()

    async def show(self, printed: Printed) -> None:
        """Write output; waits while the disk is too slow."""
        if self._opened is None or not printed.data:
            await trio.lowlevel.checkpoint()
            return
        writer = self._opened.writer
        writer.put_output(OutputName(*_key(printed.assignment), printed.stream), printed.data)
        await writer.wait_room()

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
        if self._opened is not None:
            self._opened.writer.put_line(line_of(self._end, time.time()))
            try:
                await self._opened.writer.close()
            finally:
                os.close(self._opened.lock_fd)


@dataclass(frozen=True, slots=True)
class _OpenedRecord:
    folder: RunFolder
    writer: RecordWriter
    lock_fd: int
    removed: threading.Event


@asynccontextmanager
async def open_record(
    queue: Path,
    name: str,
    *,
    mode: RunMode,
    hosts_file: str,
    sub_nodes: Sequence[SubNode],
    on_trouble: Callable[[str], None],
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
    removed = threading.Event()
    writer = _writer(folder, began, journal_fd, on_trouble, removed)
    return Record(began, _OpenedRecord(folder, writer, lock_fd, removed))


def _writer(
    folder: RunFolder,
    began: RunBegan,
    journal_fd: int,
    on_trouble: Callable[[str], None],
    removed: threading.Event,
) -> RecordWriter:
    def report_trouble(error: OSError) -> None:
        words = _words(error, folder.path, "goes on, and its record is incomplete")
        if isinstance(error, RecordRemoved):
            removed.set()
            words = _REMOVED.format(folder.path)
        writer.call_soon(partial(on_trouble, words))

    disk = RunFiles(folder, began.mode, journal_fd, report_trouble)
    writer = RecordWriter(disk, lambda count: line_of(LinesMissing(count), time.time()))
    writer.put_line(line_of(began, time.time()))
    writer.settle()
    return writer


def _words(error: OSError, path: Path, consequence: str) -> str:
    return (
        f"{path}: the record cannot be written: {error.strerror or error}. The run {consequence}. "
        "Look after the disk or the folder."
    )


def _key(assignment: Assignment) -> tuple[int, int]:
    return assignment.number, assignment.sub_node.number
