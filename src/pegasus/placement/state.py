"""What a round of the choice sees: sub-nodes and their slots at one moment.

Rule 1: a round reads these and does not change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pegasus.model import PoolKind, Slot, SubNode


@dataclass(slots=True)
class PoolState:
    """The slots of one pool on a machine.

    Attributes:
        name: of the pool.
        kind: of the pool.
        free: nobody holds them, and a probe, where the kind needs one, has just said so; in the
            order of the pool.
        unverified: nobody holds them, but a probe is needed before they may be used.
        held: how many are held by commands of this run or of other runs; they will become free.
        unusable: how many are used by others, or could not be probed; nobody knows whether they
            will become free.
        size_known: whether these are all; False before the first answer of a probe, while it fails,
            and of a probe that prints only what is free.
        why: what is known about the unusable ones, as a part of a sentence: "gpu 2 is used by
            others"; may be empty.
    """

    name: str
    kind: PoolKind = "fixed"
    free: Sequence[Slot] = ()
    unverified: Sequence[Slot] = ()
    held: int = 0
    unusable: int = 0
    size_known: bool = True
    why: str = ""


@dataclass(slots=True)
class NodeState:
    """A connected sub-node.

    Attributes:
        sub_node: the sub-node.
        lanes: how many shells are ready.
        may_grow: whether more shells can be opened. Without pools it is False: a sub-node that is
            busy has no ready shell.
        pools: by name. Sub-nodes on one machine share the object of a pool that both describe in
            the same way.
        slotless: how many more jobs without slots it takes; only used where it has pools.
        place: the machine. Sub-nodes with the same place share the slots of pools of one name,
            also where they describe the pool differently. Empty: it shares with none.
    """

    sub_node: SubNode
    lanes: int = 1
    may_grow: bool = False
    pools: Mapping[str, PoolState] = field(default_factory=dict)
    slotless: int = 0
    place: str = ""
