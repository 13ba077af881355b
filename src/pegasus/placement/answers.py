"""What a round of the choice answers about a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pegasus.model import Demand, SlotsHeld, SubNode

Hints: TypeAlias = Mapping[Demand, tuple[int, ...]]
"""The numbers of the sub-nodes that were kept for the jobs of each demand, in their order."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A job starts now.

    Attributes:
        sub_node: where.
        slots: what it holds there.
    """

    sub_node: SubNode
    slots: SlotsHeld = ()


WaitReason: TypeAlias = Literal["kept", "slots", "lanes", "at_most", "absent", "unusable", "asking"]
"""Why a job waits: slots are kept for it on a sub-node; what it needs is held, or kept for others;
no shell is ready; enough jobs of its group run; the sub-nodes for it are not connected; others use
the slots; a node is being asked for its slots."""


@dataclass(frozen=True, slots=True)
class Waits:
    """A job does not fit yet.

    Attributes:
        words: what it waits for, as a sentence without its full stop.
        kept: the number of the sub-node on which slots are kept for it; None for none.
        reason: the same as the words, for programs.
    """

    words: str
    kept: int | None = None
    reason: WaitReason = "slots"
