"""Everything that a dispatcher needs to know about slots, and the tasks that find it out.

Rule 1: in a run without slots, limits and barriers these tasks only wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import trio

from pegasus.dispatch.prober import Prober
from pegasus.dispatch.run import Run
from pegasus.dispatch.share_task import Sharing
from pegasus.dispatch.slot_ledger import SlotLedger
from pegasus.dispatch.slot_view import SlotView
from pegasus.dispatch.survey import Survey
from pegasus.dispatch.waiting import WaitReporter
from pegasus.dispatch.worker import Worker
from pegasus.events import Noted
from pegasus.model import SubNode


class SlotDesk:
    """What is known about slots, and how it is found out.

    Args:
        run: the run.
        ledger: who holds what.
        workers: the workers of the run; more may be added.
        is_waiting: whether a job waits for something.
        notify: called when there may be something to start.

    Attributes:
        view: what is known about the slots of the nodes.
        survey: finds out which commands are gone.
        reporter: reports what jobs wait for.
    """

    def __init__(
        self,
        run: Run,
        ledger: SlotLedger,
        workers: Sequence[Worker],
        is_waiting: Callable[[], bool],
        notify: Callable[[], None],
    ) -> None:
        self._workers = workers
        self._ledger = ledger
        self._prober = Prober(run.open_session, run.listener, run.gpu_busy, self._held_keys)
        self._prober.on_change = notify
        self.view = SlotView(ledger, self._prober)
        self.survey = Survey(run, workers, ledger, notify)
        self._sharing = Sharing(
            ledger,
            is_waiting,
            notify,
            self.survey.want,
            lambda words: run.listener.tell(Noted(words)),
        )
        self.reporter = WaitReporter(run.listener)

    async def run(self) -> None:
        """Ask nodes, and tell other runs, until it is cancelled."""
        async with trio.open_nursery() as nursery:
            for task in (self._prober.run, self.survey.run, self._sharing.run):
                nursery.start_soon(task)

    async def finish(self) -> None:
        """Ask nothing more, and tell the other runs what is still held."""
        self._prober.close()
        await self._sharing.finish()
        self._sharing.report_problems()

    def ask(self, pools: Iterable[tuple[int, str]]) -> None:
        """Ask nodes for slots on which a job could start; never waits.

        Args:
            pools: numbers of sub-nodes and names of pools.
        """
        for number, name in pools:
            worker = self._worker(number)
            pool = next(each for each in worker.sub_node.pools if each.name == name)
            since = self._ledger.last_release(worker.place, name)
            self._prober.request(worker.sub_node, pool, since)

    def forget(self, sub_node: SubNode) -> None:
        """Ask nothing more of a sub-node that leaves the run."""
        self._prober.forget(sub_node)

    def look_around(self) -> None:
        """Look for slots that other runs let go, and for commands that are gone; never waits."""
        self._sharing.report_problems()
        if self._ledger.may_doubt:
            self.survey.want()
            self._ledger.wake()

    def _worker(self, number: int) -> Worker:
        """Give a worker of a sub-node, if possible one that has been connected."""
        lanes = [each for each in self._workers if each.sub_node.number == number]
        return next((each for each in lanes if each.place), lanes[0])

    def _held_keys(self, sub_node: SubNode, pool: str) -> Collection[str]:
        return self._ledger.held_keys(self._worker(sub_node.number).place, pool)
