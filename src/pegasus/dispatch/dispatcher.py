"""The dispatcher: takes jobs for ready workers, assigns them, and handles their ends.

Both modes share this part; see ``modes``.

Rule 1: only a job that can be started is taken: first a worker is ready, then a job is taken, then
it is assigned, with no checkpoint between the last two. So no cancellation can lose a taken job.
Rule 2: draining cancels the scope around the taking; aborting cancels the scope around everything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import trio

from pegasus.dispatch.ending import EndedBy, Stage
from pegasus.dispatch.ports import Batch, Fill
from pegasus.dispatch.results import RefusedBatch, StoppedJob
from pegasus.dispatch.retry_queue import RetryQueue, WaitingJob
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker import Busy, Ready, Worker
from pegasus.dispatch.workers import make_workers
from pegasus.errors import FileFault, PegasusError
from pegasus.events import Ended, Noted, Returned, Started
from pegasus.model import Assignment, Command, Job, NotStarted, Outcome, succeeded

QUEUE_POLL = 0.2
"""Seconds between two checks of the queue file. A job that is added starts within half a second; a
check is one ``stat``, which also sees changes made on other machines. It is most of what an idle
Pegasus does."""

STARTED_LIMIT = 5.0
"""Seconds to wait for the report that the commands that were just assigned have begun; a node that
does not answer must not delay the notice that follows a Ctrl-C."""

DISK_POLL = 5.0
"""Seconds between tries to rewrite a queue file on a disk that is full or gone: a user has to free
space or mount it first, so there is no need for more tries."""

PENDING_REPORT_AFTER = 1.0
"""Seconds after which a wait for an entry that is not completely written is reported."""

IDLE_QUEUE_POLL = 1.0
"""Seconds between two checks of the queue while nothing runs and nodes are away: a node that is
permanently gone must not keep the run from its end when there is nothing left to do."""

_WAITING = {True: "Waiting for the file to change.", False: "Trying again."}


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
        self.has_taken = False
        self.closed = False
        self._changed = trio.Event()
        self._reported: set[str] = set()
        self._pending = ("", 0.0)  # the entry that is waited for, and since when

    async def run_all(self) -> None:
        """Take and assign jobs until there are no more, and wait for all commands.

        Raises:
            FileFault: the queue file is not valid, and nothing runs that could change this.
            PegasusError: sub-nodes cannot be reached at the start.
        """
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

        def is_meant(assignment: Assignment) -> bool:
            return assignment.number == number and sub_node in {None, assignment.sub_node.number}

        own = run_name in {None, self.run.name}
        names = {None, self.run.name} if own else {run_name}
        running = [
            each
            for each in self.run.ending.running
            if is_meant(each.assignment) and each.run_name in names
        ]
        for command in running:
            command.end(EndedBy.STOP_JOB)
        waiting = [each for each in self.retries.waiting if own and is_meant(each.assignment)]
        for job in waiting:
            self.give_up(job, "stopped before it began")
        self.notify()
        return StoppedJob(
            [command.assignment for command in running if command.is_reached],
            [job.assignment for job in waiting],
            [command.assignment for command in running if not command.is_reached],
        )

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
            idle = connected >= enough() and not self.has_more_to_come()
            if idle and await self._queue_is_empty():
                return False
        return True

    async def _queue_is_empty(self) -> bool:
        try:
            return await self.run.queue.is_empty() and not self.run.queue.pending
        except PegasusError:  # reported once a worker is ready for what may be in the queue
            return False

    async def take(self, fills: Sequence[Fill]) -> Batch:
        """Take up to one job for each fill; a disk that refuses is a fault of the batch."""
        try:
            batch = await self.run.queue.take(fills)
        except PegasusError as error:
            return RefusedBatch(error)
        self.has_taken = self.has_taken or bool(batch.jobs)
        return batch

    def assign(self, worker: Worker, number: int, job: Job, command: Command) -> None:
        """Assign a taken job to a worker; if it is not ready any more, the job waits for another.

        Args:
            worker: it was ready when the job was taken.
            number: of the job.
            job: the job.
            command: the job, rendered for the worker's sub-node.
        """
        assignment = Assignment(number, job, worker.sub_node, command)
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
        """Return whether something is under way that may bring more to do."""
        return bool(self.run.daemon or self.retries or self.is_running() or self.run.queue.pending)

    async def wait_changed(self) -> None:
        """Wait until a worker is ready, a command ended or came back, or sub-nodes changed."""
        await self._changed.wait()

    async def wait_more(self) -> bool:
        """Wait until there may be more to assign; return False when there never will be."""
        if self.run.queue.pending and not self.can_try_again():
            # A writer without pauses changes the file before each check: limit the rate of takes.
            await self._poll_queue()
        while not self.run.queue.changed() and not self.can_try_again():
            if not self.has_more_to_come():
                return False
            await self._poll_queue()
        return True

    async def _poll_queue(self) -> None:
        with trio.move_on_after(QUEUE_POLL):
            await self.wait_changed()
        self._report_pending()

    def _report_pending(self) -> None:
        """Report, after a second, what is waited for, also where the file changes all the time."""
        words, now = self.run.queue.pending, trio.current_time()
        if words != self._pending[0]:
            self._pending = (words, now)
        elif now - self._pending[1] >= PENDING_REPORT_AFTER:
            self._report_once(words)

    def _report_once(self, words: str) -> None:
        if words and words not in self._reported:
            self._reported.add(words)
            self.run.listener.tell(Noted(words))

    async def wait_after(self, fault: PegasusError) -> None:
        """Report a fault, once, and wait until the file or the disk may have changed.

        Raises:
            PegasusError: the fault, when nothing is under way that could bring a change.
        """
        if self.has_more_to_come():
            self._report_once(f"{fault} {_WAITING[isinstance(fault, FileFault)]}")
        if isinstance(fault, FileFault):
            if not await self.wait_more():
                raise fault
            return
        # The disk refuses, so a change of the file is no reason to try at once.
        with trio.move_on_after(DISK_POLL):
            while not self.can_try_again():
                if not self.has_more_to_come():
                    raise fault
                await self.wait_changed()

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
        self.run.listener.tell(Returned(assignment, words))
        self.retries.add_returned(assignment, words)
        self.notify()

    def end(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Handle the end of a command; the job may be tried again."""
        if self._continues and self.retries.count_try(assignment, outcome):
            ended = Ended(assignment, outcome, seconds, again=True)
            self.run.listener.tell(ended)
            self.retries.add_ended(ended)
        elif isinstance(outcome, NotStarted) and (last := self.retries.last_end(assignment)):
            self.run.listener.tell(Returned(assignment, outcome.words))
            self._end_finally(replace(last, again=False))
        else:
            self._end_finally(Ended(assignment, outcome, seconds))
        self.notify()

    def end_inherited(self, ended: Ended) -> None:
        """Handle the end of a command of an earlier run."""
        self._drain_after(ended.outcome)
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
        self.run.listener.tell(ended)
        self._drain_after(ended.outcome)

    def _drain_after(self, outcome: Outcome) -> None:
        """Take nothing more after a failure, if that was asked for."""
        if self.run.error_aborts and self._continues and not succeeded(outcome):
            self.run.ending.drain()
            self.run.listener.tell(Noted("A job failed: nothing more is taken."))

    @property
    def _continues(self) -> bool:
        """Whether jobs are still taken."""
        return not self.closed and self.run.ending.stage is Stage.TAKING

    def notify(self) -> None:
        """Wake the tasks that wait for a change; each change has a new event."""
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
