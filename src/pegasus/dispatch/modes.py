"""Two modes: each job runs once, or nothing is taken; see ``broadcast`` for the third one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import trio

from pegasus.dispatch.choice import choose
from pegasus.dispatch.dispatcher import Dispatcher
from pegasus.dispatch.ports import Batch, Fill
from pegasus.dispatch.retry_queue import WaitingJob
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker import Away, Worker
from pegasus.dispatch.workers import are_alike
from pegasus.errors import PegasusError
from pegasus.events import SubNodeAdded
from pegasus.model import Command, Job, StepOrigin, SubNode, TakenJob


class QueueDispatcher(Dispatcher):
    """Runs each job once, on the next sub-node that is ready, until the queue is empty."""

    per_sub_node = False

    async def take_and_follow(self, workers: trio.Nursery) -> None:
        """Take and assign jobs, and follow the changes of the sub-nodes meanwhile."""
        async with trio.open_nursery() as nursery:
            if self.run.sub_node_updates is not None:
                nursery.start_soon(self._follow, self.run.sub_node_updates, workers)
            await self.take_and_assign()
            nursery.cancel_scope.cancel(reason="nothing more will be taken")

    async def _follow(
        self, updates: trio.MemoryReceiveChannel[Sequence[SubNode]], nursery: trio.Nursery
    ) -> None:
        """Add a worker for each new sub-node, and let the workers of removed ones leave."""
        async for sub_nodes in updates:
            others = sorted(self.workers, key=lambda worker: worker.leaving)
            for sub_node in sub_nodes:
                # A worker that is leaving stays: a new one would run a second command beside it.
                same = (
                    worker
                    for worker in others
                    if are_alike(worker.sub_node, sub_node)
                    and (not worker.leaving or worker.stay())
                )
                if worker := next(same, None):
                    others.remove(worker)
                else:
                    nursery.start_soon(self._add_worker(sub_node).serve)
            for worker in others:
                worker.leave()
            self.notify()

    def _add_worker(self, sub_node: SubNode) -> Worker:
        """Add a worker for a sub-node, with a number that no other has had."""
        number = max(worker.sub_node.number for worker in self.workers) + 1
        worker = Worker(replace(sub_node, number=number), self.run, self)
        self.workers.append(worker)
        self.run.listener.tell(SubNodeAdded(worker.sub_node))
        return worker

    async def take_and_assign(self) -> None:
        """Take one job for each ready worker, until the queue is empty."""
        while await self.wait_work(lambda: 1):
            self._assign_waiting()
            workers = list(self.ready)
            if not workers:
                continue
            batch = await self.take([partial(self._fill, worker.sub_node) for worker in workers])
            for worker, taken in zip(workers, batch.jobs, strict=False):
                self.assign(worker, taken.number, taken.job, taken.commands[0])
            if batch.fault is not None:
                await self.wait_after(batch.fault)
            elif len(batch.jobs) < len(workers) and not await self.wait_more():
                return

    def _fill(self, sub_node: SubNode, job: Job) -> tuple[Command, ...]:
        return (self.run.fill(job, sub_node),)

    def _assign_waiting(self) -> None:
        """Assign waiting jobs to ready workers."""
        if not self.retries:
            return
        self.end_hopeless()
        workers = {worker.sub_node.number: worker for worker in self.ready}
        for waiting, sub_node in self._pairs():
            command = self.retries.command(waiting, sub_node)
            if command is not None:
                self.retries.remove(waiting)
                self.assign(workers[sub_node.number], waiting.number, waiting.job, command)

    def _pairs(self) -> list[tuple[WaitingJob, SubNode]]:
        return choose(
            self.retries.waiting,
            [worker.sub_node for worker in self.ready],
            [worker.sub_node for worker in self.workers if worker.connected],
            self.retries.can_run,
        )

    def can_try_again(self) -> bool:
        """Return whether there is a ready worker for a job that waits."""
        if not self.retries:
            return False
        self.end_hopeless()
        return bool(self._pairs())

    def end_hopeless(self) -> None:
        """End the waiting of jobs that cannot be rendered for any sub-node that stays."""
        for waiting in self.retries.waiting:
            staying = (worker for worker in self.workers if not worker.leaving)
            if not any(self.retries.can_run(waiting, worker.sub_node) for worker in staying):
                self.give_up(waiting, waiting.tries.fault or waiting.words)

    def unreachable(self, worker: Worker) -> None:
        """Fail where no sub-node that stays was ever connected, and none is being tried."""
        if self.closed or self.has_taken or worker.leaving or worker not in self.workers:
            return
        staying = (each for each in self.workers if not each.leaving)
        if all(
            isinstance(each.state, Away)
            and not each.history.ever_connected
            and not each.held.may_run
            for each in staying
        ):
            raise PegasusError(
                f"No node can be reached, nothing was taken. Try `ssh {worker.sub_node.hostname} "
                "echo ok` by hand."
            )


@dataclass(frozen=True, slots=True)
class NoJobs:
    """What is taken from ``NoQueue``."""

    jobs: Sequence[TakenJob] = ()
    fault: PegasusError | None = None


class NoQueue:
    """A queue that is and stays empty."""

    async def take(self, fills: Sequence[Fill]) -> Batch:  # noqa: ARG002 -- see ``Queue``
        """Take nothing."""
        await trio.lowlevel.checkpoint()
        return NoJobs()

    def take_again(self, job: Job, origin: StepOrigin) -> int:
        """Refuse it: what follows commands runs no job."""
        raise NotImplementedError

    async def is_empty(self) -> bool:
        """Return True."""
        await trio.lowlevel.checkpoint()
        return True

    def changed(self) -> bool:
        """Return False."""
        return False

    @property
    def pending(self) -> str:
        """Give no words."""
        return ""


class AttachDispatcher(Dispatcher):
    """Follows detached commands of earlier runs to their ends; takes nothing."""

    per_sub_node = True

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.closed = True  # workers end as soon as they follow nothing

    async def take_and_assign(self) -> None:
        """Wait until each node was tried, and no command that is followed runs any more."""
        for worker in self.followers:
            await worker.held.probed.wait()
        while self.is_running():
            await self.wait_changed()

    def can_try_again(self) -> bool:
        """Return False: no job waits."""
        return False

    def unreachable(self, worker: Worker) -> None:
        """Accept it: the worker tries again."""
