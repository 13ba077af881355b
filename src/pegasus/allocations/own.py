"""The allocation in which Pegasus runs: what its nodes are, and when they get no more jobs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import trio

from pegasus import duration
from pegasus.allocation import COMPLETING
from pegasus.allocations.client import AllocationStatus, AsksSlurm, SlurmMissing, SlurmSilent
from pegasus.allocations.request import facts_of
from pegasus.allocations.timing import FIRST_LOOK
from pegasus.model import SubNode

LONGEST_LOOK = 60.0
"""Seconds between two questions: an administrator may change the time limit."""

FIRST_WAIT = 5.0
"""Seconds for the first answer; without one, what Slurm says about the nodes is not known."""


class OwnAllocation:
    """The allocation in which Pegasus runs.

    Args:
        job: its id.
        nodes: their names.
        slurm: asks Slurm.
        longest_job: seconds that a job may take with its end; 0 where that is not limited.
    """

    def __init__(
        self,
        job: str,
        nodes: Sequence[str],
        slurm: AsksSlurm,
        longest_job: float,
    ) -> None:
        self.job = job
        self.is_ending = False
        self._nodes, self._slurm, self._longest_job = nodes, slurm, longest_job
        self._status: AllocationStatus | None = None
        self._seen_at = 0.0
        self._features: dict[str, tuple[str, ...]] = {}
        self._woken = trio.Event()

    async def describe(self) -> None:
        """Ask Slurm about the nodes."""
        with trio.move_on_after(FIRST_WAIT):
            try:
                await self._look()
                self._features = await self._slurm.features(self._nodes)
            except (SlurmMissing, SlurmSilent):
                pass  # `where` accepts what is not known

    def look_soon(self) -> None:
        """Ask Slurm soon: something has changed."""
        self._woken.set()

    async def _look(self) -> None:
        self._status = await self._slurm.look(self.job)
        self._seen_at = trio.current_time()

    def described(self, sub_node: SubNode) -> SubNode:
        """Add what Slurm says about a node."""
        place = sub_node.slurm
        if place is None or self._status is None or sub_node.hostname not in self._features:
            return sub_node
        facts = facts_of(self._status.partition, self._features[sub_node.hostname])
        return replace(sub_node, slurm=replace(place, facts=facts))

    async def wait_end(self) -> str:
        """Wait until its nodes get no more jobs; return the words for the user."""
        while True:
            known, self._woken = self._status, trio.Event()
            with suppress(SlurmMissing, SlurmSilent):
                await self._look()
            status, pause = self._status, LONGEST_LOOK
            # One that Slurm never knew may be of another cluster.
            if known is not None and (status is None or status.phase == "over"):
                self.is_ending = True
                state = status.state if status is not None else ""
                why = "" if state in {"", COMPLETING} else f" ({state})"
                return f"Slurm allocation {self.job} has ended{why}: its nodes get no more jobs."
            if status is not None and status.phase == "running":
                now = status.later(trio.current_time() - self._seen_at)
                rest = now.left - now.margin(self._longest_job)
                if rest <= 0:
                    self.is_ending = True
                    left = duration.words(now.left)
                    return (
                        f"Slurm allocation {self.job} ends in {left}: its nodes get no more jobs."
                    )
                pause = min(pause, max(1.0, rest))
            with trio.move_on_after(pause):
                await self._woken.wait()
                await trio.sleep(FIRST_LOOK)
