"""The lanes of sub-nodes with pools: further workers, so that several commands run at once.

Rule 1: a lane is a worker like any other, with a shell of its own; the connection is shared below
(see ``transport``). The first lane alone reports whether the sub-node is connected.
Rule 2: there are as many lanes as commands run, and some more where slots are free. A lane is never
closed before its sub-node leaves: an idle shell costs little, and opening one takes a round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pegasus.dispatch.worker import Worker
from pegasus.model import Assignment, Command, Job, Pool, SlotsHeld, SubNode


@dataclass(frozen=True, slots=True)
class Pick:
    """A job that was placed.

    Attributes:
        job: the job.
        worker: the lane that gets it.
        slots: what it holds.
    """

    job: Job
    worker: Worker
    slots: SlotsHeld = ()

    def assignment(self, number: int, job: Job, command: Command) -> Assignment:
        """Give the assignment of a job to it.

        Args:
            number: of the job.
            job: as it was taken.
            command: the job, rendered for its sub-node and slots.
        """
        return Assignment(number, job, self.worker.sub_node, command, slots=self.slots)


SPARE_LANES = 8
"""Lanes that are opened in advance for free slots: what one connection takes, see ``transport``."""


def lanes_missing(
    workers: Sequence[Worker], free: Callable[[Worker], int]
) -> Mapping[Worker, range]:
    """Find how many lanes sub-nodes lack.

    Args:
        workers: all of the run.
        free: how many slots of a sub-node are free, as far as is known.

    Returns:
        For the first lane of a sub-node the numbers of the lanes to add.
    """
    lanes: dict[int, list[Worker]] = {}
    for worker in workers:
        if worker.sub_node.pools and not worker.leaving:
            lanes.setdefault(worker.sub_node.number, []).append(worker)
    missing = {}
    for each in lanes.values():
        first = each[0]
        busy = sum(worker.is_busy for worker in each)
        wanted = busy + min(SPARE_LANES, max(1, free(first)))
        if len(each) < wanted:
            start = max(worker.lane for worker in each) + 1
            missing[first] = range(start, start + wanted - len(each))
    return missing


def size_of(sub_node: SubNode, known: Callable[[Pool], int | None]) -> int:
    """Count the slots of a sub-node, as far as they are known.

    Args:
        sub_node: it.
        known: how many slots a pool has that the node was asked for; None before its answer.
    """
    return sum(
        len(pool.ids) if pool.kind == "fixed" else known(pool) or 0 for pool in sub_node.pools
    )
