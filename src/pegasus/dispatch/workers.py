"""The workers of a run, and which of them follows what earlier runs have left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pegasus.dispatch.detached import DetachedCommand, Remains, Stray
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker import Worker, WorkerReports
from pegasus.dispatch.worker_states import Finished
from pegasus.events import Listener
from pegasus.model import SubNode


@dataclass(slots=True)
class _Place:
    """A sub-node, with what earlier runs have left there.

    Attributes:
        sub_node: the sub-node.
        listener: of the earlier run to which it belongs; None for one of this run.
        commands: detached commands.
        strays: folders to remove.
    """

    sub_node: SubNode
    listener: Listener | None = None
    commands: list[DetachedCommand] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)

    @property
    def may_run(self) -> bool:
        """Whether a command may run there."""
        return any(not command.is_reported for command in self.commands)


def make_workers(run: Run, reports: WorkerReports) -> tuple[list[Worker], list[Worker]]:
    """Make the workers of a run.

    A command of an earlier run goes to the worker of the same sub-node, so that nothing else runs
    there meanwhile; a second one on the same sub-node gets a worker of its own.

    Returns:
        One worker for each sub-node, and those that only follow.
    """
    places = [_Place(sub_node) for sub_node in run.sub_nodes]
    own = len(places)
    for inherited in run.inherited:
        command = DetachedCommand.inherit(inherited)
        sub_node = inherited.assignment.sub_node
        may_run = not command.is_reported
        place = _find(places, sub_node, free=may_run)
        if place is None:
            place = _Place(sub_node, inherited.owner.listener)
            places.append(place)
        place.commands.append(command)
    for stray in run.strays:
        place = _find(places, stray.sub_node, free=False)
        if place is None:
            place = _Place(stray.sub_node, stray.listener)
            places.append(place)
        place.strays.append(stray)
    workers = [
        Worker(place.sub_node, run, reports, Remains(place.commands, place.strays, place.listener))
        for place in places
    ]
    return workers[:own], workers[own:]


def _find(places: Sequence[_Place], sub_node: SubNode, *, free: bool) -> _Place | None:
    for place in places:
        if are_alike(place.sub_node, sub_node) and not (free and place.may_run):
            return place
    return None


def are_alike(one: SubNode, other: SubNode) -> bool:
    """Return whether two sub-nodes differ in nothing but their numbers."""
    return replace(one, number=other.number) == other


def use_of(allocation: str, workers: Iterable[Worker]) -> Literal["busy", "idle", "left"]:
    """Say whether commands run on a Slurm allocation, or its sub-nodes have left the run."""
    found = [
        each
        for each in workers
        if each.sub_node.slurm is not None
        and each.sub_node.slurm.job == allocation
        and not isinstance(each.state, Finished)
    ]
    if any(each.is_busy for each in found):
        return "busy"
    return "idle" if found else "left"
