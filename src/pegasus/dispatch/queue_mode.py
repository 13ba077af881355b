"""Queue mode: each job runs once, on the next sub-node on which it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from pegasus.demand import fits_on
from pegasus.dispatch.choice import choose
from pegasus.dispatch.dispatcher import Dispatcher
from pegasus.dispatch.lanes import lanes_missing
from pegasus.dispatch.pauses import QUEUE_POLL
from pegasus.dispatch.placing import Memory, SlotPicker
from pegasus.dispatch.ports import Batch
from pegasus.dispatch.retry_queue import WaitingJob
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker import Worker
from pegasus.dispatch.worker_states import Away, Connecting
from pegasus.dispatch.workers import are_alike
from pegasus.errors import FileFault, PegasusError
from pegasus.events import Noted, SubNodeAdded
from pegasus.model import Demand, Job, SubNode
from pegasus.placement import Waits
from pegasus.terminal_text import on_one_line

_NAMED_COMMAND = 60
"""Characters of a command that name its job in a sentence."""


class QueueDispatcher(Dispatcher):
    """Runs each job once, on the next sub-node that is ready, until the queue is empty."""

    per_sub_node = False

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._has_pools = any(worker.sub_node.pools for worker in self.workers)
        self._memory = Memory()
        self._refused: Sequence[FileFault] = ()
        self._has_new_nodes = False  # since the last take began
        self._refusals: set[str] = set()  # what was reported of them
        self._nursery: trio.Nursery | None = None

    async def take_and_follow(self, workers: trio.Nursery) -> None:
        """Take and assign jobs, and follow the changes of the sub-nodes meanwhile."""
        self._nursery = workers
        self._open_lanes()
        async with trio.open_nursery() as nursery:
            if self.run.sub_node_updates is not None:
                nursery.start_soon(self._follow, self.run.sub_node_updates)
            await self.pausing.repeat(self.take_and_assign)
            nursery.cancel_scope.cancel(reason="nothing more will be taken")

    async def _follow(self, updates: trio.MemoryReceiveChannel[Sequence[SubNode]]) -> None:
        """Add a worker for each new sub-node, and let the workers of removed ones leave."""
        async for sub_nodes in updates:
            first = [worker for worker in self.workers if not worker.lane]
            others = sorted(first, key=lambda worker: worker.leaving)
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
                    number = max((each.sub_node.number for each in self.workers), default=-1) + 1
                    added = self._add_worker(replace(sub_node, number=number))
                    self.run.listener.tell(SubNodeAdded(added.sub_node))
            gone = {worker.sub_node.number for worker in others}
            for worker in self.workers:
                if worker.sub_node.number in gone:
                    worker.leave()
                    self.desk.forget(worker.sub_node)
                elif worker.lane:
                    worker.stay()
            self._has_pools = any(worker.sub_node.pools for worker in self.workers)
            self._open_lanes()
            self._has_new_nodes = True
            self.notify()

    def _add_worker(self, sub_node: SubNode, lane: int = 0) -> Worker:
        """Add a worker: of a new sub-node, or a further lane of one."""
        assert self._nursery is not None  # noqa: S101 -- workers are added during the run
        worker = Worker(sub_node, self.run, self, lane=lane)
        self.workers.append(worker)
        self._nursery.start_soon(worker.serve)
        return worker

    def _open_lanes(self) -> None:
        """Open further lanes of sub-nodes with pools where commands can start."""
        if not self._has_pools:
            return
        for first, lanes in lanes_missing(self.workers, self.desk.view.free_counter()).items():
            for lane in lanes:
                self._add_worker(first.sub_node, lane)

    async def take_and_assign(self) -> None:
        """Take jobs for the workers that are ready, until the queue is empty."""
        while await self.wait_work(lambda: 1):
            picker = self._picker()
            if picker is None:
                continue
            self.news = self._has_new_nodes = False
            try:
                batch = await self.take(picker)
            except trio.Cancelled:
                picker.cancel()
                raise
            for pick, taken in zip(picker.picked, batch.jobs, strict=False):
                self.assign(pick.worker, taken.number, taken.job, taken.commands[0], pick.slots)
            for waiting, pick, command in picker.again:
                if waiting in self.retries.waiting:
                    self.retries.remove(waiting)
                    self.assign(pick.worker, waiting.number, waiting.job, command, pick.slots)
                else:  # a user has stopped it meanwhile
                    self.ledger.give_back([(waiting.number, pick)])
            self._follow_up(picker, batch)
            if batch.fault is not None:
                await self.pauses.wait_after(batch.fault)
            elif not await self._wait_for_next(picker, batch):
                return

    def _picker(self) -> SlotPicker | None:
        """Begin a take; None where no worker is ready any more."""
        if not self._has_pools:
            self._assign_waiting()
        if not self.ready:
            return None
        return SlotPicker(
            self.run,
            self.workers,
            list(self.ready),
            view=self.desk.view,
            ledger=self.ledger,
            retries=self.retries,
            memory=self._memory,
            gone=self.desk.survey.take_gone(),
            has_pools=self._has_pools,
        )

    def _follow_up(self, picker: SlotPicker, batch: Batch) -> None:
        """Do what follows from a take: ask nodes, open lanes, report what is waited for."""
        picker.finish(batch)
        self._refused = batch.refused
        for fault in batch.refused:  # its line changes when jobs before it are taken
            if fault.what not in self._refusals:
                self._refusals.add(fault.what)
                words = "This entry stays in the file; those below it run, up to a barrier."
                self.run.listener.tell(Noted(f"{fault} {words}"))
        current = picker.round
        # A take that has not read on, since no slot was free, leaves jobs that wait.
        is_cut_short = current is not None and not batch.is_complete and batch.fault is None
        waits = [*picker.waits, *(current.waits if current is not None else ())]
        self.waits = is_cut_short or picker.has_unfilled or bool(waits)
        self.news = self.news or picker.has_unfilled
        is_partial = is_cut_short and not batch.jobs
        self.desk.reporter.see_jobs(waits, batch.refused, is_partial=is_partial)
        self._note_waits(waits)
        if current is not None:
            self.desk.ask({*current.probes, *current.rechecks})
            self._open_lanes()
            if self.waits:
                self.desk.look_around()

    def _note_waits(self, waits: Sequence[tuple[Job, Waits]]) -> None:
        """Tell the user, once, about jobs that may wait for long."""
        for job, answer in waits:
            if answer.reason == "absent" and self._may_come(job.demand):
                continue
            if answer.reason in {"absent", "unusable"}:
                where = f"{job.position}: " if job.position else ""
                named = on_one_line(job.command, _NAMED_COMMAND)
                words = f"{where}a job waits ({named}): {answer.words}. Other jobs go on."
                self.report_once(words, answer.words)  # once, and not for each job and position

    def _may_come(self, demand: Demand) -> bool:
        """Return whether a sub-node for such a job is requested, or first connected to."""
        return any(fits_on(demand, each) for each in self.run.requested()) or any(
            isinstance(worker.state, Connecting) and fits_on(demand, worker.sub_node)
            for worker in self.workers
        )

    async def _wait_for_next(self, picker: SlotPicker, batch: Batch) -> bool:
        """Wait until there may be more to start; return False when there never will be.

        Raises:
            PegasusError: all that is left can run nowhere.
        """
        if batch.barrier is not None:
            await self.gate.pass_through(batch.barrier)
            return True
        if picker.round is None:
            if picker.has_looked_far:
                await self._wait_news()
            if picker.is_full:
                return True
        elif not batch.is_complete:
            await self._wait_news()
            return True
        if await self.pauses.wait_more():
            return True
        if self._refused and batch.jobs:
            return True  # its line has changed since: look once more
        if self._refused:
            raise self._refused[0]
        return False

    async def _wait_news(self) -> None:
        """Wait until a lane is ready, a slot may be free, or the queue may have other jobs."""
        while not (self.news or self.run.queue.changed()):
            with trio.move_on_after(QUEUE_POLL):
                await self.wait_changed()
            self.desk.reporter.flush()

    def _assign_waiting(self) -> None:
        """Assign waiting jobs to ready workers, where nothing is about slots."""
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
            [waiting for waiting in self.retries.waiting if not waiting.is_demanding],
            [worker.sub_node for worker in self.ready],
            [worker.sub_node for worker in self.workers if worker.connected],
            self.retries.can_run,
        )

    def can_try_again(self) -> bool:
        """Return whether a job that waits may start now."""
        self.desk.reporter.flush()
        is_placed = self.waits or (self._has_pools and self.retries)
        if (is_placed and self.news) or (self._refused and (self.news or self._has_new_nodes)):
            return True
        if not self.retries:
            return False
        self.end_hopeless()
        if any(waiting.is_demanding for waiting in self.retries.waiting):
            return self.news and bool(self.ready)
        return not self._has_pools and bool(self._pairs())

    def end_hopeless(self) -> None:
        """End the waiting of jobs that cannot be rendered for any sub-node that stays."""
        for waiting in self.retries.waiting:
            staying = [worker.sub_node for worker in self.workers if not worker.leaving]
            places = (*staying, *self.run.requested())
            if not any(self.retries.can_run(waiting, sub_node) for sub_node in places):
                self.give_up(waiting, waiting.tries.fault or waiting.words)

    def unreachable(self, worker: Worker) -> None:
        """Fail where no sub-node that stays was ever connected, and none is being tried."""
        if self.waits:
            self.notify()  # what a job waits for has changed
        if self.closed or self.has_taken or worker.leaving or worker not in self.workers:
            return
        if self.run.requested():
            return
        staying = (each for each in self.workers if not each.leaving)
        if all(
            isinstance(each.state, Away)
            and not each.history.ever_connected
            and not each.held.may_run
            for each in staying
        ):
            raise PegasusError(
                f"No node can be reached, nothing was taken. Try `{by_hand(worker.sub_node)}` by "
                "hand."
            )


def by_hand(sub_node: SubNode) -> str:
    """Give a command with which a user can try to reach a sub-node."""
    place = sub_node.slurm
    if place is None:
        return f"ssh {sub_node.hostname} echo ok"
    return f"srun --jobid={place.job} --overlap -N1 -n1 -w {sub_node.hostname} echo ok"
