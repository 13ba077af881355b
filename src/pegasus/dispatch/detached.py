"""Detached commands, as a run sees them: what is followed, how it is ended, whose record it is in.

Rule 1: cancelling the scope of a detached command only stops following it; only ``stop`` ends it.
Rule 2: its end is on the disk before its folder is removed.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from pegasus.detachment import Detachment
from pegasus.dispatch.ending import EndedBy, RunningCommand
from pegasus.dispatch.ports import Shell
from pegasus.events import (
    Cut,
    Discarded,
    Listener,
    OutputSizes,
    Printed,
    Reconnected,
    Released,
    StopStored,
)
from pegasus.model import Apart, Assignment, NotStarted, Outcome, Stream, SubNode

RELEASE_LIMIT = 5.0
"""Seconds at the end of an aborted run for what is left to do for a command that has ended: its end
to the disk, and the removal of its folder. What is not done then is done by the next run."""


async def persist_nothing(_: Assignment) -> None:
    """Do nothing: there is no record."""
    await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class Owner:
    """The run that a detached command belongs to.

    Attributes:
        name: the run's name.
        listener: gets what happens to the command.
        persist: returns once all events, and the output of a command, are on the disk.
    """

    name: str
    listener: Listener
    persist: Callable[[Assignment], Awaitable[None]] = persist_nothing


@dataclass(frozen=True, slots=True)
class Inherited:
    """A detached command of an earlier run that this run takes over.

    Attributes:
        assignment: the command; its sub-node is that of the earlier run.
        owner: the earlier run.
        extent: how many bytes of each stream are recorded already.
        stop_stored: whether it is to be ended as soon as it can be reached.
        has_ended: whether its end is recorded, and only its folder is left.
    """

    assignment: Assignment
    owner: Owner
    extent: OutputSizes = field(default_factory=dict)
    stop_stored: bool = False
    has_ended: bool = False


@dataclass(frozen=True, slots=True)
class Stray:
    """A folder on a node that was prepared for a command, or in which none ever started.

    Attributes:
        sub_node: where it is.
        key: its name.
        listener: of the run that it belongs to.
    """

    sub_node: SubNode
    key: str
    listener: Listener

    async def remove(self, shell: Shell) -> None:
        """Remove the folder."""
        if await shell.release(self.key):
            self.tell_removed()

    def tell_removed(self) -> None:
        """Report that the folder is gone."""
        self.listener.tell(Discarded(self.sub_node, self.key))


class DetachedCommand(RunningCommand):
    """A detached command, from its hand-over or its taking over to the removal of its folder.

    Args:
        assignment: the command.
        owner: the run that it belongs to.
        limit: its time limit in seconds.

    Attributes:
        owner: the run that it belongs to.
        extent: how many bytes of each stream were shown; None before it was handed over.
        is_reported: whether its end was reported.
        left: whether it is not to be followed any more.
        apart_since: since when, on Trio's clock, there is no connection to it; None: there is one.
    """

    __slots__ = ("_limit", "_stop", "apart_since", "extent", "is_reported", "left", "owner")

    def __init__(self, assignment: Assignment, owner: Owner, limit: float) -> None:
        super().__init__(assignment, math.inf)
        self.owner = owner
        self.extent: dict[Stream, int] | None = None
        self.is_reported = False
        self.left = False
        self.apart_since: float | None = None
        self._limit = limit
        self._stop = trio.Event()

    @classmethod
    def inherit(cls, inherited: Inherited) -> DetachedCommand:
        """Make the command that an earlier run has left."""
        command = cls(inherited.assignment, inherited.owner, math.inf)
        command.extent = dict(inherited.extent)
        command.is_reported = inherited.has_ended
        command.apart_since = trio.current_time()
        if inherited.stop_stored:
            command.end(EndedBy.STOP_JOB)
        return command

    @property
    def key(self) -> str:
        """The name of its folder."""
        if self.assignment.key is None:
            raise ValueError("this command is not detached")
        return self.assignment.key

    @property
    def run_name(self) -> str | None:
        """The run that it belongs to."""
        return self.owner.name

    @property
    def is_reached(self) -> bool:
        """Whether there is a connection to it."""
        return self.apart_since is None

    @property
    def is_stopping(self) -> bool:
        """Whether it is to be ended."""
        return self._stop.is_set()

    def end(self, cause: EndedBy) -> None:
        """End the command; where there is no connection, this is recorded and done later."""
        if self.ended_by is None:
            self._ended_by = cause
            self._stop.set()
            if self.extent is None:
                self.scope.cancel(reason="it is not handed over any more")
            if self.apart_since is not None:
                self.store_stop()

    def store_stop(self) -> None:
        """Record that it is to be ended as soon as it can be reached."""
        if not self.is_reported:
            self.owner.listener.tell(StopStored(self.assignment))

    @property
    def ended_by(self) -> EndedBy | None:
        """The cause that ended the command; its time limit is known on its node only."""
        return self._ended_by

    def leave(self) -> None:
        """Stop following the command, which goes on."""
        self.left = True
        self.scope.cancel(reason="the run is left; its commands go on")

    def tell_apart(self, words: str) -> None:
        """Report that there is no connection to the command any more."""
        if self.apart_since is None:
            self.apart_since = trio.current_time()
            self.owner.listener.tell(Cut(self.assignment, words))
            if self.is_stopping:
                self.store_stop()

    async def run(self, shell: Shell, kill_now: trio.Event) -> Outcome | Apart:
        """Start the command, or follow it again.

        Returns:
            What the shell reports; Apart where it is left.
        """
        if self.apart_since is not None and not self.is_reported:
            self.owner.listener.tell(Reconnected(self.assignment))
        self.apart_since = None
        with trio.CancelScope(shield=True) as self.scope:
            if self.left or (self.is_stopping and self.extent is None):
                self.scope.cancel()
            if self.extent is None:
                # The start is on the disk before it can happen.
                await self.owner.persist(self.assignment)
                if self.is_stopping:
                    return NotStarted("aborted before it began")
            extent, self.extent = self.extent, self.extent or {}
            return await shell.run(
                self.assignment,
                self.owner.name,
                self._show,
                kill_now,
                Detachment(self._stop, self._limit, extent),
            )
        return Apart("the run is left")

    async def _show(self, printed: Printed) -> None:
        if self.is_reported:
            await trio.lowlevel.checkpoint()
            return
        if self.extent is not None:  # the record accepts it before anything can be cancelled
            self.extent[printed.stream] = self.extent.get(printed.stream, 0) + len(printed.data)
        await self.owner.listener.show(printed)

    async def release(self, shell: Shell) -> bool:
        """Remove the folder of the command, whose end was reported, once that is on the disk."""
        await self.owner.persist(self.assignment)
        if not await shell.release(self.key):
            return False
        self.owner.listener.tell(Released(self.assignment))
        return True


@dataclass(frozen=True, slots=True)
class Remains:
    """What earlier runs have left on a sub-node.

    Attributes:
        commands: detached commands, which may run.
        strays: folders to remove.
        listener: of the earlier run that the sub-node belongs to; None where this run has it too.
    """

    commands: Sequence[DetachedCommand] = ()
    strays: Sequence[Stray] = ()
    listener: Listener | None = None
