"""Makes a record survive a power cut, while the run goes on.

Rule 1: to sync takes milliseconds, or seconds: a thread of its own does it. Trio never waits, and
the thread that writes goes on writing.
Rule 2: whoever waits shares the next round with all others who wait. A round has what was queued
before it began.
Rule 3: while the disk refuses, rounds are repeated until it does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import trio

from pegasus import durable
from pegasus.events import RunMode
from pegasus.record.detached_disk import DetachedRunFiles, Unsynced
from pegasus.record.disk import CommandName
from pegasus.record.folder import OutputName, output_stem
from pegasus.record.writer import RecordWriter
from pegasus.writer_thread import BatchLimits, WriterThread

RETRY_PERIOD = 0.5
"""Seconds between two tries of a disk that refuses: a user has to free space first, so more tries
are of no use, and no one notices a later one."""

PROGRESS_ROUNDS = 5.0
"""Seconds at least between two rounds for reports of progress alone: half of the period in which a
command reports it, so that one round serves many commands."""

_AT_ONCE = BatchLimits(size=1, items=1, wake=1, gather=0.0)

_fdatasync = getattr(os, "fdatasync", os.fsync)
"""macOS has only the latter, which also stores the times of the file."""


@dataclass(slots=True, eq=False)
class _SyncRound:
    """One sync of everything that was queued before.

    Attributes:
        changes: what it covers, as ``RecordWriter.changes`` counts.
        progress: what is called for a command whose output it stored.
        found: what was to be synced; None where a file could not be opened.
        error: why the disk refused, if it did.
        done: set at its end.
    """

    changes: int = 0
    progress: dict[CommandName, Callable[[], None]] = field(default_factory=dict)
    found: Unsynced | None = None
    error: OSError | None = None
    done: trio.Event = field(default_factory=trio.Event)

    def has(self, stem: str | None) -> bool:
        """Return whether it stored all of one output, or of all that are at their end."""
        if self.error is not None or self.found is None or self.found.waits:
            return False
        return not self.found.held if stem is None else stem not in self.found.incomplete

    def has_all(self) -> bool:
        """Return whether nothing was left to be stored."""
        return self.has(None) and self.found is not None and not self.found.incomplete


class Syncer:
    """Syncs what a writer writes; call it from Trio only.

    Args:
        disk: what the writer works on.
        writer: of the record.
        mode: of the run.
    """

    def __init__(self, disk: DetachedRunFiles, writer: RecordWriter, mode: RunMode) -> None:
        self._disk = disk
        self._writer = writer
        self._mode = mode
        self._stored = -1  # changes that are known to be stored
        self._current: _SyncRound | None = None
        self._next: _SyncRound | None = None
        self._progress: dict[CommandName, Callable[[], None]] = {}
        self._progress_at = -PROGRESS_ROUNDS
        self._thread: WriterThread[_SyncRound] = WriterThread("pegasus sync", self._sync, _AT_ONCE)

    async def persist(self, command: CommandName | None) -> None:
        """Wait until everything that was queued so far is stored.

        Args:
            command: wait for its output; None to wait for those of all commands that have ended.
        """
        await trio.lowlevel.checkpoint()
        if self._stored == self._writer.changes:
            return
        stem = None if command is None else output_stem(*command, self._mode)
        while not self._writer.has_ended:
            sync = self._request()
            while not (sync.done.is_set() or self._writer.has_ended):
                with trio.move_on_after(RETRY_PERIOD):
                    await sync.done.wait()
            if sync.has(stem) or (sync.found is not None and sync.found.gone):
                return
            await trio.sleep(RETRY_PERIOD)

    async def wait_unstuck(self, name: OutputName) -> None:
        """Wait until all blocks of an output are written; return at once where none is kept."""
        while name in self._disk.stuck and not self._writer.has_ended:
            await trio.sleep(RETRY_PERIOD)
            self._writer.put_step(self._disk.retry)

    def put_progress(self, command: CommandName, put: Callable[[], None]) -> None:
        """Have a report of progress queued once the output that it counts is stored.

        Args:
            command: whose output it is; a later report replaces one that still waits.
            put: queues the report.
        """
        self._progress[command] = put
        if trio.current_time() - self._progress_at >= PROGRESS_ROUNDS:
            self._progress_at = trio.current_time()
            self._request()

    def forget_progress(self, command: CommandName) -> None:
        """Drop a report of progress that waits: the command has ended."""
        self._progress.pop(command, None)

    async def sync_once(self) -> None:
        """Sync what can be synced; do not repeat it."""
        await self._request().done.wait()

    async def close(self) -> None:
        """Let the thread end after its current sync."""
        await self._thread.close()

    def _request(self) -> _SyncRound:
        """Give a round that will cover everything that was queued so far."""
        if self._current is None:
            return self._launch(_SyncRound())
        if self._next is None:
            self._next = _SyncRound()
        return self._next

    def _launch(self, sync: _SyncRound) -> _SyncRound:
        self._current, sync.changes = sync, self._writer.changes
        sync.progress, self._progress = self._progress, {}
        self._writer.put_step(partial(self._collect, sync))
        return sync

    def _finish(self, sync: _SyncRound) -> None:
        if sync.error is not None:
            self._writer.put_step(partial(self._disk.take_back, sync.found, sync.error))
        elif sync.has_all():
            self._stored = max(self._stored, sync.changes)
        for command, put in sync.progress.items():
            if sync.has(output_stem(*command, self._mode)):
                put()
        sync.done.set()
        self._current, following = None, self._next
        if following is not None:
            self._next = None
            self._launch(following)

    # The thread that writes.

    def _collect(self, sync: _SyncRound) -> None:
        try:
            sync.found = self._disk.collect()
        except OSError as error:
            sync.error = error
        # The queue of the other thread accepts items from Trio's thread only.
        self._writer.call_soon(partial(self._thread.put, sync, 1))

    # The thread that syncs.

    def _sync(self, rounds: Sequence[_SyncRound]) -> None:
        for sync in rounds:
            if sync.found is not None:
                sync.error = _sync_all(sync.found)
            self._thread.call_soon(partial(self._finish, sync))


def _sync_all(found: Unsynced) -> OSError | None:
    """Sync files and folders; return the first error, or close the files."""
    failure: OSError | None = None
    for folder in found.folders:
        try:
            with suppress(PermissionError, FileNotFoundError):  # only its owner could sync it
                durable.sync_folder(folder)
        except OSError as error:
            failure = failure or error
    for fd in found.fds:
        try:
            _fdatasync(fd)
        except OSError as error:
            failure = failure or error
    if failure is None:
        for fd in found.fds:
            os.close(fd)
    return failure
