"""Who holds which slot in a run, and what the nodes said of the others.

Rule 1: pure. What a probe says of a slot counts only while no command of the run holds it.
Rule 2: sub-nodes with the same hostname are one machine: their pools of one name are one pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from pegasus.events import Probed, SlotSeen
from pegasus.model import Assignment, Pool, Slot, SubNode

Machine: TypeAlias = str
"""What sub-nodes of one machine have in common, as far as a record tells."""


def slots_counted(assignment: Assignment) -> int:
    """Count the slots of the first pool that a command holds; 1 on a sub-node without pools.

    A second of a command counts as that many seconds of its sub-node.
    """
    return len(assignment.slots[0].slots) if assignment.slots else 1


def machine_of(sub_node: SubNode) -> Machine:
    """Identify the machine of a sub-node; this one has several names, and here the empty one."""
    return "" if sub_node.transport == "local" else sub_node.hostname


@dataclass(slots=True, eq=False)
class PoolSeen:
    """What a node said last of a pool.

    Attributes:
        seen: its slots, by the last answer that was valid; without users that were our own.
        words: why no slot counts as free, by the last answer; empty where that was valid.
        at: when it came, in seconds since the epoch.
    """

    seen: tuple[SlotSeen, ...] = ()
    words: str = ""
    at: float = 0.0

    def add(self, event: Probed, held: set[str], at: float) -> None:
        """Take a new answer.

        Args:
            event: the answer.
            held: the keys of the slots that commands of the run hold.
            at: when it came.
        """
        self.words, self.at = event.words, at
        if not event.words:
            self.seen = tuple(
                SlotSeen(each.slot) if each.slot.key in held else each for each in event.seen
            )


@dataclass(frozen=True, slots=True)
class SlotUse:
    """A slot, and who uses it.

    Attributes:
        slot: the slot.
        job: the number of the job that holds it; None where none does.
        used_by: who else uses it; empty where nobody does, or where a job holds it.
    """

    slot: Slot
    job: int | None = None
    used_by: str = ""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """The slots of one pool of a machine, at one moment.

    Attributes:
        sub_nodes: those that share it, in the order of their numbers.
        pool: as the first of them has it.
        slots: all that are known, in their order.
        is_known: whether the node has said, or the hosts file says, which slots there are.
        words: why no slot counts as free; empty where they are known.
        at: when the node was asked last; None where it was not.
    """

    sub_nodes: tuple[SubNode, ...]
    pool: Pool
    slots: tuple[SlotUse, ...]
    is_known: bool
    words: str = ""
    at: float | None = None

    @property
    def name(self) -> str:
        """Its machine for people: the sub-node, or what its sub-nodes have in common."""
        return str(self.sub_nodes[0]) if len(self.sub_nodes) == 1 else self.sub_nodes[0].hostname

    @property
    def is_first(self) -> bool:
        """Whether it is the first pool of its sub-nodes."""
        return self.sub_nodes[0].pools[0].name == self.pool.name

    @property
    def held(self) -> list[SlotUse]:
        """The slots that commands of the run hold."""
        return [each for each in self.slots if each.job is not None]

    @property
    def used(self) -> list[SlotUse]:
        """The slots that others use."""
        return [each for each in self.slots if each.used_by]

    @property
    def free(self) -> list[SlotUse]:
        """The slots that a job could get; none where the node does not say."""
        if self.words:
            return []
        return [each for each in self.slots if each.job is None and not each.used_by]


@dataclass(slots=True, eq=False)
class _PoolSoFar:
    """What is known of a pool of a machine while its sub-nodes are looked at."""

    sub_nodes: list[SubNode] = field(default_factory=list)
    pool: Pool | None = None
    slots: dict[str, SlotUse] = field(default_factory=dict)
    is_known: bool = False
    words: str = ""
    at: float | None = None

    def add(self, sub_node: SubNode, pool: Pool, answer: PoolSeen | None) -> None:
        """Take a sub-node that has the pool, and what it said last."""
        self.sub_nodes.append(sub_node)
        self.pool = self.pool or pool
        if answer is not None and (self.at is None or answer.at >= self.at):
            self.words, self.at = answer.words, answer.at
        for each in _seen_of(pool, answer):
            self.slots[each.slot.key] = SlotUse(each.slot, None, each.used_by)
        self.is_known = self.is_known or pool.kind == "fixed" or bool(answer and answer.seen)

    def hold(self, slots: Iterable[Slot], job: int) -> None:
        """Take slots that a command holds, also those that have disappeared since."""
        for each in slots:
            self.slots[each.key] = SlotUse(each, job)

    def lend(self, slots: Iterable[Slot], words: str) -> None:
        """Take slots that a command of another run holds, where it is known which there are."""
        for each in slots if self.is_known else ():
            self.slots[each.key] = SlotUse(each, None, words)

    def use(self) -> PoolUse:
        """Give the pool as it is now."""
        if self.pool is None:
            raise ValueError("no sub-node has this pool")
        slots = tuple(self.slots.values())
        nodes = tuple(self.sub_nodes)
        return PoolUse(nodes, self.pool, slots, self.is_known, self.words, self.at)


def _seen_of(pool: Pool, answer: PoolSeen | None) -> Iterable[SlotSeen]:
    """Give the slots of a pool, free as far as nothing else is said."""
    if answer is not None and answer.seen:
        return answer.seen
    return [SlotSeen(Slot(each)) for each in pool.ids] if pool.kind == "fixed" else []


def pool_uses(
    sub_nodes: Iterable[tuple[SubNode, dict[str, PoolSeen]]],
    running: Iterable[Assignment],
    beside: Iterable[tuple[str, Assignment]] = (),
) -> list[PoolUse]:
    """Give the pools of all machines, in the order of their sub-nodes.

    Args:
        sub_nodes: each with the last answers about its pools, by their names.
        running: the commands that hold slots.
        beside: commands of other runs that hold slots, each with words for it.
    """
    found: dict[tuple[Machine, str], _PoolSoFar] = {}
    for sub_node, answers in sub_nodes:
        for pool in sub_node.pools:
            known = found.setdefault((machine_of(sub_node), pool.name), _PoolSoFar())
            known.add(sub_node, pool, answers.get(pool.name))
    for words, assignment in beside:
        for held in assignment.slots:
            if so_far := found.get((machine_of(assignment.sub_node), held.pool)):
                so_far.lend(held.slots, words)
    for assignment in running:
        for held in assignment.slots:
            if so_far := found.get((machine_of(assignment.sub_node), held.pool)):
                so_far.hold(held.slots, assignment.number)
    return [each.use() for each in found.values()]


@dataclass(slots=True, eq=False)
class SlotCounts:
    """Numbers of slots: all that are known, those that are held, and those that others use."""

    size: int = 0
    held: int = 0
    used: int = 0


def slot_counts(
    sub_nodes: Iterable[tuple[SubNode, dict[str, PoolSeen]]], running: Iterable[Assignment]
) -> dict[str, SlotCounts]:
    """Count what ``pool_uses`` gives, by the names of the pools; a tenth of the work."""
    held: dict[tuple[Machine, str], set[str]] = {}
    for assignment in running:
        machine = machine_of(assignment.sub_node)
        for each in assignment.slots:
            held.setdefault((machine, each.pool), set()).update([slot.key for slot in each.slots])
    known: dict[tuple[Machine, str], set[str]] = {}
    used: dict[tuple[Machine, str], set[str]] = {}
    for sub_node, answers in sub_nodes:
        for pool in sub_node.pools:
            key, answer = (machine_of(sub_node), pool.name), answers.get(pool.name)
            if answer is None or not answer.seen:
                known.setdefault(key, set()).update(pool.ids if pool.kind == "fixed" else ())
                continue
            known.setdefault(key, set()).update([each.slot.key for each in answer.seen])
            used.setdefault(key, set()).update([e.slot.key for e in answer.seen if e.used_by])
    counts: dict[str, SlotCounts] = {}
    for (machine, name), keys in known.items():
        count, mine = counts.setdefault(name, SlotCounts()), held.get((machine, name), set())
        count.size += len(keys | mine)
        count.held += len(mine)
        count.used += len(used.get((machine, name), set()) - mine)
    return counts
