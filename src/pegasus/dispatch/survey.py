"""Which commands live on the nodes: asked where a slot or a barrier waits for a command to be gone.

Rule 1: a node is asked only while something waits for its answer, and its answer delays nothing
else.
Rule 2: a node that is away is not asked, and what ran there may still run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import trio

from pegasus.dispatch.asking import open_asker
from pegasus.dispatch.run import Run
from pegasus.dispatch.slot_ledger import SlotLedger
from pegasus.dispatch.worker import Worker
from pegasus.errors import NodeUnreachable
from pegasus.holds import DoubtfulCommand, DoubtfulHold, Hold, JobOfRun, gone
from pegasus.living import LIVING_COMMANDS, living_of
from pegasus.model import Exited

ASK_PAUSE = 1.0
"""Seconds between two questions to a node: a command of a killed run ends within ten."""

ASK_LIMIT = 20.0
"""Seconds for an answer; the node looks through its processes."""


class Survey:
    """Asks nodes which commands live on them.

    Args:
        run: the run.
        workers: its workers; one that is connected shows how its node is reached.
        ledger: has the holds that are in doubt.
        on_change: called when there is an answer.
    """

    def __init__(
        self,
        run: Run,
        workers: Sequence[Worker],
        ledger: SlotLedger,
        on_change: Callable[[], None],
    ) -> None:
        self._gone: list[Hold] = []
        self._run = run
        self._workers = workers
        self._ledger = ledger
        self._on_change = on_change
        self._woken = trio.Event()
        self._asked: set[Worker | None] = set()  # those that have not answered yet

    def want(self) -> None:
        """Ask the nodes on which something is in doubt; never waits."""
        self._woken.set()

    def take_gone(self) -> list[Hold]:
        """Give the holds of other runs whose commands are gone, once: a take removes them."""
        found, self._gone = self._gone, []
        return found

    async def run(self) -> None:
        """Ask what is wanted, until it is cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._woken.wait()
                self._woken = trio.Event()
                holds, commands = await trio.to_thread.run_sync(
                    self._doubts, trio.current_time(), abandon_on_cancel=True
                )
                if not holds and not commands:
                    continue
                at = {each: self._worker_at(each.hold.node) for each in holds}
                of = {each: self._worker_of(each) for each in commands}
                for worker in {*at.values(), *of.values()} - self._asked:
                    mine = [each for each, its in at.items() if its is worker]
                    theirs = [each for each, its in of.items() if its is worker]
                    self._asked.add(worker)
                    nursery.start_soon(self._settle, worker, mine, theirs)
                await trio.sleep(ASK_PAUSE)

    def _doubts(self, now: float) -> tuple[list[DoubtfulHold], list[DoubtfulCommand]]:
        """Find what is in doubt; in a thread."""
        return self._ledger.in_doubt(now), list(self._run.barriers.doubtful())

    def _worker_at(self, place: str) -> Worker | None:
        return self._best(each for each in self._workers if each.place == place)

    def _worker_of(self, command: DoubtfulCommand) -> Worker | None:
        """Find a worker on the node of a command of another run."""
        node = (command.sub_node.hostname, command.sub_node.transport)
        return self._best(
            each
            for each in self._workers
            if (each.sub_node.hostname, each.sub_node.transport) == node
        )

    @staticmethod
    def _best(workers: Iterable[Worker]) -> Worker | None:
        """Give a worker of a node that stays in the run, if possible one that is connected."""
        staying = [each for each in workers if not each.leaving]
        return next((each for each in staying if each.connected), next(iter(staying), None))

    async def _settle(
        self,
        worker: Worker | None,
        holds: Sequence[DoubtfulHold],
        commands: Sequence[DoubtfulCommand],
    ) -> None:
        """Ask a node, and free what is not held any more.

        Args:
            worker: of the node; None for all nodes that the run does not have.
            holds: what is in doubt there.
            commands: likewise.
        """
        try:
            await self._find_gone(worker, holds, commands)
        finally:
            self._asked.discard(worker)
        self._on_change()

    async def _find_gone(
        self,
        worker: Worker | None,
        holds: Sequence[DoubtfulHold],
        commands: Sequence[DoubtfulCommand],
    ) -> None:
        living: frozenset[JobOfRun] | None = None
        if worker is not None:
            if not worker.connected:
                return
            try:
                living = await self._ask(worker)
            except NodeUnreachable:
                return
        elif not all(each.place or each.leaving for each in self._workers):
            return  # the node may be one that is not connected yet
        if found := {each.hold for each in gone(holds, living)}:
            self._gone += self._ledger.resolve(found, trio.current_time())
        if ended := gone(commands, living):
            forget = partial(self._run.barriers.forget, ended)
            await trio.to_thread.run_sync(forget, abandon_on_cancel=True)

    async def _ask(self, worker: Worker) -> frozenset[JobOfRun] | None:
        """Ask a node which commands live on it; None where it cannot tell.

        Raises:
            NodeUnreachable: there is no answer.
        """
        async with (
            self._run.open_session(worker.sub_node) as session,
            open_asker(session) as asker,
        ):
            answer = await asker.ask(LIVING_COMMANDS, ASK_LIMIT)
        if not isinstance(answer.outcome, Exited):
            raise NodeUnreachable(str(answer.outcome))
        return living_of(answer.stdout)
