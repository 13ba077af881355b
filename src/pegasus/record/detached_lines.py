"""What happens to detached commands, as lines of a journal, each written at the right time.

Rule 1: a report of progress is written once the output that it counts is stored, and never about a
command that has ended meanwhile.
Rule 2: which folders may be left on nodes is known at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TypeAlias

from pegasus.events import (
    Cut,
    Discarded,
    Ended,
    Prepared,
    Progressed,
    Reconnected,
    Released,
    Returned,
    Started,
    StopStored,
)
from pegasus.model import Assignment
from pegasus.record.disk import CommandName
from pegasus.record.syncing import Syncer
from pegasus.record.writer import RecordWriter

AboutCommand: TypeAlias = (
    Started | Returned | Progressed | Ended | Cut | Reconnected | StopStored | Released
)
"""What happens to a command."""

AboutFolder: TypeAlias = Prepared | Discarded
"""What happens to a folder in which no command has started."""


class DetachedLines:
    """Writes these lines; call it from Trio only.

    Args:
        writer: of the record.
        syncer: of the record.
    """

    def __init__(self, writer: RecordWriter, syncer: Syncer) -> None:
        self.syncer = syncer
        self._writer = writer
        self._running: dict[CommandName, str | None] = {}  # keys
        self._folders: set[str | None] = {None}  # keys; what is not detached has none

    @property
    def left(self) -> int:
        """How many folders may be left on nodes."""
        return len(self._folders) - 1

    def resume(self, running: Iterable[Assignment], folders: Iterable[str]) -> None:
        """Go on from what an earlier Pegasus has left.

        Args:
            running: commands without an end.
            folders: the keys of all folders.
        """
        self._running.update((command_of(each), each.key) for each in running)
        self._folders.update(folders)

    def write(self, event: AboutCommand | AboutFolder, line: bytes) -> None:
        """Queue the line of an event."""
        match event:
            case Prepared(_, key):
                self._folders.add(key)
                self._writer.put_line(line, vital=True)
                return
            case Discarded(_, key):
                self._folders.discard(key)
                self._writer.put_line(line, vital=True)
                return
        assignment = event.assignment
        command = command_of(assignment)
        match event:
            case Progressed():
                put = partial(self._put_progress, assignment, line)
                self.syncer.put_progress(command, put)
                return
            case Started():
                self._running[command] = assignment.key
                self._folders.add(assignment.key)
            case Ended() | Returned():
                self._running.pop(command, None)
                self.syncer.forget_progress(command)
            case Released() if assignment.key is not None:
                self._folders.discard(assignment.key)
        self._writer.put_line(line, command, vital=not isinstance(event, Cut | Reconnected))

    def _put_progress(self, assignment: Assignment, line: bytes) -> None:
        command = command_of(assignment)
        if assignment.key is not None and self._running.get(command) == assignment.key:
            self._writer.put_line(line, command)


def command_of(assignment: Assignment) -> CommandName:
    """Give the numbers that identify a command that runs."""
    return assignment.number, assignment.sub_node.number
