"""Where the jobs of a queue can run, whatever is free.

Rule 1: what many jobs have in common is computed once: a queue may have a million entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from pegasus.demand import COUNT_SUFFIX, example_slots, fits_on
from pegasus.model import Demand, Job, Needs, SubNode, Where
from pegasus.rendered import Values

MOST_KEPT = 100
"""Different demands whose sub-nodes are kept; a queue has few."""

_PlaceKey: TypeAlias = tuple[Needs | None, Where]


class Places:
    """The sub-nodes on which jobs can run, and what a job would see there.

    Args:
        sub_nodes: all of the run.
    """

    def __init__(self, sub_nodes: Sequence[SubNode]) -> None:
        self.sub_nodes = sub_nodes
        self.pools = frozenset(pool.name for each in sub_nodes for pool in each.pools)
        self._fitting: dict[_PlaceKey, tuple[Sequence[SubNode], frozenset[str]]] = {}

    def of(self, demand: Demand) -> Sequence[SubNode]:
        """Give the sub-nodes on which a job with this demand can run."""
        return self._kept(demand)[0]

    def differing(self, demand: Demand) -> frozenset[str]:
        """Give the names whose values differ among the sub-nodes on which such a job can run.

        Those of slots differ on one sub-node from job to job.
        """
        return self._kept(demand)[1]

    def values(self, job: Job, sub_node: SubNode) -> Values:
        """Give the values of a job on a sub-node, with slots that it may get there."""
        return Values(job, sub_node, example_slots(job.demand, sub_node), self.pools)

    def _kept(self, demand: Demand) -> tuple[Sequence[SubNode], frozenset[str]]:
        key = (demand.needs, demand.where)
        if key not in self._fitting:
            if len(self._fitting) >= MOST_KEPT:
                self._fitting.clear()
            fitting = [each for each in self.sub_nodes if fits_on(demand, each)]
            self._fitting[key] = fitting, self._differing(fitting)
        return self._fitting[key]

    def _differing(self, sub_nodes: Sequence[SubNode]) -> frozenset[str]:
        every = [Values(Job(""), sub_node) for sub_node in sub_nodes]
        names = {name for values in every for name in values}
        params = {name for name in names if len({values.get(name) for values in every}) > 1}
        pools = {pool.name for each in sub_nodes for pool in each.pools}
        return frozenset(params | pools | {pool + COUNT_SUFFIX for pool in pools})
