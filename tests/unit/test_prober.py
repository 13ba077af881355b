"""The prober asks when an answer is of use, and a node that does not answer harms no other."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from pegasus.dispatch.prober import (
    BUSY_POLL,
    FRESH,
    IDLE_LIMIT,
    LAST_FAILURE_PAUSE,
    OUTPUT_KEPT,
    PROBE_LIMIT,
    SETTLING,
    HeldKeys,
    PoolAnswer,
    Prober,
    hold_nothing,
)
from pegasus.model import Pool, SubNode
from tests.unit.probing import ALL, GPU, AskedNode, Told

N0, N1 = (SubNode(number, f"n{number}", pools=(GPU,)) for number in range(2))
NVIDIA = Pool("gpu", "nvidia")
ROWS = b"0, GPU-dfe75dfa-8528, 0, Disabled, Default\n1, GPU-0000dfa-8528, %d, Disabled, Default\n"
BUSY = b"0, GPU-dfe75dfa-8528, 9000, Disabled, Default\n"


class Bench:
    """A prober, its nodes, and a stand-in for the dispatcher, which requests again and again."""

    def __init__(self, holds: HeldKeys = hold_nothing) -> None:
        self.nodes = {number: AskedNode() for number in range(2)}
        self.told = Told()
        self.prober = Prober(
            lambda sub_node: self.nodes[sub_node.number].open_session(sub_node),
            self.told,
            holds=holds,
        )
        self.came = trio.Event()
        self.prober.on_change = self._change

    def _change(self) -> None:
        self.came.set()
        self.came = trio.Event()

    def state(self, pool: Pool = GPU, sub_node: SubNode = N0) -> PoolAnswer:
        found = self.prober.state(sub_node, pool)
        assert found is not None
        return found

    async def answer(self, pool: Pool = GPU, since: float = 0.0) -> PoolAnswer:
        """Request an answer, and wait for it."""
        self.prober.request(N0, pool, since)
        await self.came.wait()
        return self.state(pool)

    async def insist(
        self, seconds: float, since: Callable[[], float] = lambda: 0.0, pool: Pool = GPU
    ) -> None:
        """Request again and again, as the dispatcher does while a job waits."""
        with trio.move_on_after(seconds):
            while True:
                self.prober.request(N0, pool, since())
                await trio.sleep(0.2)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    """Run the prober beside the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.prober.run)
        yield bench
        bench.prober.close()


def free(answer: PoolAnswer) -> list[str]:
    """The ids of the slots that are free."""
    return [each.slot.id for each in answer.seen if not each.used_by]


