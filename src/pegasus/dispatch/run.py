"""What a run is given: sub-nodes, a queue, sessions, a listener; and the way to end its taking.

Rule 1: protocols here say all that dispatch asks of the other rooms.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import trio

from pegasus.errors import PegasusError
from pegasus.events import Listener, Printed
from pegasus.model import Assignment, Command, Job, Outcome, SubNode, TakenJob


class Shell(Protocol):
    """A shell on a sub-node that waits for one command."""

    @property
    def begun(self) -> bool:
        """Whether the command runs, or has ended, or can't begin any more."""

    async def wait_begun(self) -> None:
        """Wait until the command runs, or can't any more."""

    async def wait_broken(self) -> None:
        """Wait until the shell is gone."""

    async def run(
        self, assignment: Assignment, run_name: str, show: Callable[[Printed], Awaitable[None]]
    ) -> Outcome:
        """Run the command to its end; hand it over before the first checkpoint."""

    async def wait_next(self) -> bool:
        """Wait until the shell is through with its command; tell whether it takes another one."""


class Session(Protocol):
    """An open way into a sub-node."""

    def open_shell(self) -> AbstractAsyncContextManager[Shell]:
        """Start a shell that waits for a command; raises NodeUnreachable."""


Fill: TypeAlias = Callable[[Job], tuple[Command, ...]]
"""Renders a job for the sub-nodes that are to run it; raises TemplateFault if it cannot."""


class Batch(Protocol):
    """The result of a take."""

    @property
    def jobs(self) -> Sequence[TakenJob]:
        """The jobs that were taken, with the commands that their ``fill`` gave, in order."""

    @property
    def fault(self) -> PegasusError | None:
        """What keeps the next entry from being taken, if anything."""


class Queue(Protocol):
    """Where jobs come from."""

    async def take(self, fills: Sequence[Fill]) -> Batch:
        """Take up to one job for each fill, and number, record and report them.

        A cancelled take has taken nothing.

        Raises:
            PegasusError: the queue can't be taken from, for now; nothing was taken.
        """

    async def is_empty(self) -> bool:
        """Look whether nothing is in the queue; nothing is taken.

        Raises:
            PegasusError: the queue cannot be read.
        """

    def changed(self) -> bool:
        """Tell whether there may be something new since the last take."""

    @property
    def pending(self) -> str:
        """What is waited for, where somebody has not written an entry to its end; else nothing."""


class Drain:
    """The end of taking, asked for by a person or by a failed job."""

    def __init__(self) -> None:
        self._scope = trio.CancelScope()
        self.over = trio.Event()
        """Set when nothing more will be taken and everything taken has begun."""

    @property
    def scope(self) -> trio.CancelScope:
        """What stands around taking; it is entered once."""
        return self._scope

    @property
    def begun(self) -> bool:
        """Tell whether the end of taking was asked for."""
        return self._scope.cancel_called

    def begin(self) -> None:
        """Take nothing more."""
        self._scope.cancel(reason="draining")


StopWaiting: TypeAlias = Callable[[int, int | None], list[Assignment]]
"""Ends a job that waits for another try; see ``Running.stop_waiting``."""


class Running:
    """The commands that run now, each in the scope that ends it."""

    def __init__(self) -> None:
        self._scopes: dict[Assignment, trio.CancelScope] = {}
        self._stop_waiting: StopWaiting = lambda number, sub_node: []  # noqa: ARG005 -- nobody waits

    @contextmanager
    def entered(
        self, assignment: Assignment, timeout: float = math.inf
    ) -> Iterator[trio.CancelScope]:
        """Stand around a command while it runs.

        Args:
            assignment: what runs.
            timeout: seconds until it is ended; a scope that has no deadline any more was cancelled
                by ``stop``.
        """
        with trio.CancelScope(deadline=trio.current_time() + timeout) as scope:
            self._scopes[assignment] = scope
            try:
                yield scope
            finally:
                del self._scopes[assignment]

    def stop(self, number: int, sub_node: int | None = None) -> list[Assignment]:
        """End a job's command, on every sub-node where it runs or on one of them.

        Args:
            number: of the job in the run.
            sub_node: the number of the one sub-node; None for all.

        Returns:
            The commands that are being ended.
        """
        meant = [
            assignment
            for assignment in self._scopes
            if assignment.number == number and sub_node in {None, assignment.sub_node.number}
        ]
        for assignment in meant:
            self._scopes[assignment].deadline = math.inf
            self._scopes[assignment].cancel(reason="this job was stopped")
        return meant

    def stop_waiting(self, number: int, sub_node: int | None = None) -> list[Assignment]:
        """End a job that was taken and waits for another try; its last outcome stays.

        Args:
            number: of the job in the run.
            sub_node: the number of the one sub-node on which it was tried last; None for all.

        Returns:
            What was tried before.
        """
        return self._stop_waiting(number, sub_node)

    def on_stop(self, stop_waiting: StopWaiting) -> None:
        """Let somebody end the waiting of jobs."""
        self._stop_waiting = stop_waiting


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is given.

    Attributes:
        name: of the run.
        sub_nodes: at least one.
        open_session: opens a way into a sub-node; raises NodeUnreachable.
        queue: where jobs come from.
        fill: gives a job's command for a sub-node, checked; raises TemplateFault.
        listener: is told what happens.
        drain: ends the taking.
        daemon: whether an empty queue is waited on until stopped.
        error_aborts: whether the first failure drains.
        retries: how often a job that failed, timed out or was lost is tried again.
        timeout: seconds after which a command is ended.
        running: the commands that run now.
        roster: gives the sub-nodes anew when they change, by their hostnames and parameters; in
            queue mode new ones join, and ones that are gone leave after their command.
    """

    name: str
    sub_nodes: Sequence[SubNode]
    open_session: Callable[[SubNode], AbstractAsyncContextManager[Session]]
    queue: Queue
    fill: Callable[[Job, SubNode], Command]
    listener: Listener
    drain: Drain = field(default_factory=Drain)
    daemon: bool = False
    error_aborts: bool = False
    retries: int = 0
    timeout: float = math.inf
    running: Running = field(default_factory=Running)
    roster: trio.MemoryReceiveChannel[Sequence[SubNode]] | None = None
