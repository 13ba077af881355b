"""The take of a broadcast: one job, for each sub-node on which it may run.

Rule 1: the steps run in the order of the file: a step whose slots are not free holds up all others.
Rule 2: a step holds its slots on a sub-node from its take until its last try there has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pegasus.demand import Nowhere, example_slots, fits_on, needs_on, nowhere
from pegasus.dispatch.lanes import Pick
from pegasus.dispatch.run import Run
from pegasus.dispatch.slot_ledger import SlotLedger
from pegasus.dispatch.slot_view import SlotView
from pegasus.dispatch.worker import Worker
from pegasus.model import Command, HeldSlots, Job, Slot, SlotsHeld, TakenJob
from pegasus.picker import JobFill, Skip
from pegasus.placement import PoolState, Waits


@dataclass(slots=True)
class _Shortage:
    """A pool that has too few free slots for a step."""

    worker: Worker
    state: PoolState


class StepPicker:
    """Picks the next step.

    Args:
        run: the run.
        workers: those on which steps run.
        view: what is known about slots.
        ledger: who holds what.
        missing: the numbers of the sub-nodes without which the broadcast goes on: a step is
            rendered for them, and waits for none of their slots.

    Attributes:
        picked: the workers of the step, with what it holds on each.
        waits: the step that cannot begin yet, and why.
        to_ask: numbers of sub-nodes and names of pools that must be probed first.
    """

    def __init__(
        self,
        run: Run,
        workers: Sequence[Worker],
        view: SlotView,
        ledger: SlotLedger,
        missing: Collection[int] = (),
    ) -> None:
        self._run = run
        self._workers = workers
        self._view = view
        self._ledger = ledger
        self._missing = missing
        self._settled: list[tuple[int, Pick]] = []
        self._is_done = False
        self._first_pool = ""
        self.picked: list[Pick] = []
        self.waits: list[tuple[Job, Waits]] = []
        self.to_ask: set[tuple[int, str]] = set()

    def begin(self, is_unchanged: Callable[[], bool]) -> None:  # noqa: ARG002 -- see ``Picker``
        """Begin with the first job."""
        self._ledger.drop(self._settled)
        self._settled, self._is_done = [], False
        self.picked, self.waits, self.to_ask = [], [], set()
        if any(worker.sub_node.pools for worker in self._workers):
            self._view.refresh()

    @property
    def is_full(self) -> bool:
        """Whether the next step was found."""
        return self._is_done

    def pick(self, job: Job, copies: int) -> JobFill | Skip | Nowhere:  # noqa: ARG002
        """Pick the first job, if its slots are free on each sub-node on which it may run."""
        self._is_done = True
        demand = job.demand
        chosen = [worker for worker in self._workers if fits_on(demand, worker.sub_node)]
        if not chosen:
            reason = nowhere(job, [worker.sub_node for worker in self._workers])
            if reason is not None:
                return reason
        if (reason := self._too_few(job, chosen)) is not None:
            return reason
        missing: list[_Shortage] = []
        used: set[tuple[str, str, str]] = set()
        picked = [Pick(job, worker, self._slots(job, worker, used, missing)) for worker in chosen]
        if missing:
            self._wait(job, missing)
            return Skip.ENTRY
        self.picked = picked
        return self._fill

    @property
    def first_pool(self) -> str:
        """The pool of which the step that waits lacks slots."""
        return self._first_pool

    def settle(self, jobs: Sequence[TakenJob]) -> None:
        """Let the step hold its slots, and tell the other runs, before it leaves the file."""
        there = [each for each in self.picked if each.worker.sub_node.number not in self._missing]
        self._settled = [(taken.number, pick) for taken in jobs for pick in there]
        if any(pick.slots for pick in there):
            self._ledger.hold(self._settled)

    def finish(self, jobs: Sequence[TakenJob]) -> None:
        """Let the slots go if no step was taken after all; in Trio's thread."""
        if not jobs:
            self._ledger.give_back(self._settled)

    def _fill(self, job: Job) -> tuple[Command, ...]:
        return tuple(self._run.fill(job, pick.worker.sub_node, pick.slots) for pick in self.picked)

    def _slots(
        self,
        job: Job,
        worker: Worker,
        used: set[tuple[str, str, str]],
        missing: list[_Shortage],
    ) -> SlotsHeld:
        """Choose the slots of a step on a sub-node; two sub-nodes may be on one machine."""
        if worker.sub_node.number in self._missing:
            return example_slots(job.demand, worker.sub_node)
        needs = needs_on(job.demand, worker.sub_node) or {}
        held = []
        for pool in worker.sub_node.pools:
            count = needs.get(pool.name, 0)
            slots: list[Slot] = []
            if count:
                state = self._view.state_of(worker, pool)
                where = (worker.place, pool.name)
                slots = [each for each in state.free if (*where, each.key) not in used][:count]
                used.update((*where, each.key) for each in slots)
                if len(slots) < count:
                    missing.append(_Shortage(worker, state))
            held.append(HeldSlots(pool.name, tuple(slots), pool.kind))
        return tuple(held)

    def _too_few(self, job: Job, chosen: Sequence[Worker]) -> Nowhere | None:
        """Find out why a step can never begin: its sub-nodes on one machine share too few slots."""
        needed: Counter[tuple[str, str]] = Counter()
        there: dict[tuple[str, str], set[str] | None] = {}
        for worker in chosen:
            if not worker.sub_node.pools or worker.sub_node.number in self._missing:
                continue
            needs = needs_on(job.demand, worker.sub_node) or {}
            for pool in worker.sub_node.pools:
                where = (worker.place, pool.name)
                needed[where] += needs.get(pool.name, 0)
                known = there.setdefault(where, set())
                if known is not None:  # None: only the node knows
                    there[where] = {*known, *pool.ids} if pool.kind == "fixed" else None
        for (place, name), count in needed.items():
            slots = there[place, name]
            if slots is not None and count > len(slots):
                what = (
                    f"this step needs {count:,} of {name} at once on sub-nodes that are one "
                    f"machine, and that has {len(slots):,}"
                )
                step = "Use queue mode, ask for fewer, or give each sub-node slots of its own"
                return Nowhere(what, step, "needs")
        return None

    def _wait(self, job: Job, missing: Sequence[_Shortage]) -> None:
        for each in missing:
            if each.state.kind != "fixed":
                self.to_ask.add((each.worker.sub_node.number, each.state.name))
        first = missing[0]
        self._first_pool = first.state.name
        words = f"it needs slots of {first.state.name} on {first.worker.sub_node}"
        if first.state.why:
            words += f": {first.state.why}"
        others = len({each.worker for each in missing}) - 1
        if others:
            words += f", and on {others} more"
        self.waits = [(job, Waits(words, None, "unusable" if first.state.why else "slots"))]
