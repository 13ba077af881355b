"""The input of a run: its sub-nodes, queue, sessions, listener and settings."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import trio

from pegasus.dispatch.detached import Inherited, Owner, Stray, persist_nothing
from pegasus.dispatch.ending import Ending
from pegasus.dispatch.ports import (
    Queue,
    RenderJob,
    ResumedSteps,
    RetriesAfter,
    Session,
    always,
)
from pegasus.dispatch.sharing import (
    NOTHING_SHARED,
    OPEN_BARRIERS,
    BarrierJudge,
    SharedHolds,
)
from pegasus.events import Listener
from pegasus.model import Assignment, SubNode
from pegasus.share import Share


@dataclass(frozen=True, slots=True)
class Run:
    """The input of a run.

    Attributes:
        name: of the run.
        sub_nodes: at least one, or some are requested.
        open_session: connects to a sub-node; raises NodeUnreachable.
        queue: the source of jobs.
        fill: renders a job for a sub-node; raises TemplateFault.
        listener: gets the events and the output.
        ending: ends the run early.
        daemon: whether the run waits for more jobs when the queue is empty.
        max_failures: the run is drained once so many jobs have failed permanently; None: never.
        known_jobs: gives how many jobs are known, taken or in the queue; None while that is not
            counted. Only a percentage in ``max_failures`` needs it.
        retries: how often a job that failed, timed out or was lost is tried again.
        retries_after: decides about each such job whether it is tried again.
        timeout: seconds after which a command is ended.
        detached: whether the run's commands are detached.
        give_up: seconds without a connection after which a detached command counts as lost.
        persist: returns once all events, and the output of a command, are on the disk.
        inherited: the detached commands of earlier runs that are followed to their end.
        strays: folders that earlier runs left on nodes, to be removed.
        sub_node_updates: gives all sub-nodes, by hostname and parameters, whenever they change. In
            queue mode new sub-nodes join the run, and removed ones leave it after their command.
        batch: on how many sub-nodes a step of a broadcast runs at a time; None for all.
        max_unreachable: how many sub-nodes a broadcast does without; None where it ends if it
            cannot reach one at the start, and waits for each one later.
        gpu_busy: MiB; a GPU of which others use more memory is not used.
        shared: tells the runs of one queue what each of them holds.
        barriers: decides whether a barrier may open.
        on_idle: is called again and again while a daemon runs nothing and has nothing to take.
        requested: gives the sub-nodes that stand for nodes which may join the run later.
        resumed: gives, once all sub-nodes are ready or missing, the steps of an earlier broadcast
            that are not done, in order; raises PegasusError. None where no broadcast is continued.
    """

    name: str
    sub_nodes: Sequence[SubNode]
    open_session: Callable[[SubNode], AbstractAsyncContextManager[Session]]
    queue: Queue
    fill: RenderJob
    listener: Listener
    ending: Ending = field(default_factory=Ending)
    daemon: bool = False
    max_failures: Share | None = None
    known_jobs: Callable[[], int | None] = lambda: None
    retries: int = 0
    retries_after: RetriesAfter = always
    timeout: float = math.inf
    detached: bool = False
    give_up: float = math.inf
    persist: Callable[[Assignment], Awaitable[None]] = persist_nothing
    inherited: Sequence[Inherited] = ()
    strays: Sequence[Stray] = ()
    sub_node_updates: trio.MemoryReceiveChannel[Sequence[SubNode]] | None = None
    batch: int | None = None
    max_unreachable: int | None = None
    resumed: ResumedSteps | None = None
    gpu_busy: int = 500
    shared: SharedHolds = NOTHING_SHARED
    barriers: BarrierJudge = OPEN_BARRIERS
    requested: Callable[[], Sequence[SubNode]] = tuple
    on_idle: Callable[[], None] = lambda: None

    @property
    def owner(self) -> Owner:
        """This run, as the owner of its detached commands."""
        return Owner(self.name, self.listener, self.persist)
