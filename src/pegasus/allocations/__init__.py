"""The Slurm allocations of a run: those that Pegasus requests, and the one in which it runs.

Rule 1: Slurm decides who gets which nodes and for how long; here is decided when to ask for an
allocation, when its nodes get no more jobs, and when it is given back.
Rule 2: an entry of the hosts file has one allocation at most, also when several runs, or a run that
was killed, have requested it: a lock says whose it is, and its name at Slurm tells it from others.
Rule 3: what Slurm does not answer is no reason to end a run, or to request something twice.
``docs/why/allocations.md`` has the reasons.
"""

from __future__ import annotations

from pegasus.allocations.allocations import AllocationLimits, AllocationPorts, Allocations
from pegasus.allocations.client import SlurmClient
from pegasus.allocations.making import make_allocations
from pegasus.allocations.request import AllocationRequest, is_requested, requests_of
from pegasus.allocations.trial import try_request

__all__ = [
    "AllocationLimits",
    "AllocationPorts",
    "AllocationRequest",
    "Allocations",
    "SlurmClient",
    "is_requested",
    "make_allocations",
    "requests_of",
    "try_request",
]
