"""The dispatcher's desk, which both modes share: free slots, the hand-over, and what comes back.

Rule 1: take only what can be started: first a slot, then the take, then the hand-over, with no
checkpoint between the last two; so no cancellation can lose a taken job.
Rule 2: draining is a cancel scope around dealing; aborting is one around everything.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

import trio

from pegasus.dispatch.again import Again, Waiting
from pegasus.dispatch.run import Batch, Fill, Run
from pegasus.dispatch.worker import Slot, Worker
from pegasus.errors import FileFault, PegasusError
from pegasus.events import Ended, Noted, Returned, Started
from pegasus.model import Assignment, Job, NotStarted, Outcome, TakenJob, succeeded

QUEUE_POLL = 0.2
"""Seconds between two looks at the queue file. A job that is added starts within half a second;
a look is one ``stat``, which also sees changes made on other machines. It is most of what an idle
Pegasus does."""

STARTED_LIMIT = 5.0
"""Seconds to wait for the words of commands that were just handed over that they have begun; a
node that does not answer must not keep a person who pressed Ctrl-C waiting for the notice."""


DISK_PATIENCE = 5.0
"""Seconds between tries to rewrite a queue file on a disk that is full or gone; somebody has to
do something first, and will not mind."""

SAY_AFTER = 1.0
"""Seconds after which it is said that an entry is waited for that is not written to its end."""

NODE_PATIENCE = 1.0
"""Seconds between two looks at the queue while nothing runs and nodes are away: a node that is gone
for good must not keep a run from its end when nothing is left to do."""

_WAITING = {True: "Waiting for the file to change.", False: "Trying again."}


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A take that the disk refused."""

    fault: PegasusError
    jobs: Sequence[TakenJob] = ()


