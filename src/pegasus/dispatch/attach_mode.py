"""Following detached commands of earlier runs, and taking nothing."""

from __future__ import annotations

from collections.abc import Callable

import trio

from pegasus.barriers import BarrierVerdict
from pegasus.dispatch.dispatcher import Dispatcher
from pegasus.dispatch.ports import Batch
from pegasus.dispatch.results import EmptyBatch
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker import Worker
from pegasus.model import Barrier, Job, StepOrigin
from pegasus.picker import Picker


class NoQueue:
    """A queue that is and stays empty."""

    async def take(self, picker: Picker) -> Batch:  # noqa: ARG002 -- see ``Queue``
        """Take nothing."""
        await trio.lowlevel.checkpoint()
        return EmptyBatch()

    async def pass_barrier(
        self,
        barrier: Barrier,  # noqa: ARG002 -- see ``Queue``
        judge: Callable[[], BarrierVerdict],  # noqa: ARG002
    ) -> BarrierVerdict | None:
        """Return None: there is no barrier."""
        await trio.lowlevel.checkpoint()
        return None

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
