"""Submits the requests of one entry: when there is work, and never twice.

Rule 1: a request whose fate is unknown is looked for before there is another one.
Rule 2: what is of no use is repeated after a pause, which gets longer.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from pegasus.allocations.client import AsksSlurm, SlurmMissing, SlurmRefused, SlurmSilent
from pegasus.allocations.hooks import RequesterHooks
from pegasus.allocations.request import AllocationRequest, holder_script
from pegasus.allocations.timing import LISTED_AFTER, WORK_AGE, RequestPause


class Submission:
    """Submits requests.

    Args:
        slurm: gets them.
        hooks: the run.
        say_once: tells the user, unless it was told before.

    Attributes:
        pause: before the next request.
        is_unsure: whether Slurm may have an allocation that is not known here.
        hopeless: why there will be no allocation in this run; empty while there may be one.
    """

    def __init__(
        self, slurm: AsksSlurm, hooks: RequesterHooks, say_once: Callable[[str], None]
    ) -> None:
        self.pause = RequestPause()
        self.is_unsure = True  # an allocation of an earlier run may be there
        self.hopeless = ""
        self._slurm, self._hooks, self._say_once = slurm, hooks, say_once
        self._settled_at = -inf
        self._was_accepted = False
        self._work_since: float | None = None

    @property
    def sent_until(self) -> float | None:
        """When a request that was sent without an answer is in Slurm's list; None without one."""
        return self._settled_at if self._settled_at > -inf else None

    @property
    def is_settled(self) -> bool:
        """Whether Slurm's list has each request that was sent."""
        return trio.current_time() >= self._settled_at

    def settle(self) -> None:
        """Note that Slurm's list has shown whether there is an allocation."""
        self.is_unsure, self._settled_at = False, -inf

    def forget_work(self) -> None:
        """Wait again until there has been work for some time."""
        self._work_since = None

    async def submit(self, request: AllocationRequest, name: str) -> str | None:
        """Request an allocation, if there is work for it and no pause; give its id.

        Args:
            request: the entry.
            name: of its allocations at Slurm.

        Raises:
            SlurmMissing: Slurm's programs cannot be started.
        """
        if not (self._hooks.is_taking() and self.pause.is_over):
            return None
        now = trio.current_time()
        if not await self._hooks.has_work(request):
            self._work_since = None
            return None
        if self._work_since is None:
            self._work_since = now
        if self._hooks.has_other_nodes() and now - self._work_since < WORK_AGE:
            return None
        return await self._send(request, name)

    async def _send(self, request: AllocationRequest, name: str) -> str | None:
        self.is_unsure, self._settled_at = True, trio.current_time() + LISTED_AFTER
        try:
            # Shielded: a request that is interrupted may or may not have reached Slurm.
            with trio.CancelScope(shield=True):
                job = await self._slurm.submit(request.argv(name), holder_script())
        except SlurmMissing:
            self.settle()
            raise
        except SlurmRefused as error:
            self.settle()
            self._refuse(request, str(error))
            return None
        except SlurmSilent as error:
            self._settled_at = trio.current_time() + LISTED_AFTER
            self.pause.begin()
            self._say_once(
                f"{request.title}: no answer to the request: {error}. Slurm is asked whether it "
                "has it before there is another one."
            )
            return None
        self.settle()
        self._was_accepted = True
        return job

    def _refuse(self, request: AllocationRequest, words: str) -> None:
        """Handle the refusal of a request: a limit of the site, or an option that is wrong."""
        if not self._hooks.has_other_nodes() and not self._was_accepted:
            self.hopeless = (
                f"Slurm refuses the allocation: {words}. `pegasus check --connect` shows the "
                "request, and Slurm's answer to it."
            )
            return
        self._say_once(
            f"{request.title} refuses the allocation: {words}. It is requested again later."
        )
        self.pause.begin_longer()
