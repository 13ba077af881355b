"""Whether a queue has a job that could run on the nodes of a request.

Rule 1: nothing is taken or locked; a file that has not changed is not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from pegasus.allocations.request import AllocationRequest
from pegasus.demand import fits_on
from pegasus.errors import FileFault, PegasusError
from pegasus.model import Demand
from pegasus.queue_file import QueueFile, WrittenBarrier


class WaitingWork:
    """The jobs that wait.

    Args:
        queue: the file.
        waiting: gives the demands of the jobs that were taken and wait for a sub-node.
        is_paused: tells whether the run is paused: then no job could start, so none counts.
    """

    def __init__(
        self,
        queue: QueueFile,
        waiting: Callable[[], Iterable[Demand]],
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._queue, self._waiting, self._is_paused = queue, waiting, is_paused
        self._seen: dict[str, tuple[tuple[object, object], bool]] = {}

    async def exists(self) -> bool:
        """Tell whether there is anything in the file."""
        return await trio.to_thread.run_sync(self._has_entries, abandon_on_cancel=True)

    def _has_entries(self) -> bool:
        try:
            return any(True for _ in self._queue.reader())
        except PegasusError:  # the run reports it
            return True

    async def exists_for(self, request: AllocationRequest) -> bool:
        """Tell whether a job waits that could run on the nodes of a request.

        What stands below a barrier does not count: it may not start yet.
        """
        await trio.lowlevel.checkpoint()
        if self._is_paused():
            return False
        if any(_fits(demand, request) for demand in self._waiting()):
            return True
        state = (self._queue.states(), request.rows)
        before = self._seen.get(request.key)
        if before is None or before[0] != state:
            found = await trio.to_thread.run_sync(self._find, request, abandon_on_cancel=True)
            before = self._seen[request.key] = (state, found)
        return before[1]

    def _find(self, request: AllocationRequest) -> bool:
        """Read the file up to the first job that fits; in a thread."""
        try:
            for written in self._queue.reader():
                if isinstance(written, WrittenBarrier):
                    return False
                if not isinstance(written, FileFault) and _fits(written.entry.demand, request):
                    return True
        except PegasusError:  # the run reports it
            return False
        return False


def _fits(demand: Demand, request: AllocationRequest) -> bool:
    return any(fits_on(demand, row) for row in request.rows)
