"""What the summary of a run says of commands that did not succeed."""

from __future__ import annotations

from pegasus.events import Ended, RunEnded, Started, Taken
from pegasus.model import Exited, NotStarted, TimedOut
from pegasus.report.summary import summary_of
from pegasus.run_state import RunState
from tests.unit.states import began, given_to


def test_a_command_that_never_started() -> None:
    """It has no duration; a command that ran has one."""
    state = RunState()
    ran, never = given_to(1), given_to(2)
    for event in (
        began(),
        Taken(1, ran.job),
        Started(ran),
        Ended(ran, Exited(3), 1.0),
        Taken(2, never.job),
        Ended(never, NotStarted("its node is gone"), 0.0),
        RunEnded(1, "done"),
    ):
        state.apply(event, 1.0)
    _, first, second = summary_of(state, lambda _: None)
    assert ": exit status: 3, after 1.0 s: " in first
    assert ": not started: its node is gone: " in second


def test_a_command_that_timed_out() -> None:
    """Its limit is in the outcome, so no second time follows."""
    state = RunState()
    given = given_to(1)
    for event in (
        began(),
        Taken(1, given.job),
        Started(given),
        Ended(given, TimedOut(3.0), 3.3),
        RunEnded(1, "done"),
    ):
        state.apply(event, 1.0)
    _, line = summary_of(state, lambda _: None)
    assert ": timed out after 3 s: " in line
    assert "3.3" not in line
