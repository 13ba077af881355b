"""Chooses which of the waiting jobs goes to which ready sub-node.

Rule 1: pure; it starts nothing, waits for nothing and changes nothing.
Rule 2: a job prefers a sub-node that has not tried it, also one that is busy at present.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from pegasus.model import SubNode


class Candidate(Protocol):
    """A job that waits for a sub-node."""

    @property
    def tried_on(self) -> Collection[int]:
        """The numbers of the sub-nodes that have tried it."""


CandidateT = TypeVar("CandidateT", bound=Candidate)


def choose(
    jobs: Iterable[CandidateT],
    ready: Sequence[SubNode],
    connected: Sequence[SubNode],
    can_run: Callable[[CandidateT, SubNode], bool],
) -> list[tuple[CandidateT, SubNode]]:
    """Pair waiting jobs with ready sub-nodes.

    Args:
        jobs: the waiting jobs, in the order in which they are served.
        ready: the sub-nodes that can start a command now, in the order in which they are used.
        connected: all sub-nodes that are connected and stay in the run, ready or busy.
        can_run: whether a job can be rendered for a sub-node.

    Returns:
        Each chosen job with its sub-node. A job is left out where no ready sub-node can run it, or
        where it waits for a busy one that has not tried it.
    """
    free = list(ready)
    pairs: list[tuple[CandidateT, SubNode]] = []
    for job in jobs:
        if not free:
            break
        chosen = _choose_one(job, free, connected, can_run)
        if chosen is not None:
            free.remove(chosen)
            pairs.append((job, chosen))
    return pairs


def _choose_one(
    job: CandidateT,
    free: Sequence[SubNode],
    connected: Sequence[SubNode],
    can_run: Callable[[CandidateT, SubNode], bool],
) -> SubNode | None:
    tried = job.tried_on

    def first(sub_nodes: Sequence[SubNode], *, untried: bool) -> SubNode | None:
        for sub_node in sub_nodes:
            if (not untried or sub_node.number not in tried) and can_run(job, sub_node):
                return sub_node
        return None

    if (chosen := first(free, untried=True)) is not None:
        return chosen
    if first(connected, untried=True) is not None:
        return None
    return first(free, untried=False)
