"""The two ways to deal: each job once, or each job everywhere."""

from __future__ import annotations

from functools import partial

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

    async def deal(self) -> None:
        while True:
            slots = self._give_returned(await self.wait_slots(1))
            if not slots:
                continue
            fills = [partial(self._fill, slot.worker.sub_node) for slot in slots]
            taken = await self.run.queue.take(fills)
            for slot, (job, command) in zip(slots, taken.jobs, strict=False):
                self.hand_over(slot, self.take_note(job), job, command)
            if taken.fault is not None:
                await self.more_after(taken.fault)
            elif len(taken.jobs) < len(slots) and not await self.more():
                return

    def _fill(self, sub_node: SubNode, job: Job) -> str:
        return self.run.fill(job, sub_node)

    def _give_returned(self, slots: list[Slot]) -> list[Slot]:
        """Hand jobs that never started to the next sub-nodes; give the slots that are left."""
        while self.returned and slots:
            (number, job), slot = self.returned.popleft(), slots.pop(0)
            try:
                command = self.run.fill(job, slot.worker.sub_node)
            except TemplateFault as fault:
                assignment = Assignment(number, job, slot.worker.sub_node, job.command)
                self.end(assignment, NotStarted(str(fault)), 0.0)
            else:
                self.hand_over(slot, number, job, command)
        return slots

    def unreached(self, worker: Worker) -> None:
        if all(other.failed and not other.reached for other in self.workers):
            raise PegasusError(
                f"No node can be reached, nothing was taken. Try `ssh {worker.sub_node.hostname} "
                "true` by hand."
            )


class _BroadcastDispatcher(Dispatcher):
    """Each job on every sub-node, in lockstep."""

    async def deal(self) -> None:
        while True:
            slots = await self.wait_slots(len(self.workers))
            slots.sort(key=lambda slot: slot.worker.sub_node.number)
            commands: list[str] = []
            taken = await self.run.queue.take([partial(self._fill_all, commands)])
            for job, _ in taken.jobs:
                await self._step(slots, job, commands)
            if taken.fault is not None:
                await self.more_after(taken.fault)
            elif not taken.jobs and not await self.more():
                return

    async def _step(self, slots: list[Slot], job: Job, commands: list[str]) -> None:
        """Run one job everywhere, and wait for all."""
        number = self.take_note(job)
        for slot, command in zip(slots, commands, strict=True):
            self.hand_over(slot, number, job, command)
        while self.running():
            await self.wait_news()

    def _fill_all(self, commands: list[str], job: Job) -> str:
        commands[:] = [self.run.fill(job, worker.sub_node) for worker in self.workers]
        return max(commands, key=len)

    def take_back(self, assignment: Assignment, words: str) -> None:
        """Account for a job that never started: nobody else can run it for this sub-node."""
        self.end(assignment, NotStarted(words), 0.0)

    def unreached(self, worker: Worker) -> None:
        if self.number == 0 and not worker.reached:
            raise PegasusError(
                f"{worker.sub_node} can't be reached, and a broadcast needs every sub-node: "
                "nothing was taken. Mend it, or take it out of the hosts file."
            )
