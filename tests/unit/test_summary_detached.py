"""What the summary of a run says of detached commands."""

from __future__ import annotations

from dataclasses import replace

from pegasus.events import Ended, Event, Released, RunEnded, Started, StopStored, Taken
from pegasus.model import Exited, Job, Lost
from pegasus.report.summary import summary_of, utilisation_of
from pegasus.run_state import Result, RunState
from tests.unit.states import began, given_to


def state_after(*events: Event) -> RunState:
    """Apply events to the state of a run whose commands are detached, and leave it."""
    state = RunState(keep_successes=False)
    for event in (replace(began(), detached=True), *events):
        state.apply(event, 1.0)
    return state


def started(number: int) -> list[Event]:
    """Give the events of a job that was taken and started."""
    given = replace(given_to(number), key=f"key-{number}")
    return [Taken(number, given.job), Started(given)]


def ended(number: int, status: int = 0) -> list[Event]:
    """Give the events of a job that has ended, and whose folder is gone."""
    given = replace(given_to(number), key=f"key-{number}")
    return [Ended(given, Exited(status), 1.0), Released(given)]


def log_of(result: Result) -> str:
    """Give the path of a log."""
    return f"{result.job.number}.*"


def test_a_run_that_left() -> None:
    """It counts what goes on, and says how it is followed and listed."""
    state = state_after(*started(1), *started(2), *started(3), *ended(1), RunEnded(None, "left"))
    assert summary_of(state, log_of) == [
        "3 commands: 1 succeeded, 2 detached.",
        (
            "2 commands still run on their nodes. `pegasus attach` follows them, `pegasus attach "
            "--list` lists them."
        ),
    ]


def test_what_still_runs_was_busy() -> None:
    """The time of a command that still runs counts for its sub-node, up to the end of the run."""
    state = state_after(*started(1))
    state.apply(RunEnded(None, "left"), 9.0)
    (sub_node,) = {execution.sub_node.number for _, execution in state.left()}
    assert state.busy_seconds()[sub_node] == 8.0
    assert "busy 0%" not in utilisation_of(state, 10.0)


def test_stops_that_are_stored() -> None:
    """After an abort, commands on nodes that are away are ended later; that is said."""
    stop = StopStored(replace(given_to(1), key="key-1"))
    state = state_after(*started(1), stop, RunEnded(130, "aborted"))
    assert summary_of(state, log_of)[1].endswith(
        "lists it. It is ended as soon as Pegasus reaches the node: a stop is stored."
    )
    state.apply(Taken(2, Job("job 2")), 2.0)
    state.apply(Started(replace(given_to(2), key="key-2")), 2.0)
    assert " 1 of them is ended as soon as" in summary_of(state, log_of)[1]


def test_a_command_that_was_given_up() -> None:
    """It is lost, and its folder is left on its node."""
    given = replace(given_to(1), key="key-1")
    lost = Ended(given, Lost("its node was away"), 1.0)
    state = state_after(*started(1), lost, RunEnded(1, "done"))
    counts, failure, folder = summary_of(state, log_of)
    assert counts == "1 command: 1 lost."
    assert "lost: its node was away" in failure
    assert folder.startswith("The folder of 1 command that has ended is left on its node.")
