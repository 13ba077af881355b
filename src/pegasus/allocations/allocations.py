"""The allocations of a run, and the sub-nodes that it has at the moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from pegasus.allocations.client import AsksSlurm
from pegasus.allocations.ending import wait_unused
from pegasus.allocations.entry_lock import EntryLock
from pegasus.allocations.hooks import AllocationUse
from pegasus.allocations.own import OwnAllocation
from pegasus.allocations.request import AllocationRequest, is_requested, requests_of
from pegasus.allocations.requester import Requester
from pegasus.allocations.work import WaitingWork
from pegasus.errors import PegasusError
from pegasus.events import Event, Listener, Printed, SubNodeAdded, Unreachable
from pegasus.model import SubNode

ENDING_TIME = 20.0
"""Seconds for the end of a command at its time limit: SIGTERM, SIGKILL ten seconds later, and the
report."""

WAIT_LOOK = 0.5
"""Seconds until a broadcast that waits for its nodes sees that it was ended."""


@dataclass(frozen=True, slots=True)
class AllocationPorts:
    """What the allocations need of the run.

    Attributes:
        note: tells the user.
        tell: gets events.
        is_taking: tells whether the run takes jobs.
        use_of: says what the dispatcher does with the nodes of an allocation.
        work: the jobs that wait.
        drain: lets the run take nothing more.
        queue: the name of the queue file.
        is_killed: tells whether the run was killed, and has to end at once.
    """

    note: Callable[[str], None]
    tell: Callable[[Event], None]
    is_taking: Callable[[], bool]
    use_of: Callable[[str], AllocationUse]
    work: WaitingWork
    drain: Callable[[], None]
    queue: str = ""
    is_killed: Callable[[], bool] = bool


@dataclass(frozen=True, slots=True)
class AllocationLimits:
    """What limits the allocations of a run.

    Attributes:
        timeout: seconds that a job may take; infinite where there is no limit.
        is_broadcast: whether the sub-nodes stay the same during the run.
    """

    timeout: float = math.inf
    is_broadcast: bool = False


class Allocations:
    """Has the allocations of a run, and listens to it: a node that is gone is worth a question.

    Args:
        sub_nodes: those of the hosts file, with those that stand for requests.
        folder: for the locks of the entries, which all runs of the queue share; None where there is
            none.
        slurm: asks Slurm.
        ports: the run.
        limits: of the run.
    """

    def __init__(
        self,
        sub_nodes: Sequence[SubNode],
        folder: Path | None,
        slurm: AsksSlurm,
        ports: AllocationPorts,
        limits: AllocationLimits,
    ) -> None:
        self._folder, self._slurm, self._ports = folder, slurm, ports
        self._queue = ports.queue
        self._timeout, self._is_broadcast = limits.timeout, limits.is_broadcast
        self._given: Sequence[SubNode] = tuple(sub_nodes)
        self._wanted = _by_key(sub_nodes)
        self._requesters: dict[str, Requester] = {}
        self._changed = trio.Event()
        self._has_begun = False
        self._is_complete = False  # a broadcast has all its nodes
        self._is_needed = not limits.is_broadcast  # a broadcast has something to do
        self._own = self._find_own(sub_nodes)

    # What the run has.

    @property
    def sub_nodes(self) -> tuple[SubNode, ...]:
        """The sub-nodes that may get jobs now."""
        own = self._own
        fixed = [own.described(each) if own else each for each in self._fixed()]
        found = [each for requester in self._requesters.values() for each in requester.sub_nodes]
        return (*fixed, *found)

    def requested(self) -> tuple[SubNode, ...]:
        """Give the sub-nodes that stand for nodes which may join the run.

        What those of an allocation are that is there, is known.
        """
        known = {key for key, each in self._requesters.items() if each.hopeless or each.is_open}
        wanted = self._wanted.items()
        return tuple(row for key, each in wanted if key not in known for row in each.rows)

    def _fixed(self) -> list[SubNode]:
        """Give the sub-nodes that are there without a request."""
        ending = self._own.job if self._own and self._own.is_ending else None
        return [
            each
            for each in self._given
            if each.slurm is None or not (is_requested(each) or each.slurm.job == ending)
        ]

    def _find_own(self, sub_nodes: Sequence[SubNode]) -> OwnAllocation | None:
        nodes = [each for each in sub_nodes if each.slurm is not None and each.slurm.job]
        if not nodes or nodes[0].slurm is None:
            return None
        names = list(dict.fromkeys(each.hostname for each in nodes))
        return OwnAllocation(nodes[0].slurm.job, names, self._slurm, self.longest_job())

    # The run.

    async def describe(self) -> None:
        """Ask Slurm about the nodes of the allocation in which Pegasus runs, if it runs in one."""
        if self._own is not None:
            await self._own.describe()

    async def run(
        self,
        hosts: trio.MemoryReceiveChannel[Sequence[SubNode]],
        send: trio.MemorySendChannel[Sequence[SubNode]],
    ) -> None:
        """Have the allocations, until it is cancelled.

        Args:
            hosts: the sub-nodes of the hosts file, whenever it has changed.
            send: gets the sub-nodes of the run, whenever they have changed.

        Raises:
            PegasusError: there is no sub-node, and there will be none.
        """
        sent = self.sub_nodes
        async with trio.open_nursery() as nursery:
            self._follow_requests(nursery)
            if self._own is not None:
                nursery.start_soon(self._watch_own, self._own)
            if not self._is_broadcast:
                nursery.start_soon(self._send, send, sent)
            async for given in hosts:
                self._given, self._wanted = given, _by_key(given)
                self._follow_requests(nursery)
                self._refuse_hopeless()
                self.publish()
                if self._own is None and (own := self._find_own(given)) is not None:
                    await own.describe()
                    self._own = own
                    nursery.start_soon(self._watch_own, own)
                    self.publish()

    async def wait_all(self, listener: Listener, *, may_be_empty: bool) -> Sequence[SubNode]:
        """Wait until each request has its nodes: a broadcast begins with all of them.

        Args:
            listener: is told of the new sub-nodes.
            may_be_empty: whether the queue may be empty.

        Returns:
            All sub-nodes, each with a number of its own; none where there is nothing to do.
        """
        fixed = self.sub_nodes
        if not self._wanted:
            return fixed
        if not may_be_empty and not await self._ports.work.exists():
            return ()
        self._is_needed = True
        while not self._has_begun or not all(each.is_open for each in self._requesters.values()):
            if not self._ports.is_taking():
                return ()
            with trio.move_on_after(WAIT_LOOK):
                await self._changed.wait()
        self._is_complete = True
        first = max((each.number for each in fixed), default=-1) + 1
        new = [each for each in self.sub_nodes if each not in fixed]
        added = [replace(each, number=number) for number, each in enumerate(new, first)]
        for each in added:
            listener.tell(SubNodeAdded(each))
        return (*fixed, *added)

    def _follow_requests(self, nursery: trio.Nursery) -> None:
        """Have a requester for each request of the hosts file, and retire the others."""
        for key, requester in list(self._requesters.items()):
            if key in self._wanted:
                continue
            if requester.hopeless:  # an entry that comes back is tried again
                self._requesters.pop(key)
            requester.retire()
        for key, request in self._wanted.items():
            if key in self._requesters:
                self._requesters[key].keep(request)
            else:
                self._requesters[key] = self._requester_of(request)
                nursery.start_soon(self._have, key, nursery)
        self._has_begun = True
        self._wake()

    def _requester_of(self, request: AllocationRequest) -> Requester:
        if self._folder is None:
            raise PegasusError(
                "A `slurm` entry with options needs a record, to find the allocation again. See "
                "above."
            )
        lock = EntryLock(self._folder / request.lock_name(self._queue))
        return Requester(request, lock, self._slurm, self)

    async def _have(self, key: str, nursery: trio.Nursery) -> None:
        requester = self._requesters[key]
        await requester.run()
        if self._requesters.get(key) is not requester:
            return  # another one has it by now
        if not requester.hopeless:
            del self._requesters[key]
            self._follow_requests(nursery)  # the entry may have come back meanwhile
        else:
            self._refuse_hopeless()
            self._ports.note(requester.hopeless)
            if not (self._fixed() or self._hopeful()):
                self._ports.drain()  # commands run in the allocation of Pegasus, at its end
        self.publish()

    def _hopeful(self) -> list[Requester]:
        return [each for each in self._requesters.values() if not each.hopeless]

    def _refuse_hopeless(self) -> None:
        """End the run where there is no sub-node, and will be none.

        Raises:
            PegasusError: with the reason of one that is missing.
        """
        reasons = [each.hopeless for each in self._requesters.values() if each.hopeless]
        is_ending = self._own is not None and self._own.is_ending
        has_nodes = bool(self._fixed() or self._hopeful() or is_ending)
        if reasons and (self._is_broadcast or not has_nodes):
            raise PegasusError(reasons[-1])

    async def _watch_own(self, own: OwnAllocation) -> None:
        words = await own.wait_end()
        self._ports.note(words)
        if self._is_broadcast or not (self._fixed() or self._hopeful()):
            self._ports.drain()
        self.publish()

    async def _send(
        self,
        send: trio.MemorySendChannel[Sequence[SubNode]],
        sent: Sequence[SubNode],
    ) -> None:
        """Send the sub-nodes after each change.

        Args:
            send: gets them.
            sent: those that the run has at its beginning.
        """
        while True:
            while (now := self.sub_nodes) == sent:
                await self._changed.wait()
            sent = now
            await send.send(now)

    # What requesters, and the run, tell.

    def note(self, words: str) -> None:
        """Tell the user."""
        self._ports.note(words)

    def report(self, event: Event) -> None:
        """Tell the run what has happened."""
        self._ports.tell(event)

    def publish(self) -> None:
        """Tell the dispatcher that sub-nodes have changed."""
        self._wake()
        if self._is_complete:
            self._ports.drain()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def use_of(self, job: str) -> AllocationUse:
        """Say what the dispatcher does with the nodes of an allocation."""
        return self._ports.use_of(job)

    def is_taking(self) -> bool:
        """Tell whether the run takes jobs."""
        return self._ports.is_taking()

    def is_killed(self) -> bool:
        """Tell whether the run was killed, and has to end at once."""
        return self._ports.is_killed()

    def has_other_nodes(self) -> bool:
        """Tell whether the run can go on without one of its allocations."""
        return bool(self._fixed()) or len(self._hopeful()) > 1

    async def has_work(self, request: AllocationRequest) -> bool:
        """Tell whether a job waits that could run on the nodes of a request."""
        if self._is_broadcast:
            await trio.lowlevel.checkpoint()
            return self._is_needed
        return await self._ports.work.exists_for(request)

    def longest_job(self) -> float:
        """Give the seconds that a job may take with its end; 0 where there is no limit."""
        return 0.0 if self._timeout == math.inf else self._timeout + ENDING_TIME

    async def lost_allocation(self, job: str, words: str) -> None:
        """Handle an allocation that has ended while the run could use it.

        Raises:
            PegasusError: the run is a broadcast; what ran there is reported as lost before.
        """
        if self._is_broadcast:
            await wait_unused(self, job)
            raise PegasusError(
                f"{words}: the broadcast cannot go on. `pegasus broadcast --resume` continues it."
            )

    def tell(self, event: Event) -> None:
        """Ask Slurm soon where a node of an allocation cannot be reached."""
        if isinstance(event, Unreachable) and event.sub_node.slurm is not None:
            if self._own is not None:
                self._own.look_soon()
            for requester in self._requesters.values():
                requester.look_soon()

    async def show(self, printed: Printed) -> None:
        """Ignore output."""


def _by_key(sub_nodes: Sequence[SubNode]) -> dict[str, AllocationRequest]:
    """Collect the requests among some sub-nodes, by what identifies them."""
    return {each.key: each for each in requests_of(sub_nodes)}
