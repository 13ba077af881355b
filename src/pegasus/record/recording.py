"""The record of a run that goes on: a listener that writes down what it is told.

Rule 1: a run goes on without its record; why there is none, or why it lacks something, is said
once, through ``on_trouble``.
Rule 2: times are taken here, when something is told, and not when it is written.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from pegasus import __version__, durable
from pegasus.events import Connected, Ended, Event, Printed, Returned, Started, Taken, Unreachable
from pegasus.model import Assignment, Job, Stream, SubNode
from pegasus.record import folder as folders
from pegasus.record import journal
from pegasus.record.disk import RecordRemoved, RunFiles
from pegasus.record.folder import OutputName, RunFolder
from pegasus.record.journal import FORMAT, Facts, How, Mode
from pegasus.record.writer import RecordWriter

RECORD_END_LIMIT = 5.0
"""Seconds that the disk has at the end of a run for what waits. One that is only busy needs
less."""


_REMOVED = (
    "{}: this record was removed during the run. What becomes of the run's jobs is not kept, and "
    "`pegasus retry` cannot put them back; what was taken stands in consumed.yaml."
)


class Record:
    """A listener that writes a run down; see ``open_record``, which makes one.

    Attributes:
        name: the run's, which is its folder's.
        folder: where the record is; None where there is none.
    """

    def __init__(
        self, name: str, opened: _OpenedRecord | None, sub_nodes: Sequence[SubNode] = ()
    ) -> None:
        self.name = name
        self.folder = opened.folder if opened else None
        self._opened = opened
        self._known = {sub_node.number for sub_node in sub_nodes}
        self._receipted = 0
        self._printed: dict[tuple[int, int], Counter[Stream]] = {}
        self._end: tuple[int | None, How] = (None, "failed")

    def receipt(self, number: int, jobs: Sequence[Job]) -> tuple[Path, bytes] | None:
        """Give the journal, and the lines that say that jobs were taken, for whoever takes them.

        Whoever takes jobs appends these in the very moment; being told of it later adds nothing.

        Args:
            number: the first job's, in the run.
            jobs: all that are about to be taken.
        """
        if self._opened is None:
            return None
        numbered = enumerate(jobs, start=number)
        lines = [journal.event_line(Taken(n, job), time.time(), {}) for n, job in numbered]
        self._receipted = number + len(jobs) - 1
        return self._opened.folder.journal, b"".join(lines)

    def write_anyway(self, number: int) -> None:
        """Write down of these jobs what their receipt could not, when it is told.

        Args:
            number: the first one's that was to be in it.
        """
        self._receipted = number - 1
        if self._opened is not None:
            self._opened.writer.expect_torn_line()

    def tell(self, event: Event) -> None:
        """Write an event down.

        On a disk that is well, a start or an end stands in the journal on return: nobody meets a
        job that runs, or reads of an end, that the journal does not know of.
        """
        if self._opened is None:
            return
        if isinstance(event, Taken) and event.number <= self._receipted:
            return
        writer = self._opened.writer
        self._introduce(event)
        printed: Counter[Stream] = Counter()
        if isinstance(event, Ended | Returned):
            key = _key(event.assignment)
            printed = self._printed.pop(key, printed)
            writer.close_outputs(*key)
        writer.put_line(journal.event_line(event, time.time(), printed))
        if isinstance(event, Started | Ended):
            writer.settle()

    def _introduce(self, event: Event) -> None:
        """Write down a sub-node that came while the run went on, before what it does."""
        match event:
            case Connected(sub_node) | Unreachable(sub_node, _, _):
                pass
            case Started(assignment) | Ended(assignment, _, _, _):
                sub_node = assignment.sub_node
            case _:
                return
        if sub_node.number not in self._known and self._opened is not None:
            self._known.add(sub_node.number)
            self._opened.writer.put_line(journal.sub_node_line(time.time(), sub_node))

    async def show(self, printed: Printed) -> None:
        """Write output down; waits while the disk does not keep up."""
        if self._opened is None or not printed.data:
            await trio.lowlevel.checkpoint()
            return
        key = _key(printed.assignment)
        self._printed.setdefault(key, Counter())[printed.stream] += len(printed.data)
        writer = self._opened.writer
        writer.put_output(OutputName(*key, printed.stream), printed.data)
        await writer.wait_room()

    def conclude(self, exit_status: int, how: How) -> None:
        """Say what the run came to; a run that never does has failed.

        Args:
            exit_status: what the shell gets.
            how: ``done`` with all there was, ``drained`` or ``aborted`` by a person or after a
                failure, or ``failed`` because something was not as it has to be.
        """
        self._end = (exit_status, how)

    @property
    def kept(self) -> bool:
        """Tell whether there is a record that readers find; it is known when it is closed."""
        return self._opened is not None and not self._opened.removed.is_set()

    def has_outputs(self) -> bool:
        """Tell whether the folder of the outputs is still there.

        That takes as long as the disk likes: call it in a thread.
        """
        return self._opened is not None and self.kept and self._opened.folder.output.is_dir()

    async def close(self) -> None:
        """Write the end down, wait until it is written, and let go of the lock."""
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self._opened is not None:
            self._opened.writer.put_line(journal.run_ended_line(time.time(), *self._end))
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
    mode: Mode,
    hosts_file: str,
    sub_nodes: Sequence[SubNode],
    on_trouble: Callable[[str], None],
) -> AsyncIterator[Record]:
    """Record a run for the length of the block, in a folder beside its queue file.

    At the end everything is written, or given up when the disk takes nothing for RECORD_END_LIMIT.

    Args:
        queue: the real path of the queue file, which need not exist.
        name: the run's; the record's ``name`` has the run's number in front.
        mode: whether each job runs once, or everywhere.
        hosts_file: as the user gave it.
        sub_nodes: all of them.
        on_trouble: is told, in a sentence or two, why there is no record, or why something is
            missing in it; once, and once more where the run cannot lock its record.
    """
    facts = Facts(
        name=name,
        number=None,
        format=FORMAT,
        pegasus=__version__,
        mode=mode,
        queue_file=str(queue),
        hosts_file=hosts_file,
        pid=os.getpid(),
        host=socket.gethostname(),
        locked=True,
        sub_nodes=tuple(sub_nodes),
        started_at=time.time(),
    )
    opened: _OpenedRecord | None = None
    try:
        opened = _open(queue, facts, on_trouble)
    except OSError as error:
        on_trouble(_words(error, folders.records_of(queue), "is not recorded"))
    record = Record(opened.folder.name if opened else name, opened, sub_nodes)
    try:
        yield record
    finally:
        with trio.move_on_after(RECORD_END_LIMIT, shield=True):
            await record.close()


def _open(queue: Path, facts: Facts, on_trouble: Callable[[str], None]) -> _OpenedRecord:
    folder, number = folders.make_folder(queue, facts.name)
    lock_fd, locked = folders.hold_lock(folder)
    if not locked:
        on_trouble(
            f"{folder.lock} cannot be locked on this file system. The run is recorded, but "
            "`pegasus status` on another machine cannot tell whether it still goes on."
        )
    try:
        journal_fd = durable.open_private(folder.journal)
    except OSError:
        os.close(lock_fd)
        raise
    facts = replace(facts, name=folder.name, number=number, locked=locked)
    removed = threading.Event()
    writer = _writer(folder, facts, journal_fd, on_trouble, removed)
    return _OpenedRecord(folder, writer, lock_fd, removed)


def _writer(
    folder: RunFolder,
    facts: Facts,
    journal_fd: int,
    on_trouble: Callable[[str], None],
    removed: threading.Event,
) -> RecordWriter:
    def tell_trouble(error: OSError) -> None:
        words = _words(error, folder.path, "goes on, and its record lacks what has no room")
        if isinstance(error, RecordRemoved):
            removed.set()
            words = _REMOVED.format(folder.path)
        writer.call_soon(partial(on_trouble, words))

    disk = RunFiles(folder, facts.mode, journal_fd, tell_trouble)
    writer = RecordWriter(disk, lambda count: journal.lines_gap_line(time.time(), count))
    writer.put_line(journal.facts_line(facts))
    writer.settle()
    return writer


def _words(error: OSError, path: Path, consequence: str) -> str:
    return (
        f"{path}: the record cannot be written: {error.strerror or error}. The run {consequence}. "
        "Look after the disk or the folder."
    )


def _key(assignment: Assignment) -> tuple[int, int]:
    return assignment.number, assignment.sub_node.number
