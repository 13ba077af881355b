"""The Slurm allocations of a run, in words."""

from __future__ import annotations

from pegasus.events import AllocationChanged


def allocation_words(allocation: AllocationChanged) -> str:
    """Say what an allocation does: ``Slurm allocation 12 (--nodes=2) waits: Priority``."""
    named = f"Slurm allocation {allocation.job}"
    if allocation.request:
        named += f" ({allocation.request})"
    match allocation.state:
        case "waiting":
            return f"{named} waits" + (f": {allocation.words}" if allocation.words else "")
        case "running":
            return f"{named} runs"
        case "draining":
            return f"{named} gets no more jobs"
        case "over":
            return f"{named} has ended" + (f" ({allocation.words})" if allocation.words else "")
