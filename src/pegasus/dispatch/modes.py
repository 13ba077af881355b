"""The two ways to deal: each job once, or each job everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import trio

from pegasus.dispatch.again import Waiting
from pegasus.dispatch.desk import Dispatcher
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker import Slot, Worker
from pegasus.errors import PegasusError, TemplateFault
from pegasus.model import Assignment, Job, NotStarted, SubNode


async def run_queue(run: Run) -> None:
    """Run each job once, on the next free sub-node, until the queue is empty or drained.

    Raises:
        FileFault: the queue file can't be read on, and nothing runs that one could wait for.
        PegasusError: no sub-node at all can be reached.
    """
    await _QueueDispatcher(run).run_all()


async def run_broadcast(run: Run) -> None:
    """Run each job on every sub-node; the next is taken when all are done with this one.

    Raises:
        FileFault: the queue file can't be read on.
        PegasusError: a sub-node can't be reached at the start.
    """
    await _BroadcastDispatcher(run).run_all()


class _QueueDispatcher(Dispatcher):
    """Each job once, on the next free sub-node."""

    everywhere = False

    async def deal_and_hire(self, workers: trio.Nursery) -> None:
        """Deal, and follow the roster."""
        async with trio.open_nursery() as nursery:
            if self.run.roster is not None:
                nursery.start_soon(self._follow, self.run.roster, workers)
            await self.deal()
            nursery.cancel_scope.cancel(reason="nothing more will be taken")

    async def _follow(
        self, roster: trio.MemoryReceiveChannel[Sequence[SubNode]], nursery: trio.Nursery
    ) -> None:
        """Hire a worker for each new sub-node, and let those go whose sub-node is gone."""
        async for sub_nodes in roster:
            staying = [worker for worker in self.workers if not worker.leaving]
            for sub_node in sub_nodes:
                same = [worker for worker in staying if _alike(worker.sub_node, sub_node)]
                if same:
                    staying.remove(same[0])
                else:
                    nursery.start_soon(self._hire(sub_node).serve, self)
            for worker in staying:
                worker.leave()

    def _hire(self, sub_node: SubNode) -> Worker:
        """Make a worker for a sub-node, with a number that none has had."""
        number = max(worker.sub_node.number for worker in self.workers) + 1
        worker = Worker(replace(sub_node, number=number), self.run)
        self.workers.append(worker)
        return worker

    async def deal(self) -> None:
        while await self.wait_work(1):
            self._hand_over_again()
            slots = self.slots()
            if not slots:
                continue
            fills = [partial(self._fill, slot.worker.sub_node) for slot in slots]
            taken = await self.take(fills)
            for slot, (job, command) in zip(slots, taken.jobs, strict=False):
                self.hand_over(slot, self.take_note(job), job, command)
            if taken.fault is not None:
                await self.more_after(taken.fault)
            elif len(taken.jobs) < len(slots) and not await self.more():
                return

    def _fill(self, sub_node: SubNode, job: Job) -> str:
        return self.run.fill(job, sub_node)

    def _hand_over_again(self) -> None:
        """Hand jobs that wait once more to the slots that are there for them."""
        for waiting, slot in self._matches():
            self.again.remove(waiting)
            sub_node = slot.worker.sub_node
            try:
                command = self.run.fill(waiting.job, sub_node)
            except TemplateFault as fault:
                command = waiting.job.command
                assignment = Assignment(waiting.number, waiting.job, sub_node, command)
                self.end(assignment, NotStarted(str(fault)), 0.0)
            else:
                self.hand_over(slot, waiting.number, waiting.job, command)

    def _matches(self) -> list[tuple[Waiting, Slot]]:
        return list(self.again.match(self.slots(), self._others_are_there))

    def _others_are_there(self, tried: set[int]) -> bool:
        return any(
            worker.reached and not worker.failed
            for worker in self.workers
            if worker.sub_node.number not in tried
        )

    def can_try_again(self) -> bool:
        self.hear_slots()
        return bool(self.again) and bool(self._matches())

    def unreached(self, worker: Worker) -> None:
        if self.closed or self.number:
            return  # it is over, or something was taken: some node was reached
        if all(other.failed and not other.reached for other in self.workers if not other.leaving):
            raise PegasusError(
                f"No node can be reached, nothing was taken. Try `ssh {worker.sub_node.hostname} "
                "true` by hand."
            )


def _alike(one: SubNode, other: SubNode) -> bool:
    return replace(one, number=other.number) == other


class _BroadcastDispatcher(Dispatcher):
    """Each job on every sub-node, in lockstep."""

    everywhere = True

    async def deal(self) -> None:
        while await self.wait_work(len(self.workers)):
            slots = self.slots()
            slots.sort(key=lambda slot: slot.worker.sub_node.number)
            commands: list[str] = []
            taken = await self.take([partial(self._fill_all, commands)])
            for job, _ in taken.jobs:
                await self._step(slots, job, commands)
            if taken.fault is not None:
                await self.more_after(taken.fault)
            elif not taken.jobs and not await self.more():
                return

    async def _step(self, slots: list[Slot], job: Job, commands: list[str]) -> None:
        """Run one job everywhere, and wait for all, also for those that try again."""
        number = self.take_note(job)
        for slot, command in zip(slots, commands, strict=True):
            self.hand_over(slot, number, job, command)
        while self.running() or self.again:
            if self.again:
                await self._hand_over_again()
            else:
                await self.wait_news()

    async def _hand_over_again(self) -> None:
        """Let a sub-node on which the step failed try its command again."""
        waiting = self.again.first()
        if waiting.last is not None:
            before = waiting.last.assignment
            slot = await self._slot_of(before.sub_node)
            self.again.remove(waiting)
            self.hand_over(slot, before.number, before.job, before.command)

    async def _slot_of(self, sub_node: SubNode) -> Slot:
        """Wait until a sub-node is ready once more."""
        enough = 1
        while True:
            slots = await self.wait_slots(enough)
            for slot in slots:
                if slot.worker.sub_node == sub_node:
                    return slot
            enough = len(slots) + 1

    def _fill_all(self, commands: list[str], job: Job) -> str:
        commands[:] = [self.run.fill(job, worker.sub_node) for worker in self.workers]
        return commands[0]

    def can_try_again(self) -> bool:
        self.hear_slots()
        return False

    def take_back(self, assignment: Assignment, words: str) -> None:
        """Account for a job that never started: nobody else can run it for this sub-node."""
        self.end(assignment, NotStarted(words), 0.0)

    def unreached(self, worker: Worker) -> None:
        if self.number == 0 and not worker.reached and not self.closed:
            raise PegasusError(
                f"{worker.sub_node} can't be reached, and a broadcast needs every sub-node: "
                "nothing was taken. Mend it, or take it out of the hosts file."
            )
