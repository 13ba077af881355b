"""What the choice of jobs sees of a pool is what its node has answered."""

from __future__ import annotations

import trio
import trio.testing

from pegasus.dispatch import QueueDispatcher
from pegasus.dispatch.prober import FRESH, PoolAnswer, Prober
from pegasus.dispatch.slot_view import SlotView
from pegasus.events import SlotSeen
from pegasus.model import Pool, PoolKind, Slot, SubNode
from pegasus.placement import PoolState
from tests.unit.slotted import SlotBench, node


class KnownSlots(Prober):
    """A prober with one answer."""

    def __init__(self, answer: PoolAnswer | None) -> None:
        self._known = answer

    def state(self, sub_node: SubNode, pool: Pool) -> PoolAnswer | None:
        return self._known


def seen(kind: PoolKind, answer: PoolAnswer | None) -> PoolState:
    """Return what the choice sees of a pool after an answer."""
    pool = Pool("gpu", kind)
    dispatcher = QueueDispatcher(SlotBench([node(0, (pool,))], []).run)
    view = SlotView(dispatcher.ledger, KnownSlots(answer))
    view.refresh()
    return view.state_of(dispatcher.workers[0], pool)


TWO = (SlotSeen(Slot("0")), SlotSeen(Slot("1"), "9,000 MiB in use by others"))


async def test_what_a_node_answers(autojump_clock: trio.testing.MockClock) -> None:
    """Free slots can be used, those of others cannot, and why is kept."""
    state = seen("nvidia", PoolAnswer(TWO, 0.0, trio.current_time()))
    assert state.free == [Slot("0")]
    assert (state.unusable, state.why) == (1, "gpu 1: 9,000 MiB in use by others")
    assert state.size_known


async def test_an_old_answer(autojump_clock: trio.testing.MockClock) -> None:
    """A slot that was free a while ago is to be checked before it is used."""
    answer = PoolAnswer(TWO, 0.0, trio.current_time())
    await trio.sleep(FRESH + 0.1)
    state = seen("nvidia", answer)
    assert (state.free, state.unverified) == ([], [Slot("0")])


async def test_the_size_of_a_pool(autojump_clock: trio.testing.MockClock) -> None:
    """It is not known before the first answer, while the probe fails, and where it prints only what
    is free: no job is called too wide for such a pool.
    """
    now = trio.current_time()
    assert not seen("nvidia", None).size_known
    assert not seen("nvidia", PoolAnswer((), 0.0, now, "no driver", is_failing=True)).size_known
    assert not seen("probe", PoolAnswer((), 0.0, now)).size_known
    assert seen("nproc", PoolAnswer(TWO, 0.0, now, lasts=True)).size_known
