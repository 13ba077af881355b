"""What the task that has an allocation needs of its run."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from pegasus.allocations.request import AllocationRequest
from pegasus.events import Event

AllocationUse: TypeAlias = Literal["busy", "idle", "left"]
"""Whether commands run on an allocation, or its nodes wait for some, or have left the run."""


class RequesterHooks(Protocol):
    """What a requester needs of its run."""

    def note(self, words: str) -> None:
        """Tell the user."""

    def report(self, event: Event) -> None:
        """Tell the run what has happened."""

    def publish(self) -> None:
        """Tell the dispatcher that sub-nodes have changed."""

    def use_of(self, job: str) -> AllocationUse:
        """Say what the dispatcher does with the nodes of an allocation."""

    def is_taking(self) -> bool:
        """Tell whether the run takes jobs."""

    def is_killed(self) -> bool:
        """Tell whether the run was killed, and has to end at once."""

    def has_other_nodes(self) -> bool:
        """Tell whether the run can go on without this allocation."""

    async def has_work(self, request: AllocationRequest) -> bool:
        """Tell whether a job waits that could run on the nodes of a request."""

    def longest_job(self) -> float:
        """Give the seconds that a job may take with its end; 0 where there is no limit."""

    async def lost_allocation(self, job: str, words: str) -> None:
        """Handle an allocation that has ended while the run could use it."""
