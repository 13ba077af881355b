"""The state of a run: what events lead to, live and from the journal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from pegasus.events import (
    Connected,
    Cut,
    Ended,
    Event,
    LinesMissing,
    Missing,
    Noted,
    OutputMissing,
    Progressed,
    Reconnected,
    Released,
    Returned,
    RunEnded,
    RunMode,
    Stalled,
    Started,
    StopStored,
    SubNodeAdded,
    Taken,
    TakenOver,
    Unreachable,
)
from pegasus.model import (
    Assignment,
    Cancelled,
    Exited,
    Job,
    Lost,
    NotStarted,
    Outcome,
    StepOrigin,
    Stream,
    SubNode,
)
from pegasus.record.decoding import data_of, event_of
from pegasus.record.encoding import line_of
from pegasus.rendered import as_recorded
from pegasus.run_state import Execution, RunState
from pegasus.run_state.jobs import INTERRUPTED, INTERRUPTED_BEFORE_START
from tests.examples import examples
from tests.unit.slots import ABOUT_ALLOCATIONS, ASKED, DEMANDS, HELD, about_slots
from tests.unit.states import NODES, began, given_to

OUTCOMES: list[Outcome] = [Exited(0), Exited(3), Lost("gone"), Cancelled(), NotStarted("no shell")]


def state_after(*events: Event, mode: RunMode = "queue", keep: bool = True) -> RunState:
    """Apply events, one each second from 1 on, after the beginning at 0."""
    state = RunState(keep_successes=keep)
    for at, event in enumerate([began(mode), *events]):
        state.apply(event, float(at))
    return state


def test_a_job_from_the_take_to_its_end() -> None:
    """A job is counted as taken, then as running, then by its outcome, with its times."""
    job, assignment = Job("job 1"), given_to(1)
    state = state_after(Taken(1, job))
    assert state.counts() == {"taken": 1}
    state.apply(Started(assignment), 2.0)
    assert state.counts() == {"running": 1}
    assert [(each.number, tried.sub_node) for each, tried in state.running()] == [(1, NODES[0])]
    state.apply(Progressed(assignment, {Stream.STDOUT: 4}), 3.0)
    (execution,) = state.jobs[1].final
    assert (execution.printed, execution.printed_at) == ({Stream.STDOUT: 4}, 3.0)
    state.apply(Ended(assignment, Exited(0), 7.5, printed={Stream.STDOUT: 9}), 9.5)
    assert state.counts() == {"succeeded": 1}
    assert (execution.started_at, execution.ended_at, execution.seconds) == (2.0, 9.5, 7.5)
    assert state.recorded_bytes == 9
    assert not state.open_jobs
    assert state.sub_nodes[0].busy == 7.5


def test_a_silence_ends_with_the_next_output() -> None:
    """A command whose silence was reported is silent until it prints, is cut off or ends."""
    assignment = given_to(1)
    state = state_after(Taken(1, assignment.job), Started(assignment))
    (execution,) = state.jobs[1].final
    ended = Ended(assignment, Exited(0), 9.0)
    for event in (Progressed(assignment, {}), Cut(assignment, "gone"), ended):
        assert execution.silent_since is None
        state.apply(Stalled(assignment, 60.0), 100.0)
        assert execution.silent_since == 40.0
        state.apply(event, 101.0)
    assert execution.silent_since is None
    state.apply(Stalled(assignment, 60.0), 102.0)  # too late, in a damaged journal
    assert execution.silent_since is None


def test_the_last_try_counts() -> None:
    """A job that is tried once more waits; its next try replaces the one before."""
    first, second = given_to(1, 0), given_to(1, 1)
    state = state_after(
        Taken(1, first.job), Started(first), Ended(first, Exited(1), 1.0, again=True)
    )
    assert state.counts() == {"taken": 1}
    assert state.outcomes(state.jobs[1]) == [None]
    state.apply(Started(second), 5.0)
    state.apply(Ended(second, Exited(0), 1.0), 6.0)
    assert state.counts() == {"succeeded": 1}
    assert [each.sub_node for each in state.jobs[1].executions] == [NODES[0], NODES[1]]
    assert not state.failures()


def test_a_start_that_was_returned_does_not_count() -> None:
    """A command that never started leaves its job waiting for another sub-node."""
    first = given_to(1)
    state = state_after(Taken(1, first.job), Started(first), Returned(first, "no shell"))
    assert state.counts() == {"taken": 1}
    assert not state.jobs[1].executions


def test_an_end_that_is_final_after_all() -> None:
    """A second end without a start replaces the first; the time counts once."""
    first = given_to(1)
    ended = Ended(first, Exited(1), 5.0, again=True, printed={Stream.STDERR: 3})
    state = state_after(Taken(1, first.job), Started(first), ended, Ended(first, Exited(1), 5.0))
    assert state.counts() == {"failed": 1}
    assert state.sub_nodes[0].busy == 5.0
    assert state.recorded_bytes == 3


def test_a_broadcast_has_one_result_for_each_sub_node() -> None:
    """Failures and successes come in the order of their ends, also while the step goes on."""
    jobs = [given_to(1, node) for node in range(3)]
    state = state_after(Taken(1, jobs[0].job), *map(Started, jobs), mode="broadcast")
    assert state.counts() == {"running": 3}
    state.apply(Ended(jobs[2], Exited(0), 1.0), 5.0)
    state.apply(Ended(jobs[0], Exited(4), 1.0), 6.0)
    assert state.counts() == {"running": 1, "succeeded": 1, "failed": 1}
    assert [str(each.outcome) for each in state.failures()] == ["exit status: 4"]
    state.apply(Ended(jobs[1], Exited(0), 1.0), 7.0)
    successes = [each.execution for each in state.successes(5)]
    assert [each.sub_node for each in successes if each] == [NODES[2], NODES[1]]
    assert [each.execution for each in state.successes(1)] == successes[-1:]


def test_what_has_no_end_when_pegasus_was_killed() -> None:
    """What ran, what was taken and what waited for another try has an outcome."""
    runs, waits = given_to(1), given_to(3, 1)
    state = state_after(
        Taken(1, runs.job),
        Taken(2, Job("job 2")),
        Taken(3, waits.job),
        Started(runs),
        Started(waits),
        Ended(waits, Exited(9), 1.0, again=True),
    )
    state.interrupted = True
    outcomes = [state.outcomes(job) for job in state.jobs.values()]
    assert outcomes == [[INTERRUPTED], [INTERRUPTED_BEFORE_START], [Exited(9)]]
    assert state.counts() == {"lost": 2, "failed": 1}
    assert not list(state.running())
    assert [each.job.number for each in state.failures()] == [3, 1, 2]
    assert state.failure_count == 3
    assert [each.job.number for each in state.failures(2)] == [1, 2]


@pytest.mark.parametrize("mode", ["queue", "broadcast"])
def test_a_live_run_forgets_what_succeeded(mode: RunMode) -> None:
    """The state of a run that goes on for weeks holds its failures and its open jobs only."""
    events: list[Event] = []
    for number in range(1, 101):
        outcome = Exited(0) if number % 10 else Exited(1)
        given_ = given_to(number)
        events += [Taken(number, given_.job), Started(given_), Ended(given_, outcome, 1.0)]
    state = state_after(*events, mode=mode, keep=False)
    assert state.counts() == {"succeeded": 90, "failed": 10}
    assert state.failure_count == 10
    assert len(state.jobs) == 10


def test_unknown_jobs_change_nothing() -> None:
    """An event about a job or a sub-node that is unknown is an error, and changes nothing."""
    state = state_after(Taken(1, Job("job 1")))
    for event in (
        Started(given_to(7)),
        Ended(given_to(7), Exited(0), 1.0),
        Connected(SubNode(9, "node-9")),
        OutputMissing(7, 0, Stream.STDOUT, 0, 1, ""),
    ):
        with pytest.raises(KeyError):
            state.apply(event, 9.0)
    assert state.counts() == {"taken": 1}
    assert state.last_at == 1.0


# The journal.


@st.composite
def histories(draw: st.DrawFn) -> tuple[RunMode, list[Event]]:
    """Give any sequence of events in which each job and sub-node is known before it is named."""
    mode: RunMode = draw(st.sampled_from(["queue", "broadcast"]))
    numbers = draw(st.integers(1, 4))
    events: list[Event] = []
    taken = 0
    for _ in range(draw(st.integers(0, 30))):
        if taken < numbers and draw(st.booleans()):
            taken += 1
            origin = draw(st.sampled_from([None, StepOrigin("0001-run", 7)]))
            job = Job(f"job {taken}", (("x", draw(st.text())),), demand=DEMANDS[taken % 2])
            events.append(Taken(taken, job, origin))
        elif taken:
            events.append(draw(about_job(draw(st.integers(1, taken)), events)))
        else:
            events.append(draw(st.sampled_from(ABOUT_NODES)))
    return mode, events


KEYS = ["key-1", "key-2", "key-3"]

SOME_WITH_SLOTS = (*NODES[:2], replace(NODES[2], pools=ASKED.pools))

ABOUT_NODES: Sequence[Event] = [
    Connected(NODES[0]),
    Unreachable(NODES[1], "Connection refused", None),
    Missing(NODES[1], "Connection refused"),
    SubNodeAdded(SubNode(3, "late", (("gpu", "0"),))),
    Noted("a note"),
    LinesMissing(3),
    TakenOver(7, "there", "0002-run", "boot"),
]


@st.composite
def about_job(draw: st.DrawFn, number: int, events: list[Event]) -> Event:
    """Give an event about a job that was taken."""
    job = next(each.job for each in events if isinstance(each, Taken) and each.number == number)
    node = draw(st.sampled_from(SOME_WITH_SLOTS))
    command = as_recorded(f"{job.command} on {node}")
    assignment = Assignment(number, job, node, command, slots=draw(st.sampled_from(HELD)))
    sizes = {stream: draw(st.integers(0, 9)) for stream in Stream}
    again, outcome = draw(st.booleans()), draw(st.sampled_from(OUTCOMES))
    detached = replace(assignment, key=draw(st.sampled_from(KEYS)))
    possible: list[Event] = [
        Started(detached),
        Cut(detached, "Broken pipe"),
        Reconnected(detached),
        StopStored(detached),
        Released(detached),
        Ended(detached, outcome, 2.5, again=again, printed=sizes),
        Started(assignment),
        Returned(assignment, "no shell"),
        Progressed(assignment, sizes),
        Stalled(assignment, 60.0),
        Ended(assignment, outcome, 1.5, again=again, printed=sizes),
        OutputMissing(number, node.number, Stream.STDOUT, 0, 5, "No space"),
        *about_slots(SOME_WITH_SLOTS[2]),
        *ABOUT_ALLOCATIONS,
    ]
    return draw(st.sampled_from(possible))


@settings(max_examples=examples(100), deadline=None)
@given(histories())
def test_the_journal_leads_to_the_same_state(history: tuple[RunMode, list[Event]]) -> None:
    """A reader of the journal sees the state that the run itself has, whatever happened."""
    mode, events = history
    live, read = RunState(), RunState()
    for state in (live, read):
        state.apply(replace(began(mode), sub_nodes=SOME_WITH_SLOTS), 0.0)
    for at, event in enumerate([*events, RunEnded(1, "done")], start=1):
        live.apply(event, float(at))
        data = data_of(line_of(event, float(at)))
        decoded = event_of(data, read)
        assert decoded is not None
        read.apply(decoded, data["at"])
    assert contents(read) == contents(live)
    closed = sum(live.counts().values())
    assert closed == sum(len(job.final) or 1 for job in live.jobs.values())
    assert live.failure_count == len(live.failures())
    counts = live.counts()
    assert live.failure_count == closed - counts["succeeded"] - counts["detached"]
    uses = {use.pool.name: use for use in live.pool_uses()}
    for name, each in live.slot_counts().items():
        numbers = len(uses[name].slots), len(uses[name].held), len(uses[name].used)
        assert (each.size, each.held, each.used) == numbers


def contents(state: RunState) -> object:
    """Give what a state contains, to compare it with another."""
    return (
        state.counts(),
        state.end,
        state.own_end,
        state.recorded_bytes,
        state.lines_missing,
        state.last_at,
        [dataclasses.astuple(node) for node in state.sub_nodes.values()],
        [
            (
                job.number,
                job.job,
                job.taken_at,
                job.resumes,
                list(map(tried, job.executions)),
                state.words_of(job),
            )
            for job in state.jobs.values()
        ],
        [(each.job.number, each.outcome) for each in state.failures()],
        [each.job.number for each in state.successes(9)],
        state.follower,
        (state.taken, list(state.pace.durations), list(state.pace.steps), state.pace.again),
        (
            state.waiting_for,
            state.allocations,
            state.barriers_passed,
            list(state.pace.widths),
            state.pool_uses(),
        ),
        [(job.number, job.unreleased, tried(execution)) for job, execution in state.left()],
    )


def tried(execution: Execution) -> object:
    """Give what is known of a try; the command of one that never started is not recorded."""
    data = dataclasses.asdict(execution)
    del data["assignment"]
    assignment = execution.assignment
    started = (execution.command, assignment.slots) if execution.started_at is not None else None
    return data, execution.sub_node, assignment.job, started


def test_a_retried_sub_node_keeps_its_place_in_a_broadcast() -> None:
    """The outcomes of a step come in the order in which its sub-nodes started it first."""
    jobs = [given_to(1, node) for node in range(3)]
    state = state_after(Taken(1, jobs[0].job), *map(Started, jobs), mode="broadcast")
    for event in (
        Ended(jobs[0], Exited(9), 1.0, again=True),
        Ended(jobs[1], Exited(1), 1.0),
        Started(jobs[0]),
        Ended(jobs[2], Exited(2), 1.0),
        Ended(jobs[0], Exited(0), 1.0),
    ):
        state.apply(event, 9.0)
    assert state.outcomes(state.jobs[1]) == [Exited(0), Exited(1), Exited(2)]
    assert not state.open_jobs
    assert [each.outcome for each in state.failures()] == [Exited(1), Exited(2)]
