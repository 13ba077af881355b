"""The two ways to deal: each job once, or each job everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import trio

from pegasus.dispatch.again import Waiting
from pegasus.dispatch.desk import Dispatcher
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker import Slot, Worker
from pegasus.errors import PegasusError, TemplateFault
from pegasus.events import SubNodeAdded
from pegasus.model import Command, Job, SubNode, TakenJob


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


_Match: TypeAlias = tuple[Waiting, Slot, str]
"""A job that waits once more, the slot that it gets, and the command that it is there."""


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
            others = sorted(self.workers, key=lambda worker: worker.leaving)
            for sub_node in sub_nodes:
                same = (
                    worker
                    for worker in others
                    # One that is on its way out would else run a command beside the new one's.
                    if _alike(worker.sub_node, sub_node) and (not worker.leaving or worker.stay())
                )
                if worker := next(same, None):
                    others.remove(worker)
                else:
                    nursery.start_soon(self._hire(sub_node).serve, self)
            for worker in others:
                worker.leave()
            self.tell_news()

    def _hire(self, sub_node: SubNode) -> Worker:
        """Make a worker for a sub-node, with a number that none has had."""
        number = max(worker.sub_node.number for worker in self.workers) + 1
        worker = Worker(replace(sub_node, number=number), self.run)
        self.workers.append(worker)
        self.run.listener.tell(SubNodeAdded(worker.sub_node))
        return worker

    async def deal(self) -> None:
        while await self.wait_work(1):
            self._hand_over_again()
            slots = self.slots()
            if not slots:
                continue
            fills = [partial(self._fill, slot.worker.sub_node) for slot in slots]
            taken = await self.take(fills)
            for slot, each in zip(slots, taken.jobs, strict=False):
                self.hand_over(slot, each.number, each.job, each.commands[0])
            if taken.fault is not None:
                await self.more_after(taken.fault)
            elif len(taken.jobs) < len(slots) and not await self.more():
                return

    def _fill(self, sub_node: SubNode, job: Job) -> tuple[Command, ...]:
        return (self.run.fill(job, sub_node),)

    def _hand_over_again(self) -> None:
        """Hand jobs that wait once more to the slots that are there for them."""
        self.end_hopeless()
        for waiting, slot, command in self._matches():
            self.again.remove(waiting)
            self.hand_over(slot, waiting.number, waiting.job, command)

    def _matches(self) -> list[_Match]:
        """Pair jobs that wait with slots, on sub-nodes that have not tried them where there are."""
        free: list[Slot] = self.slots()
        matches: list[_Match] = []
        for waiting in self.again.waiting:
            if not free:
                break
            if match := self._match(waiting, free):
                free.remove(match[1])
                matches.append(match)
        return matches

    def _match(self, waiting: Waiting, free: list[Slot]) -> _Match | None:
        """Choose a slot for a job; none, where a sub-node that is busy now is better."""
        tried = set(waiting.tries.sub_nodes)
        fresh = [slot for slot in free if slot.worker.sub_node.number not in tried]
        for slot in fresh:
            if (command := self._command(waiting, slot.worker)) is not None:
                return waiting, slot, command
        for worker in self.workers:
            untried = worker.connected and worker.sub_node.number not in tried
            if untried and self._command(waiting, worker) is not None:
                return None
        for slot in free:
            if (command := self._command(waiting, slot.worker)) is not None:
                return waiting, slot, command
        return None

    def _command(self, waiting: Waiting, worker: Worker) -> str | None:
        """Fill a job in for a sub-node, once; None where it can't be."""
        commands, number = waiting.tries.commands, worker.sub_node.number
        if number not in commands:
            try:
                commands[number] = self.run.fill(waiting.job, worker.sub_node)
            except TemplateFault as fault:
                commands[number], waiting.tries.fault = None, str(fault)
        return commands[number]

    def can_try_again(self) -> bool:
        self.end_hopeless()
        return bool(self.again) and bool(self._matches())

    def end_hopeless(self) -> None:
        """End the waiting of jobs that can't be filled in for any sub-node that stays."""
        for waiting in self.again.waiting:
            staying = (worker for worker in self.workers if not worker.leaving)
            if not any(self._command(waiting, worker) is not None for worker in staying):
                self.again.remove(waiting)
                self.give_up(waiting, waiting.tries.fault or waiting.words)

    def unreached(self, worker: Worker) -> None:
        if self.closed or self.has_taken or worker.leaving:
            return  # it is over for all or for this one, or something was taken, so one was reached
        if all(other.failed and not other.reached for other in self.workers if not other.leaving):
            raise PegasusError(
                f"No node can be reached, nothing was taken. Try `ssh {worker.sub_node.hostname} "
                "echo ok` by hand."
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
            taken = await self.take([self._fill_all])
            for each in taken.jobs:
                await self._step(slots, each)
            if taken.fault is not None:
                await self.more_after(taken.fault)
            elif not taken.jobs and not await self.more():
                return

    async def _step(self, slots: list[Slot], taken: TakenJob) -> None:
        """Run one job everywhere, and wait for all, also for those that try once more."""
        for slot, command in zip(slots, taken.commands, strict=True):
            self.hand_over(slot, taken.number, taken.job, command)
        self._hand_over_again()
        while self.running() or self.again:
            await self.wait_news()
            self._hand_over_again()

    def _hand_over_again(self) -> None:
        """Give sub-nodes their command once more, once they are ready.

        The step failed on them, or never started: nobody else can run it for them.
        """
        if not self.again:
            return
        slots = {slot.worker.sub_node.number: slot for slot in self.slots()}
        for waiting in self.again.waiting:
            before = waiting.assignment
            if slot := slots.get(before.sub_node.number):
                self.again.remove(waiting)
                self.hand_over(slot, before.number, before.job, before.command)

    def _fill_all(self, job: Job) -> tuple[Command, ...]:
        return tuple(self.run.fill(job, worker.sub_node) for worker in self.workers)

    def can_try_again(self) -> bool:
        self.hear_slots()
        return False

    def unreached(self, worker: Worker) -> None:
        if not self.has_taken and not worker.reached and not self.closed:
            raise PegasusError(
                f"{worker.sub_node} can't be reached, and a broadcast needs every sub-node: "
                "nothing was taken. Repair it, or take it out of the hosts file."
            )
