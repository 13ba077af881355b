"""What is known about the slots of the nodes: from the hosts file, from probes and from the ledger.

Rule 1: a slot that is checked before each start counts as free only if a probe says so that began
after the slot became free, and is not old.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import trio

from pegasus.dispatch.lanes import size_of
from pegasus.dispatch.prober import PoolAnswer, Prober
from pegasus.dispatch.slot_ledger import SlotLedger
from pegasus.dispatch.worker import Worker
from pegasus.dispatch.worker_states import Busy
from pegasus.holds import AT_MOST_POOL
from pegasus.model import Pool, Slot
from pegasus.placement import NodeState, PoolState


class SlotView:
    """What is known about slots.

    Args:
        ledger: who holds what.
        prober: what the nodes say.
    """

    def __init__(self, ledger: SlotLedger, prober: Prober) -> None:
        self._ledger = ledger
        self._prober = prober
        self._taken: dict[tuple[str, str], set[str]] = {}  # by place and pool
        self._now = 0.0

    def refresh(self) -> None:
        """Look up what is held now; in the thread of a take, under the lock of the queue."""
        self._now = _now()
        self._taken = {}
        for place, pool, slot in self._ledger.see_others(self._now):
            self._taken.setdefault((place, pool), set()).add(slot)

    def running_by_group(self) -> Counter[str]:
        """Count what runs now of each group of ``at_most``."""
        return Counter(
            {
                pool.removeprefix(AT_MOST_POOL): len(slots)
                for (_, pool), slots in self._taken.items()
                if pool.startswith(AT_MOST_POOL)
            }
        )

    def nodes(self, ready: Collection[Worker], present: Sequence[Worker]) -> list[NodeState]:
        """Describe the sub-nodes that are connected, in the order in which they are used.

        Those with pools come first, as in the hosts file; then those without, as they became ready.
        """
        lanes: dict[int, list[Worker]] = {}
        for worker in present:
            lanes.setdefault(worker.sub_node.number, []).append(worker)
        free = Counter(worker.sub_node.number for worker in ready)
        with_pools = [number for number, each in lanes.items() if each[0].sub_node.pools]
        # A sub-node that was ready when the take began may be away by now.
        plain = [number for number in free if number in lanes and number not in with_pools]
        order = dict.fromkeys((*sorted(with_pools), *plain, *lanes))
        return [self._node(lanes[number], free[number]) for number in order]

    def _node(self, lanes: Sequence[Worker], free: int) -> NodeState:
        sub_node, place = lanes[0].sub_node, lanes[0].place
        pools = {pool.name: self.state_of(lanes[0], pool) for pool in sub_node.pools}
        slotless = sum(map(_is_slotless, lanes))
        return NodeState(
            sub_node=sub_node,
            place=place,
            lanes=free,
            may_grow=bool(pools),
            pools=pools,
            slotless=max(1, self.size(lanes[0])) - slotless,
        )

    def size(self, worker: Worker) -> int:
        """Count the slots of a sub-node, as far as they are known."""

        def known(pool: Pool) -> int | None:
            answer = self._prober.state(worker.sub_node, pool)
            return None if answer is None else len(answer.seen)

        return size_of(worker.sub_node, known)

    def free_counter(self) -> Callable[[Worker], int]:
        """Give what counts the slots of a sub-node that nobody holds now, as far as is known."""
        held = Counter(place for place, _, _ in self._ledger.taken())
        return lambda worker: max(0, self.size(worker) - held[worker.place])

    def state_of(self, worker: Worker, pool: Pool) -> PoolState:
        """Describe a pool of a sub-node."""
        taken = self._taken.get((worker.place, pool.name), set())
        if pool.kind == "fixed":
            return PoolState(
                pool.name,
                pool.kind,
                free=[Slot(each) for each in pool.ids if each not in taken],
                held=len(taken.intersection(pool.ids)),
            )
        answer = self._prober.state(worker.sub_node, pool)
        if answer is None:
            return PoolState(pool.name, pool.kind, held=len(taken), size_known=False)
        return self._judged(worker, pool, answer, taken)

    def _judged(
        self, worker: Worker, pool: Pool, answer: PoolAnswer, taken: Collection[str]
    ) -> PoolState:
        """Describe a pool after an answer of its node.

        What nobody holds is free, or is to be checked again, or is used by others.
        """
        free, unverified, reasons = [], [], []
        if answer.is_failing:
            reasons.append(answer.words)
        for seen in answer.seen:
            slot = seen.slot
            if slot.key in taken:
                continue
            key = (worker.place, pool.name, slot.key)
            released = self._ledger.released_at.get(key, -math.inf)
            if seen.used_by and answer.began_at > released:
                reasons.append(f"{pool.name} {slot.id}: {seen.used_by}")
            elif answer.is_fresh(released, self._now):
                free.append(slot)
            else:
                unverified.append(slot)
        return PoolState(
            pool.name,
            pool.kind,
            free=free,
            unverified=unverified,
            held=len(taken),
            unusable=len(reasons),
            # A user's own probe prints only what is free now: there may be more later.
            size_known=not answer.is_failing and pool.kind != "probe",
            why="; ".join(dict.fromkeys(reasons)),
        )


def _is_slotless(worker: Worker) -> bool:
    """Return whether a command runs that holds no slot."""
    state = worker.state
    return isinstance(state, Busy) and not any(each.slots for each in state.assignment.slots)


def _now() -> float:
    """Return the time on Trio's clock, in whatever thread this is."""
    try:
        return trio.current_time()
    except RuntimeError:
        return trio.from_thread.run_sync(trio.current_time)
