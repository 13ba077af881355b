"""The end of an allocation: with its run, or because Slurm ends it.

Rule 1: commands that are being ended come first: what Slurm ends with an allocation is *lost*.
Rule 2: nothing here takes long: an allocation that stays ends by itself; see ``request``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio

from pegasus.allocation import COMPLETING
from pegasus.allocations.client import AllocationStatus, AsksSlurm, SlurmMissing, SlurmSilent
from pegasus.allocations.hooks import RequesterHooks

LEAVE_LIMIT = 15.0
"""Seconds for commands that are being ended before their allocation is cancelled: SIGTERM, and
SIGKILL ten seconds later."""

LEAVE_LOOK = 0.1
"""Seconds between two looks at the commands: the user waits for the end of the run."""

CANCEL_LIMIT = 20.0
"""Seconds for Slurm to accept a cancellation."""

SHORT_LIMIT = 3.0
"""Likewise, where this run has requested nothing."""

CANCEL_PAUSE = 1.0
"""Seconds between two tries."""

FINAL_LIMIT = 30.0
"""Seconds in which an allocation that ends gets its final state, which says why it has ended: as
long as slurmd gives its processes before SIGKILL (KillWait)."""

FINAL_PAUSE = 1.0
"""Seconds between two questions meanwhile."""


async def end_of(
    slurm: AsksSlurm, name: str, job: str, found: Sequence[AllocationStatus]
) -> AllocationStatus | None:
    """Give the status of an allocation once it is not being ended any more.

    Slurm may also have put it back into its queue.

    Args:
        slurm: asks Slurm.
        name: of the allocation.
        job: its id.
        found: what Slurm has said about the allocations of this name.

    Returns:
        The status; None where Slurm does not say it in time, or has forgotten it.
    """
    with trio.move_on_after(FINAL_LIMIT):
        while True:
            status = next((each for each in found if each.job == job), None)
            if status is None or status.state != COMPLETING:
                return status
            await trio.sleep(FINAL_PAUSE)
            with suppress(SlurmSilent):
                found = await slurm.named(name)
    return None


async def wait_unused(hooks: RequesterHooks, job: str) -> None:
    """Wait until no command runs on an allocation, for a limited time."""
    with trio.move_on_after(LEAVE_LIMIT):
        while hooks.use_of(job) == "busy" and not hooks.is_killed():  # noqa: ASYNC110 -- the dispatcher ends at the same time
            await trio.sleep(LEAVE_LOOK)


async def cancel_all(
    slurm: AsksSlurm, name: str, settled_at: float | None, *, is_killed: bool = False
) -> bool:
    """Cancel every allocation with a name; return False where Slurm has not accepted it.

    Args:
        slurm: asks Slurm.
        name: of the allocations.
        settled_at: when a request that was sent before is in Slurm's list, on Trio's clock; None
            where this run has sent none.
        is_killed: whether the run has to end at once.
    """
    limit = SHORT_LIMIT if settled_at is None or is_killed else CANCEL_LIMIT
    with trio.move_on_after(limit), suppress(SlurmMissing):
        while True:
            with suppress(SlurmSilent):
                found = [each for each in await slurm.named(name) if each.phase != "over"]
                for each in found:
                    await slurm.cancel(each.job)
                if found or settled_at is None or trio.current_time() >= settled_at:
                    return True
            await trio.sleep(CANCEL_PAUSE)
    return settled_at is None
