"""The early end of a run: its stages, and which cause ended a command."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from pegasus.dispatch import EndedBy, Ending, Stage
from pegasus.dispatch.ending import KILLED_LIMIT, RunningCommand
from pegasus.model import Cancelled
from tests.contract import assignment
from tests.unit.dispatching import Bench, run_queue


def running(ending: Ending, seconds: float) -> RunningCommand:
    """Return a command of a run, with a time limit in so many seconds."""
    command = RunningCommand(assignment("sleep"), trio.current_time() + seconds)
    ending.running[command] = None
    return command


async def test_a_command_that_nothing_ended(autojump_clock: MockClock) -> None:
    """A command that runs has no cause of an end."""
    command = running(Ending(), 10)
    with command.scope:
        await trio.sleep(9)
        assert command.ended_by is None


async def test_the_cause_of_a_user_counts(autojump_clock: MockClock) -> None:
    """The first cause of a user stays the cause, also where the time limit came before it."""
    ending = Ending()
    late, stopped, aborted = (running(ending, seconds) for seconds in (5, 20, 20))
    await trio.sleep(10)
    for command in (late, stopped):
        command.end(EndedBy.STOP_JOB)
    ending.abort()
    await trio.sleep(100)
    causes = [command.ended_by for command in (late, stopped, aborted)]
    assert causes == [EndedBy.STOP_JOB, EndedBy.STOP_JOB, EndedBy.ABORT]
    assert all(command.scope.cancel_called for command in (late, stopped, aborted))


async def test_a_drain_ends_no_command(autojump_clock: MockClock) -> None:
    """After a drain nothing is taken, and what runs continues."""
    ending = Ending()
    command = running(ending, 10)
    ending.drain()
    assert ending.stage is Stage.DRAINING
    assert ending.taking.cancel_called
    assert not ending.working.cancel_called
    assert command.ended_by is None


async def test_stages_follow_each_other() -> None:
    """A stage includes those before it, and none of them goes back to an earlier one."""
    ending = Ending()
    stages = [ending.stage]
    for advance in (ending.abort, ending.drain, ending.kill, ending.abort, ending.drain):
        advance()
        stages.append(ending.stage)
    assert stages == [Stage.TAKING, *[Stage.ABORTING] * 2, *[Stage.KILLING] * 3]


async def test_an_abort_leaves_the_commands_time_to_end() -> None:
    """An aborted run takes nothing more and ends what runs, but does not kill it at once."""
    ending = Ending()
    ending.abort()
    assert ending.taking.cancel_called
    assert ending.working.cancel_called
    assert not ending.kill_now.is_set()


async def test_a_kill_includes_an_abort() -> None:
    """A run that is killed at once takes nothing more, and ends what runs."""
    ending = Ending()
    ending.kill()
    assert ending.working.cancel_called
    assert ending.taking.cancel_called
    assert ending.kill_now.is_set()


@pytest.mark.parametrize("timeout", [60, 5])
async def test_the_outcome_of_an_aborted_command(timeout: float, autojump_clock: MockClock) -> None:
    """An aborted command is cancelled, also one that has reached its time limit before."""
    bench = Bench("sleep 100", nodes=1, timeout=timeout)
    bench.nodes["n0"].ends_in = 10
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with bench.run.ending.working:
                await run_queue(bench)

        nursery.start_soon(run)
        await trio.sleep(7)
        bench.run.ending.abort()
        await trio.sleep(100)
    assert [ended for *_, ended in bench.listening.outcomes] == [Cancelled()]
    assert not bench.run.ending.running
    assert bench.nodes.open == 0


async def test_a_stop_after_the_time_limit(autojump_clock: MockClock) -> None:
    """A job that a user stops is not tried again, also where its time limit came before."""
    bench = Bench("sleep 100", nodes=1, timeout=5, retries=3)
    bench.nodes["n0"].ends_in = 10
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_queue, bench)
        await trio.sleep(7)
        assert bench.dispatcher is not None
        assert len(bench.dispatcher.stop_job(1).running) == 1
    assert [ended for *_, ended in bench.listening.outcomes] == [Cancelled()]
    assert bench.commands_run == {"sleep 100": 1}


async def test_what_is_left_after_a_run_can_be_ended(autojump_clock: MockClock) -> None:
    """The next signal ends what is left to do; after that, signals mean stages again."""
    ending = Ending()
    assert not ending.end_rest()
    with ending.after_run():
        assert ending.end_rest()
        await trio.sleep(1000)
    assert trio.current_time() == 0
    assert not ending.end_rest()
    ending.kill()
    with ending.after_run():
        await trio.sleep(1000)
    assert trio.current_time() == KILLED_LIMIT
