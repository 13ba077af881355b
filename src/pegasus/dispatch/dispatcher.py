"""The dispatcher: takes jobs for ready workers, assigns them, and handles their ends.

Both modes share this part; see ``modes``.

Rule 1: only a job that can be started is taken: first a worker is ready, then a job is taken, then
it is assigned, with no checkpoint between the last two. So no cancellation can lose a taken job.
Rule 2: draining cancels the scope around the taking; aborting cancels the scope around everything.
Rule 3: a pause cancels the taking as a drain does, and a resume begins it again; see ``pausing``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import trio

from pegasus.dispatch.ending import EndedBy, Stage
from pegasus.dispatch.failure_limit import FailureLimit
from pegasus.dispatch.gate import Gate
from pegasus.dispatch.pauses import QueuePauses
from pegasus.dispatch.pausing import PauseSwitch
from pegasus.dispatch.ports import Batch
from pegasus.dispatch.results import EmptyBatch, StoppedJob
from pegasus.dispatch.retry_queue import RetryQueue, WaitingJob
from pegasus.dispatch.run import Run
from pegasus.dispatch.share_task import LAST_WRITE_LIMIT
from pegasus.dispatch.slot_desk import SlotDesk
from pegasus.dispatch.slot_ledger import SlotLedger
from pegasus.dispatch.stopping import is_meant, running_commands, stopped
from pegasus.dispatch.worker import Worker
from pegasus.dispatch.worker_states import Busy, Ready
from pegasus.dispatch.workers import make_workers
from pegasus.errors import PegasusError
from pegasus.events import Ended, Noted, Returned, Started
from pegasus.model import (
    Assignment,
    Command,
    Job,
    Lost,
    NotStarted,
    Outcome,
    SlotsHeld,
    succeeded,
)
from pegasus.picker import Picker
from pegasus.starting import missing_program_words

STARTED_LIMIT = 5.0
"""Seconds to wait for the report that the commands that were just assigned have begun; a node that
does not answer must not delay the notice that follows a Ctrl-C."""

_AMOUNTS = re.compile(r"[0-9][0-9,]* MiB")

IDLE_QUEUE_POLL = 1.0
"""Seconds between two checks of the queue while nothing runs and nodes are away: a node that is
permanently gone must not keep the run from its end when there is nothing left to do."""


class Dispatcher(ABC):
    """Owns the queue during a run; workers report to it.

    Args:
        run: the input of the run.

    Attributes:
        run: the input of the run.
        workers: one for each sub-node, also for those that have left the run.
        followers: workers that only follow detached commands of earlier runs, where the run has no
            such sub-node, or one that follows another command already.
        ready: the workers whose shell waits for a command, in the order in which they became ready.
        retries: the jobs that wait for a sub-node.
        ledger: which commands hold which slots.
        desk: knows about slots.
        gate: waits at barriers.
        pauses: waits for more to do.
        pausing: pauses the taking when a user asks for it.
        waits: whether a job of the queue file waits for something.
        news: whether something has changed since this was last set to False.
        has_taken: whether any job was taken.
        closed: whether nothing more will be assigned.
    """

    per_sub_node: ClassVar[bool]
    """Whether each job runs on every sub-node."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.workers, self.followers = make_workers(run, self)
        self.ready: dict[Worker, None] = {}
        after = run.retries_after
        self.retries = RetryQueue(run.retries, run.fill, after, per_sub_node=self.per_sub_node)
        self.waits = False
        self.ledger = SlotLedger(run.name, run.shared)
        self.desk = SlotDesk(run, self.ledger, self.workers, lambda: self.waits, self.notify)
        self.gate = Gate(run, self.desk, self._own_words, self.wait_changed, self.can_try_again)
        self.news = False
        self.has_taken = False
        self.closed = False
        self._changed = trio.Event()
        self._reported: set[str] = set()
        self.pauses = QueuePauses(self)
        self.pausing = PauseSwitch(run.listener, self._wait_started)
        self._failures = FailureLimit(run.max_failures, run.known_jobs)

    async def run_all(self) -> None:
        """Take and assign jobs until there are no more, and wait for all commands.

        Raises:
            FileFault: the queue file is not valid, and nothing runs that could change this.
            PegasusError: sub-nodes cannot be reached at the start.
        """
        async with trio.open_nursery() as beside:
            beside.start_soon(self.desk.run)
            try:
                await self._run_all()
            finally:
                with trio.move_on_after(LAST_WRITE_LIMIT, shield=True):
                    await self.desk.finish()
            beside.cancel_scope.cancel(reason="the run is over")

    async def _run_all(self) -> None:
        ending = self.run.ending
        try:
            async with trio.open_nursery() as nursery:
                for worker in (*self.workers, *self.followers):
                    nursery.start_soon(worker.serve)
                try:
                    with ending.taking:
                        await self._wait_probed()
                        await self.take_and_follow(nursery)
                except BaseException:
                    ending.leave_after_error()
                    raise
                finally:  # also on cancellation: each job that waits gets its outcome
                    self._close()
                await self._wait_started()
                ending.drained.set()
        finally:
            ending.drained.set()

    async def _wait_probed(self) -> None:
        """Wait until it was tried to reach each detached command of earlier runs."""
        for worker in (*self.workers, *self.followers):
            if worker.held.may_run:
                await worker.held.probed.wait()

    def stop_job(
        self, number: int, sub_node: int | None = None, run_name: str | None = None
    ) -> StoppedJob:
        """End a job: its commands that run, and its waiting for another try.

        Args:
            number: of the job in its run.
            sub_node: the number of one sub-node; None for all.
            run_name: the name of the earlier run to which it belongs; None for this run.
        """
        own = run_name in {None, self.run.name}
        names = {None, self.run.name} if own else {run_name}
        running = running_commands(self.run.ending.running, number, sub_node, names)
        for command in running:
            command.end(EndedBy.STOP_JOB)
        waiting = [
            each
            for each in self.retries.waiting
            if own and is_meant(each.assignment, number, sub_node)
        ]
        for job in waiting:
            self.give_up(job, "stopped before it began")
        self.notify()
        return stopped(running, [job.assignment for job in waiting])

    # What the modes implement.

    async def take_and_follow(self, workers: trio.Nursery) -> None:  # noqa: ARG002 -- for modes
        """Take and assign jobs; where sub-nodes may change meanwhile, follow the changes.

        Args:
            workers: where new workers are started.
        """
        await self.take_and_assign()

    @abstractmethod
    async def take_and_assign(self) -> None:
        """Take and assign jobs until there are no more."""

    @abstractmethod
    def can_try_again(self) -> bool:
        """Return whether a job that waits can be assigned now."""

    @abstractmethod
    def unreachable(self, worker: Worker) -> None:
        """Handle a sub-node that cannot be reached; see ``WorkerReports``."""

    def end_hopeless(self) -> None:  # noqa: B027 -- a broadcast has none
        """End the waiting of jobs that no sub-node can ever run."""

    # What the modes use.

    async def wait_work(self, enough: Callable[[], int]) -> bool:
        """Wait until so many workers are ready; return False when none is needed any more."""
        while len(self.ready) < enough():
            with trio.move_on_after(IDLE_QUEUE_POLL):
                while len(self.ready) < enough():
                    await self.wait_changed()
                return True
            self.end_hopeless()
            # Before that many were connected, only the failure of the others ends the run.
            connected = sum(worker.history.ever_connected for worker in self.workers)
            is_there = connected >= enough() or (self.run.requested() and not self.per_sub_node)
            idle = is_there and not self.is_under_way()  # what waits is in the file
            if idle and await self._queue_is_empty():
                return False
        return True

    async def _queue_is_empty(self) -> bool:
        try:
            return await self.run.queue.is_empty() and not self.run.queue.pending
        except PegasusError:  # reported once a worker is ready for what may be in the queue
            return False

    async def take(self, picker: Picker) -> Batch:
        """Take the jobs that a picker picks; a disk that refuses is a fault of the batch."""
        try:
            batch = await self.run.queue.take(picker)
        except PegasusError as error:
            return EmptyBatch(error)
        self.has_taken = self.has_taken or bool(batch.jobs)
        return batch

    def assign(
        self, worker: Worker, number: int, job: Job, command: Command, slots: SlotsHeld = ()
    ) -> None:
        """Assign a taken job to a worker; if it is not ready any more, the job waits for another.

        Args:
            worker: it was ready when the job was taken.
            number: of the job.
            job: the job.
            command: the job, rendered for the worker's sub-node.
            slots: what it holds.
        """
        assignment = Assignment(number, job, worker.sub_node, command, slots=slots)
        if isinstance(worker.state, Ready):
            assignment = replace(assignment, key=worker.state.shell.key)
            del self.ready[worker]
            worker.assign(worker.state.shell, assignment)
            self.run.listener.tell(Started(assignment))
        elif worker.leaving:
            self.take_back(assignment, "its sub-node is leaving")
        else:
            self.take_back(assignment, "its connection broke")

    def is_running(self) -> bool:
        """Return whether any command runs."""
        return any(worker.is_busy for worker in (*self.workers, *self.followers))

    def has_more_to_come(self) -> bool:
        """Return whether there is, or may be, something to do, now or later."""
        return self.waits or self.is_under_way()

    def is_under_way(self) -> bool:
        """Return whether something is under way that may bring more to do."""
        return bool(self.run.daemon or self.retries or self.is_running() or self.run.queue.pending)

    def _own_words(self) -> str:
        """Say what must end before a barrier may open; empty where there is nothing."""
        running = sum(worker.is_busy for worker in (*self.workers, *self.followers))
        waiting = len(self.retries.waiting)
        if not running and not waiting:
            return ""
        return f"{running} running and {waiting} waiting jobs of this run"

    async def wait_changed(self) -> None:
        """Wait until a worker is ready, a command ended or came back, or sub-nodes changed."""
        await self._changed.wait()

    def report_once(self, words: str, about: str = "") -> None:
        """Report a sentence, unless it is empty or was reported before.

        Args:
            words: the sentence.
            about: what must have changed for another sentence; empty for the sentence itself. How
                much memory others use changes with each answer, and is not worth one.
        """
        what = _AMOUNTS.sub("", about or words)
        if what and what not in self._reported:
            self._reported.add(what)
            self.run.listener.tell(Noted(words))

    # What workers report.

    def offer(self, worker: Worker) -> None:
        """Handle a worker that is ready."""
        self.ready[worker] = None
        self.notify()

    def withdraw(self, worker: Worker) -> None:
        """Handle a worker that is not ready any more."""
        del self.ready[worker]

    def take_back(self, assignment: Assignment, words: str) -> None:
        """Handle a command that certainly never started; its job waits for a sub-node again."""
        if self.closed:
            self.end(assignment, NotStarted(words), 0.0)
            return
        if not self.per_sub_node:
            self._release(assignment)
        self.run.listener.tell(Returned(assignment, words))
        self.retries.add_returned(assignment, words)
        self.notify()

    def end(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Handle the end of a command; the job may be tried again."""
        if not self.per_sub_node:
            self._release(assignment, is_gone=not isinstance(outcome, Lost))
        if self.continues and self.retries.count_try(assignment, outcome):
            ended = Ended(assignment, outcome, seconds, again=True)
            self.run.listener.tell(ended)
            self.retries.add_ended(ended)
        elif isinstance(outcome, NotStarted) and (last := self.retries.last_end(assignment)):
            self.run.listener.tell(Returned(assignment, outcome.words))
            self._end_finally(replace(last, again=False))
        else:
            self._end_finally(Ended(assignment, outcome, seconds))
        self.notify()

    def _release(self, assignment: Assignment, *, is_gone: bool = True) -> None:
        """Let the slots of a command become free; where it may still run, its node is asked."""
        if self.ledger:
            self.ledger.release(assignment, trio.current_time(), is_gone=is_gone)

    def end_inherited(self, run_name: str, ended: Ended) -> None:
        """Handle the end of a command of an earlier run."""
        self.ledger.release_inherited(run_name, ended.assignment)
        self._count_failure(run_name, ended)
        self.notify()

    def give_up(self, waiting: WaitingJob, words: str) -> None:
        """End a job that waits, with the outcome of its last try that began.

        Args:
            waiting: the job.
            words: why it never started, if no try ever began.
        """
        self.retries.remove(waiting)
        self._give_up(waiting, words)

    def _give_up(self, waiting: WaitingJob, words: str) -> None:
        last = waiting.tries.last
        ended = last or Ended(waiting.assignment, NotStarted(words), 0.0)
        self._end_finally(replace(ended, again=False))

    def _end_finally(self, ended: Ended) -> None:
        """Report the final outcome of a job."""
        self.retries.forget(ended.assignment)
        self._release(ended.assignment, is_gone=not isinstance(ended.outcome, Lost))
        self.run.listener.tell(ended)
        words = missing_program_words(ended.assignment, ended.outcome)
        self.report_once(words, words and str(ended.outcome))  # once in a run
        self._count_failure(self.run.name, ended)

    def _count_failure(self, run_name: str, ended: Ended) -> None:
        """Take nothing more once so many jobs have failed permanently."""
        if not succeeded(ended.outcome):
            self._failures.add(run_name, ended.assignment.number)
        if self.continues and (words := self._failures.words()):
            self.run.ending.drain()
            self.run.listener.tell(Noted(words))

    @property
    def continues(self) -> bool:
        """Whether jobs are still taken, now or after a pause."""
        return self.run.ending.stage is Stage.TAKING and not (self.closed or self.pausing.is_over)

    def notify(self) -> None:
        """Wake the tasks that wait for a change; each change has a new event."""
        self.news = True
        self._changed.set()
        self._changed = trio.Event()

    # The end.

    def _close(self) -> None:
        """Let each worker leave: at once without a command, or after its command."""
        self.closed = True
        for worker in (*self.workers, *self.followers):
            worker.leave()
        for waiting in self.retries.clear():
            self._give_up(waiting, waiting.words)

    async def _wait_started(self) -> None:
        """Wait until every assigned command has begun."""
        with trio.move_on_after(STARTED_LIMIT):
            for worker in self.workers:
                if isinstance(worker.state, Busy):
                    await worker.state.shell.wait_begun()
