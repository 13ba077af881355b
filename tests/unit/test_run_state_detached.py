"""The state of a run with detached commands: what goes on without Pegasus, and what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pegasus.events import (
    Cut,
    Ended,
    Event,
    Progressed,
    Reconnected,
    Released,
    Returned,
    RunEnded,
    RunMode,
    Started,
    StopStored,
    Taken,
    TakenOver,
)
from pegasus.model import Assignment, Exited, Job, Lost, NotStarted
from pegasus.run_state import RunState
from tests.unit.states import began, given_to


def detached(number: int, node: int = 0, key: str = "") -> Assignment:
    """Give a detached job that a sub-node runs."""
    return replace(given_to(number, node), key=key or f"key-{number}")


def state_after(*events: Event, mode: RunMode = "queue", keep: bool = True) -> RunState:
    """Apply events, one each second from 1 on, after the beginning at 0."""
    state = RunState(keep_successes=keep)
    for at, event in enumerate([replace(began(mode), detached=True), *events]):
        state.apply(event, float(at))
    return state


def left(state: RunState) -> list[str | None]:
    """Give the keys of what is left."""
    return [execution.assignment.key for _, execution in state.left()]


@pytest.mark.parametrize("died", [True, False])
def test_a_detached_command_outlives_its_run(died: bool) -> None:  # noqa: FBT001
    """It is neither lost nor failed when Pegasus is dead or has left: nobody knows its end yet."""
    state = state_after(Taken(1, Job("job 1")), Started(detached(1)))
    assert state.counts() == {"running": 1}
    if died:
        state.interrupted = True
    else:
        state.apply(RunEnded(None, "left"), 9.0)
    assert state.counts() == {"detached": 1}
    assert state.outcomes(state.jobs[1]) == [None]
    assert state.failure_count == 0
    assert not list(state.running())
    assert left(state) == ["key-1"]


def test_a_job_that_was_not_started_certainly_never_was() -> None:
    """A start is on the disk before it happens, so a job without one may be put back."""
    first = detached(2)
    state = state_after(
        Taken(1, Job("job 1")), Taken(2, first.job), Started(first), Returned(first, "no shell")
    )
    state.interrupted = True
    never = NotStarted("Pegasus ended before it was started")
    assert [state.outcomes(job) for job in state.jobs.values()] == [[never], [never]]
    assert state.counts() == {"not started": 2}
    assert state.failure_count == 2
    assert left(state) == []


def test_a_take_over_continues_the_run() -> None:
    """The run goes on, what it had not started stays so, and the end comes from its follower."""
    command, waits = detached(1), Job("job 2")
    state = state_after(
        Taken(1, command.job), Taken(2, waits), Started(command), RunEnded(None, "left")
    )
    over = TakenOver(7, "there", "0002-run", "boot")
    state.apply(over, 9.0)
    assert (state.end, state.follower, state.is_over) == (None, over, False)
    assert state.counts() == {"running": 1, "not started": 1}
    assert [each.job.number for each in state.failures()] == [2]
    state.apply(Ended(command, Exited(0), 1.0), 10.0)
    state.apply(RunEnded(1, "done"), 11.0)
    assert state.counts() == {"succeeded": 1, "not started": 1}
    assert state.end is not None
    assert state.end.exit_status == 1


def test_a_broken_connection() -> None:
    """Why a command can't be reached is known until it can be, or has ended."""
    command = detached(1)
    state = state_after(Taken(1, command.job), Started(command), Cut(command, "Broken pipe"))
    (_, execution) = next(state.left())
    assert execution.cut == "Broken pipe"
    assert state.counts() == {"running": 1}
    state.apply(StopStored(command), 5.0)
    state.apply(Reconnected(command), 6.0)
    assert (execution.cut, execution.stop_stored) == ("", True)
    state.apply(Cut(command, "gone"), 7.0)
    state.apply(Ended(command, Lost("the node was restarted"), 1.0), 8.0)
    state.apply(Cut(command, "late"), 9.0)
    assert execution.cut == ""


def test_what_is_left() -> None:
    """Each folder counts until it is removed, also of a try that another one replaced."""
    first, second = detached(1, 0, "first"), detached(1, 1, "second")
    state = state_after(
        Taken(1, first.job),
        Started(first),
        Ended(first, Lost("given up"), 1.0, again=True),
        Started(second),
        Ended(second, Exited(0), 1.0),
    )
    assert left(state) == ["first", "second"]
    state.apply(Released(second), 9.0)
    assert left(state) == ["first"]
    state.apply(Released(first), 10.0)
    state.apply(Released(first), 11.0)
    assert left(state) == []
    assert [each.released for each in state.jobs[1].executions] == [True, True]
    assert state.counts() == {"succeeded": 1}


def test_a_command_that_was_released_without_an_end() -> None:
    """Where the line of its end can't be read, a command whose folder is gone does not run."""
    command = detached(1)
    state = state_after(Taken(1, command.job), Started(command), Released(command))
    state.interrupted = True
    assert state.counts() == {"lost": 1}
    assert state.failure_count == 1


@pytest.mark.parametrize("mode", ["queue", "broadcast"])
def test_a_live_run_remembers_what_is_not_released(mode: RunMode) -> None:
    """A job that succeeded is forgotten once its folder is gone, and not before."""
    state = state_after(mode=mode, keep=False)
    for number in range(1, 101):
        command = detached(number)
        for event in Taken(number, command.job), Started(command), Ended(command, Exited(0), 1.0):
            state.apply(event, 1.0)
    assert len(state.jobs) == len(left(state)) == 100
    for number in range(1, 100):
        state.apply(Released(detached(number)), 2.0)
    assert list(state.jobs) == [100]
    assert left(state) == ["key-100"]
    state.apply(Released(detached(100)), 2.0)
    assert len(state.jobs) == (mode == "broadcast")  # a step may be handed over once more
    assert state.counts() == {"succeeded": 100}


def test_progress_of_a_detached_command() -> None:
    """What a detached command has printed is known while its connection is broken."""
    command = detached(1)
    state = state_after(Taken(1, command.job), Started(command), Progressed(command, {}))
    (_, execution) = next(state.left())
    assert execution.printed_at == 3.0
