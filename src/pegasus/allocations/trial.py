"""What Slurm says about a request that is not submitted."""

from __future__ import annotations

from pegasus.allocations.client import AsksSlurm, SlurmMissing, SlurmRefused, SlurmSilent
from pegasus.allocations.request import AllocationRequest


async def try_request(request: AllocationRequest, slurm: AsksSlurm) -> tuple[bool, str]:
    """Ask Slurm about a request; nothing is submitted.

    Args:
        request: an entry of the hosts file.
        slurm: is asked.

    Returns:
        Whether Slurm would accept it; and its words, or why it would not.
    """
    try:
        return True, await slurm.test(request)
    except (SlurmMissing, SlurmRefused, SlurmSilent) as error:
        return False, str(error)
