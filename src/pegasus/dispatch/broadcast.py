"""Broadcast mode: each job runs on every sub-node; all sub-nodes proceed in lockstep.

Rule 1: a step is over when each of its sub-nodes has an outcome, or is missing. Only then does the
next step begin, on any of them.
Rule 2: a sub-node that is missing stays missing: it has missed a step, and steps run in order.
Rule 3: what waits for its turn within a step is in the retry queue, and so it gets an outcome
however the run ends.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence
from itertools import product

import trio

from pegasus.demand import example_slots
from pegasus.dispatch.dispatcher import Dispatcher
from pegasus.dispatch.lanes import Pick
from pegasus.dispatch.ports import Batch, ResumedStep
from pegasus.dispatch.results import EmptyBatch
from pegasus.dispatch.retry_queue import WaitingJob
from pegasus.dispatch.run import Run
from pegasus.dispatch.step_picker import StepPicker
from pegasus.dispatch.worker import Worker
from pegasus.dispatch.worker_states import Away
from pegasus.errors import PegasusError, TemplateFault
from pegasus.events import Ended, Missing, Noted
from pegasus.model import (
    Assignment,
    Command,
    Job,
    NotStarted,
    Outcome,
    SlotsHeld,
    TakenJob,
)
from pegasus.node_sets import names_of

ITS_TURN = "the broadcast was ended before its turn"
"""Why a command of a step never started, where nothing else is known."""

SLOTS_POLL = 0.5
"""Seconds between two looks at slots that a step of a continued broadcast waits for."""

_MISSING = "its sub-node is missing: it cannot be reached"


class BroadcastDispatcher(Dispatcher):
    """Runs each job on every sub-node; takes the next one when all have ended this one."""

    per_sub_node = True

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._missing: set[int] = set()  # numbers of sub-nodes
        self._begun: set[int] = set()  # numbers of those that have begun the step, or ended it
        self._is_starting = True
        self._refused: list[Worker] = []  # those that could not be reached, and are needed
        self._rest: deque[ResumedStep] = deque()  # of the broadcast that is continued
        self._rest_number: int | None = None  # of the first of them, where it is taken already
        allowed = run.max_unreachable or 0
        self._allowed = min(allowed, len(self.workers) - 1)  # one at least has to be there

    async def take_and_assign(self) -> None:
        """Continue a broadcast, if there is one; then take one job at a time, until the end."""
        await self._choose_members()
        if self.run.resumed is not None:
            await self._wait_ready()
            self._rest.extend(await self.run.resumed(frozenset(self._missing)))
            for step, worker in product(self._rest, self.workers):  # before anything is run
                if worker.sub_node.number in step.needed:
                    self._render(step, worker)
        await self.pausing.repeat(self._take_steps)

    async def _take_steps(self) -> None:
        """Run one step after the other, until the end; first the one that a pause interrupted."""
        await self._finish_step()
        await self._continue()
        while await self.wait_work(lambda: len(self._members)):
            view, missing = self.desk.view, frozenset(self._missing)
            picker = StepPicker(self.run, self.workers, view, self.ledger, missing)
            self.news = False
            batch: Batch = EmptyBatch()
            try:
                batch = await self.take(picker)
            finally:
                picker.finish(batch.jobs)
            for taken in batch.jobs:
                number, job = taken.number, taken.job
                picked = zip(picker.picked, taken.commands, strict=True)
                self._begin_step([pick.assignment(number, job, text) for pick, text in picked])
                await self._finish_step()
            self._follow_up(picker)
            if batch.fault is not None:
                await self.pauses.wait_after(batch.fault)
            elif batch.refused:
                await self.pauses.wait_after(batch.refused[0])
            elif batch.barrier is not None and not batch.jobs:
                await self.gate.pass_through(batch.barrier)
            elif not batch.jobs and not await self.pauses.wait_more():
                return

    def _follow_up(self, picker: StepPicker) -> None:
        """Do what follows from a take that found slots missing."""
        self.waits = bool(picker.waits)
        self.desk.reporter.see_jobs(picker.waits)
        if picker.waits:
            self.desk.ask(picker.to_ask)
            self.desk.look_around()
            job, answer = picker.waits[0]
            if answer.reason == "unusable":
                where = f"{job.position}: " if job.position else ""
                self.report_once(
                    f"{where}the next step waits: {answer.words}. A step that needs no slots says "
                    f"so: `needs: {{{picker.first_pool}: 0}}`."
                )

    # The steps.

    async def _continue(self) -> None:
        """Run the steps of an earlier broadcast where they are not done."""
        while self._rest:
            await self._wait_ready()
            step = self._rest[0]
            workers = [each for each in self._members if each.sub_node.number in step.needed]
            if workers:
                number = self._rest_number
                if number is None:  # a pause may interrupt the wait for its slots
                    number = self._rest_number = self.run.queue.take_again(step.job, step.origin)
                self.has_taken = True
                picks = await self._place(number, step.job, workers)
                commands = [self._render(step, pick.worker, pick.slots) for pick in picks]
                picked = zip(picks, commands, strict=True)
                self._begin_step([pick.assignment(number, step.job, text) for pick, text in picked])
            self._rest_number = None
            self._rest.popleft()
            await self._finish_step()

    async def _place(self, number: int, job: Job, workers: Sequence[Worker]) -> Sequence[Pick]:
        """Wait until the slots of a step are free, and let it hold them."""
        if not any(worker.sub_node.pools for worker in workers):
            return [Pick(job, worker) for worker in workers]
        while True:
            picker = StepPicker(self.run, workers, self.desk.view, self.ledger)
            self.news = False
            await trio.to_thread.run_sync(picker.begin, lambda: False)
            picker.pick(job, 1)
            if picker.picked:
                taken = [TakenJob(number, job, ())]
                await trio.to_thread.run_sync(picker.settle, taken)
                self._follow_up(picker)
                return picker.picked
            self._follow_up(picker)
            with trio.move_on_after(SLOTS_POLL):
                await self.wait_changed()

    def _render(self, step: ResumedStep, worker: Worker, slots: SlotsHeld | None = None) -> Command:
        """Render a step for a sub-node; with the first slots where it does not hold any yet."""
        if slots is None:
            slots = example_slots(step.job.demand, worker.sub_node)
        try:
            return self.run.fill(step.job, worker.sub_node, slots)
        except TemplateFault as fault:
            raise PegasusError(
                f"Job {step.origin.job} of run {step.origin.run} cannot be filled in for "
                f"{worker.sub_node}, which has not done it yet: {fault.what}. Give this sub-node "
                "what is missing in the hosts file, or take it out; nothing was run."
            ) from fault

    def _begin_step(self, assignments: Collection[Assignment]) -> None:
        """Begin one job on sub-nodes; never waits, so that no step is lost once it is taken."""
        self._begun.clear()
        for assignment in assignments:
            if assignment.sub_node.number not in self._missing:
                self.retries.add_returned(assignment, ITS_TURN)
            else:
                self._release(assignment)
        self._assign_waiting()

    async def _finish_step(self) -> None:
        """Wait until a step has ended on all sub-nodes, also on those that try again."""
        self._assign_waiting()
        while self.is_running() or self.retries:
            await self.wait_changed()
            self._assign_waiting()

    def _assign_waiting(self) -> None:
        """Assign the step to sub-nodes whose turn it is, and once more where it is tried again.

        No other sub-node can run it instead. One that tries again keeps its place in the batch, and
        one that is away, and has not begun, lets others go first.
        """
        if not self.retries:
            return
        workers = {worker.sub_node.number: worker for worker in self.ready}
        room = self._room()
        for waiting in self.retries.waiting:
            last = waiting.assignment
            node = last.sub_node.number
            is_new = node not in self._begun
            if node in workers and (room > 0 or not is_new):
                room -= is_new
                self._begun.add(node)
                self.retries.remove(waiting)
                self.assign(workers[node], last.number, last.job, last.command, last.slots)

    def _room(self) -> float:
        """Give the number of further sub-nodes on which the step may begin."""
        if self.run.batch is None:
            return math.inf
        again = sum(each.assignment.sub_node.number in self._begun for each in self.retries.waiting)
        return self.run.batch - again - sum(worker.is_busy for worker in self._members)

    def is_running(self) -> bool:
        """Return whether any command runs that the broadcast waits for."""
        return any(worker.is_busy for worker in (*self._members, *self.followers))

    def can_try_again(self) -> bool:
        """Return whether a step that waits for slots may begin; between two steps no job waits."""
        self.desk.reporter.flush()
        return self.waits and self.news

    async def _wait_ready(self) -> None:
        """Wait until each sub-node that is not missing is ready."""
        while len(self.ready) < len(self._members):
            await self.wait_changed()

    # Sub-nodes that cannot be reached.

    @property
    def _members(self) -> list[Worker]:
        """The workers whose sub-nodes are not missing."""
        return [worker for worker in self.workers if not self._is_missing(worker)]

    def _is_missing(self, worker: Worker) -> bool:
        return worker.sub_node.number in self._missing

    async def _choose_members(self) -> None:
        """Wait until each first connection was made or failed; leave out where it failed.

        Raises:
            PegasusError: it failed for too many.
        """
        while not all(self._is_settled(worker) for worker in self.workers):
            await self.wait_changed()
        self._is_starting = False
        self._refuse(self._refused)
        if self.run.max_unreachable is None:
            return
        away = [worker for worker in self.workers if _has_failed(worker)]
        if len(away) > self._allowed:
            needs = "a broadcast needs at least one"
            if self._allowed == self.run.max_unreachable:
                needs = f"--max-unreachable allows {self._allowed}"
            raise PegasusError(
                f"{names_of([worker.sub_node for worker in away])} cannot be reached, "
                f"{len(away)} of {len(self.workers)} sub-nodes, and {needs}: nothing was taken. "
                "Repair them, take them out of the hosts file, or allow more."
            )
        self._leave_out(away)

    def unreachable(self, worker: Worker) -> None:
        """Handle a sub-node that cannot be reached.

        Without ``max_unreachable`` this fails where it was never connected, and nothing was taken.
        With it, the broadcast goes on without a sub-node whose next connection fails after one has
        broken, as long as no more are missing than allowed.
        """
        self.notify()
        if self.run.max_unreachable is None:
            if self._has_to_be_there(worker):
                self._do_without(worker)
            return
        is_settled = self._is_starting or self.closed or worker not in self.workers
        if is_settled or not _has_failed(worker) or self._is_missing(worker):
            return
        if len(self._missing) < self._allowed:
            self._leave_out([worker])
        else:
            self.report_once(
                f"The broadcast waits for {worker.sub_node}: {len(self._missing)} sub-nodes are "
                f"missing, and --max-unreachable allows {self._allowed}."
            )

    def _is_settled(self, worker: Worker) -> bool:
        """Return whether the first connection was made, or failed."""
        return worker.connected or _has_failed(worker) or worker in self._refused

    def _has_to_be_there(self, worker: Worker) -> bool:
        """Return whether a broadcast that has taken nothing ends without a sub-node."""
        held = worker.held.may_run or worker not in self.workers
        return not (self.has_taken or worker.history.ever_connected or self.closed or held)

    def _do_without(self, worker: Worker) -> None:
        """End a broadcast that needs a sub-node; at the start once all were tried, to name all."""
        if not self._is_starting:
            self._refuse([worker])
        self._refused.append(worker)
        worker.leave()  # a further try would change nothing

    @staticmethod
    def _refuse(away: Sequence[Worker]) -> None:
        """Fail where sub-nodes are away that have to be there."""
        if away:
            them = "it" if len(away) == 1 else "them"
            raise PegasusError(
                f"{names_of([worker.sub_node for worker in away])} cannot be reached, and a "
                f"broadcast needs every sub-node: nothing was taken. Repair {them}, take {them} "
                "out of the hosts file, or allow some to be missing (--max-unreachable)."
            )

    def _leave_out(self, workers: Sequence[Worker]) -> None:
        """Go on without sub-nodes."""
        if not workers:
            return
        for worker in workers:
            self._missing.add(worker.sub_node.number)
            words = worker.state.words if isinstance(worker.state, Away) else ""
            self.run.listener.tell(Missing(worker.sub_node, words))
            worker.leave()  # a detached command there is still followed to its end
        self._end_waiting_of_missing()
        names = names_of([worker.sub_node for worker in workers])
        self.run.listener.tell(
            Noted(
                f"Going on without {names}: {len(self._missing)} of {len(self.workers)} sub-nodes "
                f"missing, --max-unreachable allows {self._allowed}."
            )
        )
        self.notify()

    def _close(self) -> None:
        """Let each worker leave; a detached command that cannot be reached is left on its node.

        The next run takes it over. A run that waited for it might never end.
        """
        super()._close()
        for worker in self.workers:
            if self._is_missing(worker) and isinstance(worker.state, Away):
                worker.abandon()

    # What workers report.

    def take_back(self, assignment: Assignment, words: str) -> None:
        """Handle a command that never started; on a sub-node that is missing it never will."""
        super().take_back(assignment, words)
        self._end_waiting_of_missing()

    def end(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Handle the end of a command; on a sub-node that is missing it is not tried again."""
        super().end(assignment, outcome, seconds)
        self._end_waiting_of_missing()

    def end_inherited(self, run_name: str, ended: Ended) -> None:
        """Handle the end of a command of an earlier run.

        If the broadcast of that run is continued, the step runs again where it did not succeed, so
        this is no failure that ends the run (``-e``).
        """
        if self.run.resumed is None:
            super().end_inherited(run_name, ended)
        else:
            self.ledger.release_inherited(run_name, ended.assignment)
            self.notify()

    def _end_waiting_of_missing(self) -> None:
        for waiting in self.retries.waiting if self._missing else ():
            if waiting.assignment.sub_node.number in self._missing:
                self._end_waiting(waiting)

    def _end_waiting(self, waiting: WaitingJob) -> None:
        """End the waiting of a step on a sub-node that is missing.

        Where no try began, this is no failure that ends the run (``-e``): the user has allowed it.
        """
        if waiting.tries.last is not None:
            self.give_up(waiting, waiting.words)
            return
        self.retries.remove(waiting)
        self.retries.forget(waiting.assignment)
        self._release(waiting.assignment)
        self.run.listener.tell(Ended(waiting.assignment, NotStarted(_MISSING), 0.0))


def _has_failed(worker: Worker) -> bool:
    """Return whether the last try to connect failed."""
    return isinstance(worker.state, Away) and not worker.state.broke