async def test_a_node_is_asked_only_when_it_is_requested(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing is opened before, and the connection is closed when nobody requests any more."""
    async with running(Bench()) as bench:
        assert bench.prober.state(N0, GPU) is None
        await trio.sleep(100)
        assert bench.nodes[0].sessions == 0
        answer = await bench.answer()
        assert free(answer) == ["0", "1"]
        assert bench.nodes[0].questions == ["free-slots"]
        await trio.sleep(IDLE_LIMIT - 1)
        assert bench.nodes[0].open == 1
        await trio.sleep(2)
        assert bench.nodes[0].open == 0
        assert bench.nodes[1].sessions == 0
        assert len(bench.nodes[0].asked) == 1


async def test_an_answer_is_fresh_for_a_second(autojump_clock: trio.testing.MockClock) -> None:
    """It counts for a start within one second, and only for slots that were free when it began."""
    async with running(Bench()) as bench:
        began = trio.current_time()
        answer = await bench.answer()
        now = trio.current_time()
        assert answer.is_fresh(began, now)
        assert answer.is_fresh(began, now + FRESH)
        assert not answer.is_fresh(began, now + FRESH + 0.1)
        assert not answer.is_fresh(now, now)
        assert not bench.state(sub_node=N0).is_asking


async def test_a_slow_answer_is_fresh_when_it_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A node whose driver is loaded for each call takes seconds; its answer can be used."""
    async with running(Bench()) as bench:
        bench.nodes[0].takes = 8.0
        answer = await bench.answer()
        assert answer.is_fresh(0.0, trio.current_time())


async def test_a_slot_that_was_released_is_checked_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Others use a slot; a command of ours ends: the answer that counts begins after that."""
    async with running(Bench()) as bench:
        bench.nodes[0].prints = ROWS % 9000
        await bench.answer(NVIDIA)
        await trio.sleep(SETTLING)
        now = trio.current_time()
        answer = await bench.answer(NVIDIA, since=now)
        assert answer.began_at == now


async def test_a_release_during_a_probe_gets_a_probe_of_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A probe that is under way began too early for a slot that is released now."""
    async with running(Bench()) as bench:
        bench.nodes[0].takes = 2.0
        bench.prober.request(N0, GPU)
        await trio.sleep(1)
        assert bench.nodes[0].running == 1
        since = trio.current_time()
        answer = await bench.answer(since=since)
        assert answer.began_at < since
        await trio.sleep(1)
        assert bench.state().is_asking
        await bench.came.wait()
        assert bench.state().began_at >= since


async def test_memory_that_is_still_in_use_after_a_release(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """For some seconds after a release the node is asked often, then as for others who use it."""
    async with running(Bench()) as bench:
        bench.nodes[0].prints = BUSY
        await bench.insist(25, pool=NVIDIA)
        asked = bench.nodes[0].asked
        early = [when for when in asked if when < SETTLING]
        assert 5 <= len(early) <= 7
        pauses = [b - a for a, b in itertools.pairwise(asked) if a > SETTLING + 1]
        assert pauses
        assert all(BUSY_POLL <= pause < BUSY_POLL + 0.3 for pause in pauses)


async def test_a_slot_that_others_use_is_checked_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It is used as soon as a later check sees it free."""
    async with running(Bench()) as bench:
        bench.nodes[0].prints = BUSY
        answer = await bench.answer(NVIDIA, since=-100.0)
        assert free(answer) == []
        assert answer.seen[0].used_by == "9,000 MiB in use by others"
        bench.nodes[0].prints = ROWS % 0
        began = trio.current_time()
        answer = await bench.answer(NVIDIA, since=-100.0)
        assert free(answer) == ["0", "1"]
        assert BUSY_POLL <= trio.current_time() - began < BUSY_POLL + 0.3


async def test_free_slots_beside_used_ones_are_checked_without_delay(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A slot that others use delays no start on its neighbours; one that we hold does not count."""
    held: set[str] = set()
    async with running(Bench(lambda _sub_node, _pool: held)) as bench:
        bench.nodes[0].prints = ROWS % 9000
        await bench.answer(NVIDIA, since=-100.0)
        began = trio.current_time()
        await bench.answer(NVIDIA, since=-100.0)
        assert FRESH <= trio.current_time() - began < FRESH + 0.3
        held.add("GPU-dfe75dfa-8528")
        began = trio.current_time()
        await bench.answer(NVIDIA, since=-100.0)
        assert BUSY_POLL <= trio.current_time() - began < BUSY_POLL + 0.3


async def test_slots_that_pegasus_holds_are_not_used_by_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The memory that our own command uses is not reported as that of others."""
    async with running(Bench(lambda _sub_node, _pool: {"GPU-0000dfa-8528"})) as bench:
        bench.nodes[0].prints = ROWS % 9000
        answer = await bench.answer(NVIDIA)
        assert free(answer) == ["0", "1"]


async def test_equal_answers_are_told_once(autojump_clock: trio.testing.MockClock) -> None:
    """An answer is told when it differs from the one before, in more than an amount of memory."""
    async with running(Bench()) as bench:
        node = bench.nodes[0]
        for memory in (0, 100, 9000, 9001, 0):
            node.prints = ROWS % memory
            await bench.answer(NVIDIA, since=trio.current_time())
        told = [[bool(each.used_by) for each in event.seen] for event in bench.told.answers]
        assert told == [[False, False], [False, True], [False, False]]
        assert bench.told.answers[0].output.startswith("0, GPU-dfe75dfa-8528, 0")


async def test_the_output_in_the_record_is_short(autojump_clock: trio.testing.MockClock) -> None:
    """A probe that prints much does not fill the record."""
    async with running(Bench()) as bench:
        bench.nodes[0].prints = b"!" * 60_000
        await bench.answer()
        (event,) = bench.told.answers
        assert len(event.output) == OUTPUT_KEPT
        assert "which is no name of a slot" in event.words


async def test_a_probe_that_fails_is_reported_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It is reported again when its words change, or when it worked in between; it is tried again
    at longer and longer intervals, up to a minute.
    """
    async with running(Bench()) as bench:
        node = bench.nodes[0]
        node.status, node.prints = 9, b"NVIDIA-SMI has failed\n"
        await bench.insist(190)
        (note,) = bench.told.notes
        assert note == (
            "n0: no gpu counts as free: the probe ended with exit status: 9: NVIDIA-SMI has "
            "failed. Trying again in 2.0 s, and then at longer intervals."
        )
        pauses = [b - a for a, b in itertools.pairwise(node.asked)]
        assert [round(pause) for pause in pauses[:6]] == [2, 4, 8, 16, 32, 60]
        assert max(pauses) < LAST_FAILURE_PAUSE + 0.3
        assert bench.state().is_failing
        assert not bench.state().is_fresh(0.0, trio.current_time())
        node.prints = b"something else\n"
        await bench.insist(LAST_FAILURE_PAUSE)
        assert len(bench.told.notes) == 2
        node.status, node.prints = 0, ALL
        await bench.insist(LAST_FAILURE_PAUSE)
        assert free(bench.state()) == ["0", "1"]
        node.status, node.prints = 9, b"something else\n"
        await bench.insist(5)
        assert len(bench.told.notes) == 3


async def test_a_failing_probe_is_not_tried_for_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Where no job waits for its slots any more, the node is left alone."""
    async with running(Bench()) as bench:
        bench.nodes[0].status = 9
        await bench.answer()
        await trio.sleep(1000)
        assert len(bench.nodes[0].asked) == 1


async def test_a_probe_that_hangs_delays_no_other(autojump_clock: trio.testing.MockClock) -> None:
    """The other node, and the other pool of the same node, answer meanwhile; it is said after ten
    seconds, and the node is asked again.
    """
    other = Pool("disk", "probe", command="other")
    async with running(Bench()) as bench:
        bench.nodes[0].takes = bench.nodes[0].ends_in = 24.0
        bench.prober.request(N0, GPU)
        await trio.sleep(0.1)
        bench.nodes[0].takes = 0.02
        bench.prober.request(N0, other)
        bench.prober.request(N1, GPU)
        await trio.sleep(0.1)
        assert free(bench.state(sub_node=N1)) == free(bench.state(other)) == ["0", "1"]
        assert bench.prober.state(N0, GPU) is None
        assert not bench.told.notes
        await trio.sleep(PROBE_LIMIT)
        assert bench.state().words == "the probe did not answer within 10 s"
        assert not bench.state().is_asking
        assert bench.nodes[0].running == 1  # it is being ended in the background
        await bench.insist(3)
        assert free(bench.state()) == ["0", "1"]


async def test_the_end_is_not_delayed(autojump_clock: trio.testing.MockClock) -> None:
    """A drain cancels what is under way, and does not wait for it."""
    bench = Bench()
    bench.nodes[0].takes = 1000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.prober.run)
        bench.prober.request(N0, GPU)
        await trio.sleep(1)
        began = trio.current_time()
        bench.prober.close()
    assert trio.current_time() - began < 0.1
    assert bench.nodes[0].open == 0


async def test_processors_are_asked_for_once(autojump_clock: trio.testing.MockClock) -> None:
    """Their number stays valid, whatever is released; the session is closed."""
    cpu = Pool("cpu", "nproc")
    async with running(Bench()) as bench:
        bench.nodes[0].prints = b"4\n"
        began = trio.current_time()
        answer = await bench.answer(cpu)
        await bench.insist(30, pool=cpu)
        assert answer.is_fresh(began, trio.current_time())
        assert answer.is_fresh(trio.current_time(), trio.current_time())
        assert len(bench.nodes[0].asked) == 1
        assert bench.nodes[0].open == 0


async def test_a_connection_that_broke_while_nobody_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The next question goes over a new one, and nothing is reported."""
    async with running(Bench()) as bench:
        await bench.answer()
        bench.nodes[0].is_up = False
        await trio.sleep(2)
        assert free(await bench.answer(since=trio.current_time())) == ["0", "1"]
        assert bench.nodes[0].sessions == 2
        assert not bench.told.notes


async def test_a_node_that_cannot_be_reached(autojump_clock: trio.testing.MockClock) -> None:
    """Its slots do not count as free. Its worker reports why; the prober does so if that lasts."""
    async with running(Bench()) as bench:
        bench.nodes[0].reachable = False
        answer = await bench.answer()
        assert answer.is_failing
        assert not bench.told.notes
        await bench.insist(20)
        (note,) = bench.told.notes
        assert note.startswith("n0: no gpu counts as free: Connection refused. Trying again in 4")
        bench.nodes[0].reachable = True
        await bench.insist(20)
        assert free(bench.state()) == ["0", "1"]


async def test_a_sub_node_that_leaves(autojump_clock: trio.testing.MockClock) -> None:
    """Its probes end, and its connection is closed."""
    async with running(Bench()) as bench:
        await bench.answer()
        bench.prober.forget(N0)
        await trio.testing.wait_all_tasks_blocked()
        assert bench.nodes[0].open == 0
        assert bench.prober.state(N0, GPU) is None
        assert free(await bench.answer()) == ["0", "1"]


@pytest.mark.parametrize("kind", ["free", "used", "failing"])
async def test_requests_are_cheap(autojump_clock: trio.testing.MockClock, kind: str) -> None:
    """A dispatcher that requests all the time causes no more than one probe a second."""
    async with running(Bench()) as bench:
        bench.nodes[0].prints = {"free": ALL, "used": b"", "failing": b"!"}[kind]
        await bench.insist(SETTLING + 2)
        before = len(bench.nodes[0].asked)
        await bench.insist(20)
        assert len(bench.nodes[0].asked) - before <= 20
