"""The choice of jobs: which of them starts now, on which sub-node, with which slots.

Rule 1: pure: it starts nothing, waits for nothing, and changes nothing that it was given.
Rule 2: from the top of the queue: the first job that fits somewhere starts. What a job keeps for
itself while it waits, no job below it gets.
``docs/why/placement.md`` has the reasons, and what was measured.
"""

from __future__ import annotations

from pegasus.placement.answers import Hints, Placed, WaitReason, Waits
from pegasus.placement.round import WAITS_LISTED, Round
from pegasus.placement.state import NodeState, PoolState
from pegasus.placement.words import waits_for_others

__all__ = [
    "WAITS_LISTED",
    "Hints",
    "NodeState",
    "Placed",
    "PoolState",
    "Round",
    "WaitReason",
    "Waits",
    "waits_for_others",
]
