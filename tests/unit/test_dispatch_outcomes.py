"""The outcome of a job is that of its last try that began."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from pegasus.commands.stages import Stages
from pegasus.event_bus import LiveState
from pegasus.events import Ended, Returned, Started
from pegasus.model import Cancelled, Command, Job, SubNode
from pegasus.orders import Request, StopJobOrder
from pegasus.report.summary import utilisation_of
from pegasus.run_state import SubNodeState
from pegasus.screen import Screen
from tests.unit.dispatching import Bench, run_broadcast, run_queue

Mode = Callable[[Bench], Awaitable[None]]
MODES = pytest.mark.parametrize("mode", [run_queue, run_broadcast])


def also_tell(bench: Bench, hear: Callable[[object], None]) -> None:
    """Call a test's function with each event, after the listener."""
    tell = bench.listening.tell

    def tell_both(event: object) -> None:
        tell(event)  # type: ignore[arg-type]  # passed on as it is
        hear(event)

    object.__setattr__(bench.listening, "tell", tell_both)


def begin_once(bench: Bench) -> None:
    """Let the node start one command, and none after that."""

    def spoil(event: object) -> None:
        if isinstance(event, Ended):
            bench.nodes["n0"].starts_commands = False

    also_tell(bench, spoil)


async def wait_and_end(bench: Bench, mode: Mode, end: Callable[[], None]) -> None:
    """Run until all is still, and do what ends it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mode, bench)
        await trio.sleep(30)
        end()


@MODES
async def test_a_returned_retry_then_a_drain(mode: Mode, autojump_clock: MockClock) -> None:
    """A job that ran, and whose retry never started, ends as it ran."""
    bench = Bench("exit 7", nodes=1, retries=1)
    begin_once(bench)
    await wait_and_end(bench, mode, bench.run.ending.drain)
    assert bench.finals == [(1, "n0", "exit status: 7")]
    assert len(bench.events(Returned)) > 1
    assert bench.commands_run == {"exit 7": 1}


@MODES
async def test_a_returned_retry_is_owed_its_try(mode: Mode, autojump_clock: MockClock) -> None:
    """A retry that never started does not count: it comes when its sub-node works again."""
    bench = Bench("exit 7", nodes=1, retries=1)
    begin_once(bench)

    def mend() -> None:
        bench.nodes["n0"].starts_commands = True

    await wait_and_end(bench, mode, mend)
    assert bench.finals == [(1, "n0", "exit status: 7")]
    assert bench.commands_run == {"exit 7": 2}


@MODES
async def test_a_retry_that_waits_and_a_drain(mode: Mode, autojump_clock: MockClock) -> None:
    """A job whose retry was due when the run drained ends as it did last, and runs no more."""
    bench = Bench("hang up", nodes=1, retries=1)
    bench.nodes["n0"].stands_for = 20

    def lose(event: object) -> None:
        if isinstance(event, Started):
            bench.nodes["n0"].reachable = False

    also_tell(bench, lose)
    await wait_and_end(bench, mode, bench.run.ending.drain)
    assert bench.finals == [(1, "n0", "lost: Connection refused")]
    assert [ended.again for ended in bench.events(Ended)] == [True, False]


@pytest.mark.parametrize(
    ("retries", "outcome"), [(0, "not started: aborted before it began"), (1, "exit status: 7")]
)
async def test_an_abort_in_the_moment_of_the_hand_over(
    retries: int, outcome: str, autojump_clock: MockClock
) -> None:
    """A job that is handed over and aborted before it begins was not started.

    If it was a retry, the outcome of the try before it stays.
    """
    aborting = trio.CancelScope()

    def fill(job: Job, sub_node: SubNode) -> Command:
        if len(bench.events(Ended)) == retries:
            aborting.cancel()  # the worker is gone by the time that it gets the job
        return Command(job.command)

    bench = Bench("exit 7", nodes=1, retries=retries, fill=fill)
    with aborting:
        await run_queue(bench)
    assert bench.finals == [(1, "n0", outcome)]
    assert bench.commands_run.total() == retries
    assert len(bench.events(Returned)) == retries


async def test_error_aborts_counts_the_last_outcome(autojump_clock: MockClock) -> None:
    """With -e a job that was tried as often as it may be drains the run, once, as it failed."""
    bench = Bench("exit 7", nodes=1, retries=1, error_aborts=True)
    also_tell(bench, lambda event: bench.queue.add("x") if isinstance(event, Ended) else None)
    await run_queue(bench)
    assert bench.notes == ["A job failed: nothing more is taken."]
    assert bench.finals == [(1, "n0", "exit status: 7")]
    assert bench.commands_run == {"exit 7": 2}


async def test_a_run_that_fails_in_itself(autojump_clock: MockClock) -> None:
    """Where Pegasus itself fails while a command runs, that command is lost, not never started."""
    bench = Bench("printf x", nodes=1)

    async def show(printed: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("a bug")

    object.__setattr__(bench.listening, "show", show)
    with pytest.RaisesGroup(RuntimeError, flatten_subgroups=True):
        await run_queue(bench)
    ((_, _, outcome),) = bench.finals
    assert outcome == "lost: Pegasus failed while it ran: RuntimeError('a bug')"


# Stopped while it waits.


@dataclass
class Asking:
    """An order from another terminal, and the answers to it."""

    order: StopJobOrder
    answers: list[tuple[str, bool]] = field(default_factory=list)

    def answer(self, words: str = "", *, done: bool = True) -> None:
        """Take the answer."""
        self.answers.append((words, done))


async def ask(bench: Bench, number: int, sub_node: int | None = None) -> tuple[str, bool]:
    """Ask a run to stop a job, as another terminal does; give its answer."""
    asking = Asking(StopJobOrder(number, sub_node))

    async def requests() -> AsyncIterator[Request]:
        yield cast("Request", asking)

    stages = Stages(cast("Screen", None))  # which is shown nothing
    assert bench.dispatcher is not None
    await stages.obey_orders(requests(), bench.dispatcher)
    (answer,) = asking.answers
    return answer


@MODES
async def test_stopping_a_job_that_waits_for_another_try(
    mode: Mode, autojump_clock: MockClock
) -> None:
    """``stop N`` takes the other tries from a job; it ends as it did last, and the run goes on."""
    bench = Bench("exit 7", "exit 0", nodes=1, retries=5)
    begin_once(bench)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mode, bench)
        await trio.sleep(30)
        assert await ask(bench, 2) == ("Job 2 does not run now.", False)
        assert await ask(bench, 1, 3) == ("Job 1 does not run there now.", False)
        assert not bench.finals
        assert await ask(bench, 1, 0) == ("Job 1 waited for another try, and gets none.", True)
        assert bench.finals == [(1, "n0", "exit status: 7")]
        assert await ask(bench, 1) == ("Job 1 does not run now.", False)
        bench.nodes["n0"].starts_commands = True
        await trio.sleep(100)
        bench.run.ending.drain()
    assert bench.commands_run == {"exit 7": 1, "exit 0": 1}


async def test_stopping_a_job_that_never_started(autojump_clock: MockClock) -> None:
    """``stop N`` of a job that waits for its first start: it was not started."""
    bench = Bench("exit 7", nodes=1)
    bench.nodes["n0"].starts_commands = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(2)
        assert (await ask(bench, 1))[1]
    assert bench.finals == [(1, "n0", "not started: stopped before it began")]


async def test_stopping_a_job_that_runs(autojump_clock: MockClock) -> None:
    """``stop N`` of a retry that runs: the job is cancelled, and not tried again."""
    bench = Bench("sleep 50", nodes=2, retries=5, timeout=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(15)
        (first,) = bench.events(Ended)
        where = "n1" if str(first.assignment.sub_node) == "n0" else "n0"
        assert await ask(bench, 1) == (f"Job 1 is being ended on {where}.", True)
    assert bench.finals == [(1, where, str(Cancelled()))]


# How busy the sub-nodes were.


async def test_a_try_counts_once_as_time(autojump_clock: MockClock) -> None:
    """The time of a try is counted once, also where its end is reported again as the final one."""
    bench = Bench("sleep 50", nodes=1, retries=5, timeout=10)
    live = LiveState()
    live.state.sub_nodes[0] = SubNodeState(bench.run.sub_nodes[0])
    also_tell(bench, live.tell)  # type: ignore[arg-type]  # as told
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(10)
        bench.nodes["n0"].starts_commands = False
        await trio.sleep(10)
        bench.run.ending.drain()
    assert bench.finals == [(1, "n0", "timed out after 10 s")]
    assert utilisation_of(live.state, 20) == "The sub-nodes were busy 50% of 20 s."
