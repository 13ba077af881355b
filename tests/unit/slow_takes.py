"""A queue in memory in the middle of whose takes something happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from pegasus.errors import PegasusError
from pegasus.model import TakenJob
from pegasus.picker import Picker
from tests.fake_queue import FakeBatch, FakeQueue
from tests.unit.slotted import SlotBench


class SlowTakes(FakeQueue):
    """A queue whose takes need time.

    Attributes:
        during: is called in the middle of each take, after the workers were chosen.
        after: is called at the end of each take.
        refuses: whether the disk refuses a take after all has been settled; then the jobs are gone.
    """

    during: Callable[[], None]
    after: Callable[[], None]
    refuses = False

    async def take(self, picker: Picker) -> FakeBatch:
        await trio.sleep(0.25)
        self.during()
        await trio.sleep(0.25)
        settle = picker.settle

        def settle_and_refuse(taken: Sequence[TakenJob]) -> None:
            settle(taken)
            self.jobs.clear()
            raise PegasusError("queue.yaml: the disk is full.")

        if self.refuses:
            picker.settle = settle_and_refuse  # type: ignore[method-assign, assignment]
        batch = await super().take(picker)
        self.after()
        return batch


def slow(bench: SlotBench) -> SlowTakes:
    """Let the takes of a run need time."""
    queue = SlowTakes((), bench.listening)
    queue.jobs.extend(bench.queue.jobs)
    queue.during = queue.after = lambda: None
    bench.queue = queue
    object.__setattr__(bench.run, "queue", queue)
    return queue
