"""The allocations of a run, with what they need of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pegasus.allocations.allocations import AllocationLimits, AllocationPorts, Allocations
from pegasus.allocations.client import SlurmClient
from pegasus.allocations.hooks import AllocationUse
from pegasus.allocations.work import WaitingWork
from pegasus.dispatch import Dispatcher, Ending, Stage, use_of
from pegasus.events import Listener
from pegasus.model import Demand, SubNode
from pegasus.queue_file import QueueFile
from pegasus.record.recording import Record


class RunAllocations(Allocations):
    """The allocations of a run.

    Attributes:
        dispatcher: of the run, once there is one.
    """

    dispatcher: Dispatcher | None = None


class OpenedFiles(Protocol):
    """What a run has opened before its allocations."""

    @property
    def sub_nodes(self) -> Sequence[SubNode]:
        """Those of the hosts file, with those that stand for requests."""

    @property
    def queue(self) -> QueueFile:
        """The queue file."""

    @property
    def record(self) -> Record:
        """The record of the run."""

    @property
    def listener(self) -> Listener:
        """Gets the events of the run."""

    def note(self, words: str) -> None:
        """Tell the user."""


def make_allocations(
    opened: OpenedFiles, ending: Ending, limits: AllocationLimits
) -> RunAllocations:
    """Make the allocations of a run.

    Args:
        opened: the files of the run.
        ending: the end of the run.
        limits: of the run.
    """

    def use(job: str) -> AllocationUse:
        return use_of(job, made.dispatcher.workers) if made.dispatcher else "idle"

    def waiting() -> list[Demand]:
        jobs = made.dispatcher.retries.waiting if made.dispatcher else ()
        return [each.job.demand for each in jobs]

    def is_paused() -> bool:
        return made.dispatcher is not None and made.dispatcher.pausing.is_paused

    ports = AllocationPorts(
        opened.note,
        opened.listener.tell,
        lambda: ending.stage is Stage.TAKING,
        use,
        WaitingWork(opened.queue, waiting, is_paused),
        ending.drain,
        opened.queue.real.name,
        ending.kill_now.is_set,
    )
    folder = opened.record.folder
    locks = folder.path.parent if folder else None
    made = RunAllocations(opened.sub_nodes, locks, SlurmClient(), ports, limits)
    return made
