"""The protocols by which dispatch uses a queue and sessions.

Rule 1: these protocols are all that dispatch requires of other packages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import trio

from pegasus.barriers import BarrierVerdict
from pegasus.detachment import Detachment
from pegasus.errors import FileFault, PegasusError
from pegasus.events import Printed
from pegasus.model import (
    Apart,
    Assignment,
    Barrier,
    Command,
    Job,
    Outcome,
    SlotsHeld,
    StepOrigin,
    SubNode,
    TakenJob,
)
from pegasus.picker import Picker


class RenderJob(Protocol):
    """Renders a job for a sub-node."""

    def __call__(self, job: Job, sub_node: SubNode, slots: SlotsHeld = (), /) -> Command:
        """Give the command; raises TemplateFault.

        Args:
            job: the job.
            sub_node: where it runs.
            slots: what it holds there.
        """


RetriesAfter: TypeAlias = Callable[[Assignment, Outcome], bool]
"""Decides whether a job is tried again after a try that failed."""


def always(_assignment: Assignment, _outcome: Outcome) -> bool:
    """Try each job again."""
    return True


@dataclass(frozen=True, slots=True)
class ResumedStep:
    """A step of an earlier broadcast that is not done on each sub-node of this one.

    Attributes:
        origin: where it was taken from the queue.
        job: the job, as it was taken.
        needed: the numbers of the sub-nodes on which it is not done.
    """

    origin: StepOrigin
    job: Job
    needed: frozenset[int]


ResumedSteps: TypeAlias = Callable[[Collection[int]], Awaitable[Sequence[ResumedStep]]]
"""Finds the steps of an earlier broadcast that are not done, in their order. It gets the numbers of
the sub-nodes that are missing: they run nothing, so what may still run there does not matter."""


class Shell(Protocol):
    """A shell on a sub-node that runs one command at a time."""

    @property
    def key(self) -> str | None:
        """The name of the folder that is ready for the next command; None: it is not detached."""

    async def wait_key(self) -> None:
        """Wait until the folder for the next command is made; only needed for detached commands.

        Raises:
            NodeUnreachable: the node cannot make it. Commands can be followed nevertheless.
        """

    @property
    def is_dismissed(self) -> bool:
        """Whether the shell has ended as it should, and has removed the folder it had prepared."""

    @property
    def seconds(self) -> float | None:
        """How long the last detached command ran, as its node measured it; None if unknown."""

    @property
    def begun(self) -> bool:
        """Whether the command has begun, has ended, or cannot begin any more."""

    async def wait_begun(self) -> None:
        """Wait until the command has begun, or cannot begin any more."""

    async def wait_broken(self) -> None:
        """Wait until the shell is gone."""

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Callable[[Printed], Awaitable[None]],
        kill_now: trio.Event,
        detachment: Detachment | None = None,
    ) -> Outcome | Apart:
        """Run a command, and return once its outcome is known.

        The command is handed over before the first checkpoint. Cancelled, this ends the command
        before it raises; it only stops following a detached one, which goes on.

        Args:
            assignment: what to run. Its key is None unless it is detached.
            run_name: the run's name, for the command's environment.
            show: gets the command's output.
            kill_now: once set, a command that is being ended gets SIGKILL at once.
            detachment: how a detached command is run or followed; None for another one.

        Returns:
            The outcome. Only for a detached command ``Apart``: the connection broke, or the node
            does not answer, and the command may run. A detached command that was ended through
            ``stop`` is ``Cancelled``, one that its limit ended is ``TimedOut``.
        """

    async def release(self, key: str) -> bool:
        """Remove the folder of a detached command that has ended; return whether it is gone."""

    async def wait_next(self) -> bool:
        """Wait until the shell has finished its command; return whether it takes another one."""


class Session(Protocol):
    """An open connection to a sub-node."""

    @property
    def place(self) -> str:
        """The identity of the node: the same for all sub-nodes on one machine in this run.

        Over SSH this is the host and the port that ssh connects to; a machine that is reached in
        two ways, by two addresses for example, counts as two.
        """

    def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AbstractAsyncContextManager[Shell]:
        """Start a shell that waits for a command.

        Args:
            on_key: None for commands that end with the shell. Otherwise its commands are detached,
                and this is called with the name of each folder before the node is asked for it.

        Raises:
            NodeUnreachable: the shell could not be started.
        """


class Batch(Protocol):
    """The result of a take."""

    @property
    def jobs(self) -> Sequence[TakenJob]:
        """The jobs that were taken, in the order in which they were picked."""

    @property
    def fault(self) -> PegasusError | None:
        """Why the next job could not be taken, if there is a reason."""

    @property
    def refused(self) -> Sequence[FileFault]:
        """Why jobs that stay in the queue can run nowhere; those after them were looked at."""

    @property
    def barrier(self) -> Barrier | None:
        """The barrier that is the first thing in the queue now; None where there is another."""

    @property
    def is_complete(self) -> bool:
        """Whether all jobs were looked at that can be taken: up to the end, a barrier or a fault.

        Otherwise the picker was full before.
        """


class Queue(Protocol):
    """The source of jobs. It numbers, records and reports the jobs that it gives."""

    async def take(self, picker: Picker) -> Batch:
        """Take the jobs that a picker picks. A take that is cancelled has taken nothing.

        Raises:
            PegasusError: nothing can be taken at present; nothing was taken.
        """

    def take_again(self, job: Job, origin: StepOrigin) -> int:
        """Number, record and report a job that an earlier run has taken; never waits.

        Args:
            job: as it was taken.
            origin: where it was taken from the queue.

        Returns:
            Its number in this run.
        """

    async def pass_barrier(
        self, barrier: Barrier, judge: Callable[[], BarrierVerdict]
    ) -> BarrierVerdict | None:
        """Remove a barrier if it is the first thing in the queue, and may open.

        Args:
            barrier: the barrier.
            judge: is asked in a thread, while nothing can be taken by any run.

        Returns:
            The last verdict: the barrier is gone if it is ``BarrierOpen``. None if it was not the
            first thing in the queue.

        Raises:
            PegasusError: it cannot be removed at present.
        """

    async def is_empty(self) -> bool:
        """Return whether there is no job, no barrier and no fault; takes nothing.

        Raises:
            PegasusError: the queue cannot be read at present.
        """

    def changed(self) -> bool:
        """Return whether the queue may have changed since the last take."""

    @property
    def pending(self) -> str:
        """A sentence about an entry that is not completely written yet; empty without one."""