class Dispatcher(ABC):
    """Owns the queue for the length of a run; workers report to it."""

    everywhere: ClassVar[bool]
    """Whether each job runs on every sub-node."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.workers = [Worker(sub_node, run) for sub_node in run.sub_nodes]
        self.again = Again(run.retries, everywhere=self.everywhere)
        self.has_taken = False
        self.closed = False
        self._announced, self._free = trio.open_memory_channel[Slot](math.inf)
        self._slots: list[Slot] = []
        self._news = trio.Event()
        self._said: set[str] = set()
        self._waits_for = ("", 0.0)  # what is pending, and since when
        run.running.on_stop(self._stop_waiting)

    async def run_all(self) -> None:
        """Deal until there is nothing more to deal, and wait for all that runs."""
        try:
            async with trio.open_nursery() as nursery:
                for worker in self.workers:
                    nursery.start_soon(worker.serve, self)
                try:
                    with self.run.drain.scope:
                        await self.deal_and_hire(nursery)
                finally:  # also where all is cancelled: who waits once more has an end
                    self._close()
                await self._wait_started()
                self.run.drain.over.set()
        finally:
            self.run.drain.over.set()

    async def deal_and_hire(self, workers: trio.Nursery) -> None:  # noqa: ARG002 -- for modes
        """Deal; where sub-nodes may come and go meanwhile, let them."""
        await self.deal()

    @abstractmethod
    async def deal(self) -> None:
        """Take jobs and hand them over, until there are no more."""

    # What modes deal with.

    async def wait_slots(self, enough: int) -> list[Slot]:
        """Wait until that many workers have a shell ready; give all that do."""
        while len(slots := self.slots()) < enough:
            self._slots.append(await self._free.receive())
        return slots

    async def wait_work(self, enough: int) -> bool:
        """Wait until that many workers have a shell ready; False when nobody needs them now."""
        while True:
            with trio.move_on_after(NODE_PATIENCE):
                await self.wait_slots(enough)
                return True
            self.end_hopeless()
            # Before that many were reached, only the failure of the others ends the run.
            reached = sum(worker.reached for worker in self.workers)
            idle = reached >= enough and not self.has_more_to_come()
            if idle and await self._queue_is_empty():
                return False

    async def _queue_is_empty(self) -> bool:
        """Look into the queue without taking anything."""
        try:
            return await self.run.queue.is_empty()
        except PegasusError:
            return False  # the next take reports it

    def slots(self) -> list[Slot]:
        """Give all slots that there are now."""
        self.hear_slots()
        return list(self._slots)

    def hear_slots(self) -> None:
        """Hear all workers that say that they are free, and forget those whose shell is gone."""
        with suppress(trio.WouldBlock):
            while True:
                self._slots.append(self._free.receive_nowait())
        self._slots = [slot for slot in self._slots if slot.stands and not slot.worker.leaving]

    def hand_over(self, slot: Slot, number: int, job: Job, command: str) -> None:
        """Give a taken job to a worker; one that goes or broke meanwhile leaves it to another."""
        self._slots.remove(slot)
        worker = slot.worker
        assignment = Assignment(number, job, worker.sub_node, command)
        if worker.leaving:
            self.take_back(assignment, "its sub-node is leaving")
            return
        try:
            slot.give.send_nowait(assignment)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.take_back(assignment, "its connection broke")
        else:
            worker.assignment = assignment
            self.run.listener.tell(Started(assignment))

    def running(self) -> bool:
        """Tell whether any command runs."""
        return any(worker.assignment is not None for worker in self.workers)

    async def wait_news(self) -> None:
        """Wait until something ended or came back, or a worker is free."""
        await self._news.wait()

    async def more(self) -> bool:
        """Wait until there may be more to hand over; False when there never will be."""
        if self.run.queue.pending and not self.can_try_again():
            # Whoever writes without a pause changes the file at each look: no take after the other.
            with trio.move_on_after(QUEUE_POLL):
                await self.wait_news()
            self._say_pending()
        while not self.run.queue.changed() and not self.can_try_again():
            if not self.has_more_to_come():
                return False
            with trio.move_on_after(QUEUE_POLL):
                await self.wait_news()
            self._say_pending()
        return True

    def _say_pending(self) -> None:
        """Say, after a second, what is waited for, also where it changes all the time."""
        words, now = self.run.queue.pending, trio.current_time()
        if words != self._waits_for[0]:
            self._waits_for = (words, now)
        elif now - self._waits_for[1] >= SAY_AFTER:
            self._say_once(words)

    def _say_once(self, words: str) -> None:
        if words and words not in self._said:
            self._said.add(words)
            self.run.listener.tell(Noted(words))

    @abstractmethod
    def can_try_again(self) -> bool:
        """Tell whether there is a slot for a job that waits once more."""

    def end_hopeless(self) -> None:  # noqa: B027 -- a broadcast has none
        """End the waiting of jobs that no sub-node can ever run."""

    async def take(self, fills: Sequence[Fill]) -> Batch:
        """Take up to one job a fill; a disk that refuses is a fault like one in the file."""
        try:
            batch = await self.run.queue.take(fills)
        except PegasusError as error:
            return _Nothing(error)
        self.has_taken |= bool(batch.jobs)
        return batch

    async def more_after(self, fault: PegasusError) -> None:
        """Say what is wrong, once, and wait for the file, or the disk, to get better.

        Raises:
            PegasusError: the fault, when nothing runs that one could wait for.
        """
        if self.has_more_to_come():
            self._say_once(f"{fault} {_WAITING[isinstance(fault, FileFault)]}")
        if isinstance(fault, FileFault):
            if not await self.more():
                raise fault
            return
        # Here a file that has changed is no reason to try at once: the disk is what refuses.
        with trio.move_on_after(DISK_PATIENCE):
            while not self.can_try_again():
                if not self.has_more_to_come():
                    raise fault
                await self.wait_news()

    def has_more_to_come(self) -> bool:
        """Tell whether anything goes on that may bring more to do."""
        return bool(self.run.daemon or self.again or self.running() or self.run.queue.pending)

    # What workers report.

    def announce(self, slot: Slot) -> None:
        """Offer a slot."""
        self._announced.send_nowait(slot)
        self.tell_news()

    @abstractmethod
    def unreached(self, worker: Worker) -> None:
        """Take note that a worker's sub-node can't be reached."""

    def take_back(self, assignment: Assignment, words: str) -> None:
        """Take back a job that certainly never started; it waits for a sub-node once more."""
        if self.closed:
            self.end(assignment, NotStarted(words), 0.0)
            return
        self.run.listener.tell(Returned(assignment, words))
        self.again.add_returned(assignment, words)
        self.tell_news()

    def end(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Take note of an end, and see to it that the job is tried again if it shall be."""
        goes_on = not self.closed and not self.run.drain.begun
        if goes_on and self.again.wants(assignment, outcome):
            ended = Ended(assignment, outcome, seconds, again=True)
            self.run.listener.tell(ended)
            self.again.add_ended(ended)
        elif isinstance(outcome, NotStarted) and (last := self.again.last(assignment)):
            self.run.listener.tell(Returned(assignment, outcome.words))
            self._end_for_good(replace(last, again=False))
        else:
            self._end_for_good(Ended(assignment, outcome, seconds))
        self.tell_news()

    def give_up(self, waiting: Waiting, words: str) -> None:
        """End a job that waited: as its last try did, or never started if none ever began."""
        if waiting.tries.last is not None:
            self._end_for_good(replace(waiting.tries.last, again=False))
        else:
            self._end_for_good(Ended(waiting.assignment, NotStarted(words), 0.0))

    def _end_for_good(self, ended: Ended) -> None:
        self.again.forget(ended.assignment)
        self.run.listener.tell(ended)
        stops = self.run.error_aborts and not succeeded(ended.outcome)
        if stops and not self.closed and not self.run.drain.begun:
            self.run.drain.begin()
            self.run.listener.tell(Noted("A job failed: nothing more is taken."))

    def _stop_waiting(self, number: int, sub_node: int | None) -> list[Assignment]:
        """End the waiting of a job that a person stops; give what was tried of it before."""
        meant = [
            waiting
            for waiting in self.again.waiting
            if waiting.number == number and sub_node in {None, waiting.assignment.sub_node.number}
        ]
        for waiting in meant:
            self.again.remove(waiting)
            self.give_up(waiting, "stopped before it began")
        self.tell_news()
        return [waiting.assignment for waiting in meant]

    def tell_news(self) -> None:
        """Wake whoever waits for news; each piece of news is a fresh event."""
        self._news.set()
        self._news = trio.Event()

    # The end.

    def _close(self) -> None:
        """Send home whoever has no job; the others go when they are done with theirs."""
        self.closed = True
        for worker in self.workers:
            worker.leave()
        for waiting in self.again.drain():
            self.give_up(waiting, waiting.words)

    async def _wait_started(self) -> None:
        """Wait until everything that was handed over has begun."""
        with trio.move_on_after(STARTED_LIMIT):
            for worker in self.workers:
                if worker.assignment is not None and worker.shell is not None:
                    await worker.shell.wait_begun()
