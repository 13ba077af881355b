"""One take of a queue run: which jobs start on which sub-nodes, with which slots.

Rule 1: what is free is looked up under the lock of the queue, so that no other run can take the
same slot meanwhile; and what is taken is told the other runs before a job leaves the file.
Rule 2: ``placement`` decides; here is only what it needs to know, and what follows from it.
Rule 3: where nothing of the queue or of the hosts file is about slots, none of this is done: the
first job goes to the sub-node that became ready first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from pegasus.demand import Nowhere, example_slots, fits_on
from pegasus.dispatch.lanes import Pick
from pegasus.dispatch.ports import Batch
from pegasus.dispatch.retry_queue import RetryQueue, WaitingJob
from pegasus.dispatch.run import Run
from pegasus.dispatch.slot_ledger import SlotLedger
from pegasus.dispatch.slot_view import SlotView
from pegasus.dispatch.worker import Worker
from pegasus.errors import TemplateFault
from pegasus.holds import Hold
from pegasus.model import NO_DEMAND, Command, Demand, Job, Params, SlotsHeld, SubNode, TakenJob
from pegasus.picker import JobFill, Skip
from pegasus.placement import WAITS_LISTED, Hints, Placed, Round, Waits, waits_for_others

MOST_PASSED = 1000
"""Entries that one take passes because no idle sub-node can render them. Each job that ends causes
a take: in a file of 20,000 such entries it needs 0.1 s with this limit, and 1.7 s without it."""


@dataclass(slots=True)
class Memory:
    """What one take leaves for the next one.

    Attributes:
        hints: the claims of the jobs that wait.
        demands: all demands in the queue file; None where they are not known.
        has_failed: whether a command could not be rendered for a sub-node on which it was placed;
            False once the queue file has changed.
        unfilled: likewise these jobs, with the sub-nodes and why.
    """

    hints: Hints = field(default_factory=dict)
    demands: frozenset[Demand] | None = None
    has_failed: bool = False
    unfilled: dict[tuple[str, Params, Demand], dict[SubNode, TemplateFault]] = field(
        default_factory=dict
    )


class SlotPicker:
    """Picks the jobs of one take, and places the jobs that wait for another try before them.

    Args:
        run: the run.
        workers: all of the run.
        ready: those that can start a command, in the order in which they became ready.
        has_pools: whether any sub-node of the run has pools.
        view: what is known about slots.
        ledger: who holds what.
        retries: the jobs that were taken and wait.
        memory: of the takes before.
        gone: holds of runs that are over, whose commands are gone.

    Attributes:
        round: what was placed in the last reading of the file; None where nothing is about slots.
        picked: the jobs of the file that were placed, in their order.
        again: the waiting jobs that were placed, with their commands.
        waits: the jobs that wait although nothing is about slots, and what they wait for.
        has_unfilled: whether a job was placed where it cannot be rendered, so that its slots are
            free for the next take.
    """

    def __init__(
        self,
        run: Run,
        workers: Sequence[Worker],
        ready: Sequence[Worker],
        *,
        view: SlotView,
        ledger: SlotLedger,
        retries: RetryQueue,
        memory: Memory,
        gone: Collection[Hold] = (),
        has_pools: bool,
    ) -> None:
        self._run = run
        self._workers = workers
        self._has_pools = has_pools
        self._all_ready = ready
        self._view = view
        self._ledger = ledger
        self._retries = retries
        self._memory = memory
        self._gone = gone
        self._waiting = [each for each in retries.waiting if self._has_pools or each.is_demanding]
        self._settled: list[tuple[int, Pick]] = []
        self._free: dict[int, deque[Worker]] = {}
        self._ready: deque[Worker] = deque()
        self._present: dict[int, SubNode] = {}
        self._able: list[Worker] = []  # what could run the last job that waits, is asked first
        self._waiting_count = 0
        self.round: Round | None = None
        self.picked: list[Pick] = []
        self.waits: list[tuple[Job, Waits]] = []
        self.has_unfilled = False
        self.again: list[tuple[WaitingJob, Pick, Command]] = []

    # What a take asks; in its thread.

    def begin(self, is_unchanged: Callable[[], bool]) -> None:
        """Look up what is free; the file is read from its head."""
        if self._settled:
            self._ledger.drop(self._settled)
        self.round, self.picked, self._settled, self.waits = None, [], [], []
        self.has_unfilled, self._waiting_count, self._able = False, 0, []
        used = {pick.worker for _, pick, _ in self.again}
        self._ready = deque(worker for worker in self._all_ready if worker not in used)
        if self._gone:
            self._ledger.shared.forget(self._gone)
            self._gone = ()
        remembers = self._memory.demands is not None or self._memory.has_failed
        if remembers and not is_unchanged():
            self._memory.demands = None
            self._memory.has_failed = False
            self._memory.unfilled.clear()
        if self._has_pools or self._waiting:
            self._open()
            self._place_waiting()

    @property
    def is_full(self) -> bool:
        """Whether no more jobs can start, so that the rest of the file need not be read.

        Where all slots are held, a job that needs none might follow. It is looked for if nothing
        was picked, and once: then all demands in the file are known.
        """
        if self.round is None:
            return not self._ready or self.has_looked_far
        if self._memory.demands is None and (self.picked or self.again):
            return self.round.is_full or not self.round.has_free_slots
        return self.round.is_full

    @property
    def has_looked_far(self) -> bool:
        """Whether so many jobs wait that the rest of the file is not read, though one may start."""
        return self.round is None and self._waiting_count >= MOST_PASSED

    def pick(self, job: Job, copies: int) -> JobFill | Skip | Nowhere:
        """Place a job, if it can start now."""
        if self.round is None:
            if job.demand is NO_DEMAND or job.demand == NO_DEMAND:
                return self._pick_first(job)
            self._open()
        return self._pick_placed(job, copies)

    def _pick_first(self, job: Job) -> JobFill | Skip | Nowhere:
        """Pick the worker that became ready first among those for which a job can be rendered.

        Where there is none, the job waits for one that is busy or away.
        """
        for worker in self._ready:
            command = self._rendered(job, worker.sub_node)
            if not isinstance(command, TemplateFault):
                self._ready.remove(worker)
                self.picked.append(Pick(job, worker))
                return _fill_with(command)
        if nowhere := self._nowhere(job):
            return nowhere
        self._count_waiting(job)
        return Skip.ENTRY

    def _count_waiting(self, job: Job) -> None:
        """Note that a job waits for a sub-node that is busy or away."""
        self._waiting_count += 1
        if len(self.waits) < WAITS_LISTED:
            present = [each.sub_node for each in self._workers if each.connected]
            is_busy = any(
                not isinstance(self._rendered(job, each), TemplateFault) for each in present
            )
            self.waits.append((job, waits_for_others(is_busy=is_busy)))

    def _pick_placed(self, job: Job, copies: int) -> JobFill | Skip | Nowhere:
        """Place a job where it fits and can be rendered.

        A sub-node on which it was placed, and for which it cannot be rendered, is used up for this
        take.

        Once that has happened, each command is tried for all sub-nodes before it is placed, so that
        it uses up none. In most runs each can be rendered for all, and this costs nothing.
        """
        assert self.round is not None  # noqa: S101 -- it was opened
        key = (job.command, job.params, job.demand)
        known = self._memory.unfilled.get(key, {})
        without: list[int] = []
        if self._memory.has_failed:
            if nowhere := self._nowhere(job):
                return nowhere
            without = [
                number
                for number, each in self._present.items()
                if each in known or isinstance(self._tried(job, each), TemplateFault)
            ]
        placed = self.round.place(job, copies, without=without)
        if isinstance(placed, Waits):
            if placed.reason == "absent" and self._nowhere(job):
                self._memory.has_failed = self.has_unfilled = True
            return Skip.ENTRY
        if isinstance(placed, Nowhere):
            return placed
        pick = self._picked(job, placed)
        command = self._rendered(job, pick.worker.sub_node, pick.slots)
        if isinstance(command, TemplateFault):
            command.__cause__ = command.__context__ = None  # these would keep the take in memory
            self._memory.unfilled.setdefault(key, {})[pick.worker.sub_node] = command
            self._memory.has_failed = self.has_unfilled = True
            return self._pick_placed(job, copies)  # no job below may come before it
        self.picked.append(pick)
        return _fill_with(command)

    def _rendered(
        self, job: Job, sub_node: SubNode, slots: SlotsHeld = ()
    ) -> Command | TemplateFault:
        """Render a job for a sub-node, or return why that is impossible."""
        try:
            return self._run.fill(job, sub_node, slots)
        except TemplateFault as fault:
            return fault.with_traceback(None)

    def _tried(self, job: Job, sub_node: SubNode) -> Command | TemplateFault:
        return self._rendered(job, sub_node, example_slots(job.demand, sub_node))

    def _nowhere(self, job: Job) -> Nowhere | None:
        """Return why a job can be rendered for no sub-node on which it may run; None if it can.

        One that is busy, or away, may run it later. What an allocation that is still to be
        requested will say about its nodes is not known.
        """
        if any(fits_on(job.demand, each) for each in self._run.requested()):
            return None
        known = self._memory.unfilled.get((job.command, job.params, job.demand), {})
        first: TemplateFault | None = None
        for worker in (*self._able, *self._workers):
            sub_node = worker.sub_node
            if worker.lane or worker.leaving or not fits_on(job.demand, sub_node):
                continue
            found = known.get(sub_node) or self._tried(job, sub_node)
            if not isinstance(found, TemplateFault):
                self._able = [worker]
                return None
            first = first or found
        return _unfilled(first) if first else None

    def settle(self, jobs: Sequence[TakenJob]) -> None:
        """Let the jobs hold their slots, and tell the other runs, before they leave the file."""
        if self.round is None:
            return
        self._settled = [
            (taken.number, pick) for taken, pick in zip(jobs, self.picked, strict=False)
        ]
        self._ledger.hold(self._settled)

    def _open(self) -> None:
        """Begin a round with the sub-nodes and slots that are left."""
        self._view.refresh()
        self._free = {}
        for worker in self._ready:
            self._free.setdefault(worker.sub_node.number, deque()).append(worker)
        workers = list(self._workers)
        present = [worker for worker in workers if worker.connected]
        there = self._present = {worker.sub_node.number: worker.sub_node for worker in present}
        absent = {
            worker.sub_node.number: worker.sub_node
            for worker in workers
            if not worker.leaving and worker.sub_node.number not in there
        }
        self.round = Round(
            self._view.nodes(self._ready, present),
            self._memory.hints,
            self._view.running_by_group(),
            [*absent.values(), *self._run.requested()],
            self._memory.demands,
        )

    def _place_waiting(self) -> None:
        """Place the jobs that were taken before; in a second reading they keep their places."""
        assert self.round is not None  # noqa: S101 -- it was opened
        placed_before = {waiting.number for waiting, _, _ in self.again}
        new: list[tuple[int, Pick]] = []
        for waiting in self._waiting:
            if waiting.number in placed_before:
                continue
            without = [
                number
                for number, sub_node in self._present.items()
                if not self._retries.can_run(waiting, sub_node)
            ]
            placed = self.round.place(waiting.job, tried=waiting.tried_on, without=without)
            if not isinstance(placed, Placed):
                continue
            command = self._retries.command(waiting, placed.sub_node, placed.slots)
            if command is not None:
                pick = self._picked(waiting.job, placed)
                self.again.append((waiting, pick, command))
                new.append((waiting.number, pick))
        if new:
            self._ledger.hold(new)

    def _picked(self, job: Job, placed: Placed) -> Pick:
        worker = self._free[placed.sub_node.number].popleft()
        self._ready.remove(worker)
        return Pick(job, worker, placed.slots)

    # What follows from it; in Trio's thread.

    def cancel(self) -> None:
        """Let the slots of the waiting jobs go: the take was cancelled, and none of them starts."""
        self._ledger.give_back([(waiting.number, pick) for waiting, pick, _ in self.again])

    def finish(self, batch: Batch) -> None:
        """Remember what the next take needs, and let slots go whose jobs were not taken."""
        if self.round is None:
            return
        self._ledger.give_back(self._settled[len(batch.jobs) :])
        self._memory.hints = self.round.hints
        if batch.is_complete:
            self._memory.demands = self.round.seen


def _fill_with(command: Command) -> JobFill:
    return lambda _: (command,)


def _unfilled(fault: TemplateFault) -> Nowhere:
    """Give the answer for a job that can be rendered nowhere for now."""
    return Nowhere(fault.what, fault.instead, "command", (fault.line, fault.column))
