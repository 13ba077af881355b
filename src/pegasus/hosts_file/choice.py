"""What a command line says about the sub-nodes: which ones, and how commands are started there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pegasus.hosts_file.limit import NO_LIMIT, SubNodeLimit
from pegasus.launch import NO_LAUNCH, Launch, merged
from pegasus.model import SubNode


@dataclass(frozen=True, slots=True)
class HostsChoice:
    """The options of a run about its sub-nodes.

    Attributes:
        limit: what ``--limit`` chooses.
        launch: how commands are started where neither their entry nor their node says it.
    """

    limit: SubNodeLimit = NO_LIMIT
    launch: Launch = NO_LAUNCH

    def of(self, every: Sequence[SubNode]) -> tuple[SubNode, ...]:
        """Give the sub-nodes of the run.

        Raises:
            PegasusError: the limit chooses none.
        """
        chosen = self.limit.choose(every)
        return tuple(replace(each, launch=merged(each.launch, self.launch)) for each in chosen)


NO_CHOICE = HostsChoice()
"""All sub-nodes, as the file describes them."""
