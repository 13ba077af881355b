"""The estimate of the remaining time: how good it is, and when there is none."""

from __future__ import annotations

import math
import random
from statistics import median
from typing import TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from pegasus.estimate import Remaining, Workload, about_words, estimate, remaining_words
from pegasus.estimate.schedule import LONGEST_ESTIMATE
from pegasus.estimate.words import short_remaining_words
from pegasus.events import (
    Awaited,
    Connected,
    Ended,
    Event,
    RunEnded,
    RunMode,
    Started,
    Taken,
    Unreachable,
    WaitingFor,
)
from pegasus.model import Cancelled, Exited
from pegasus.run_state import RunState, remaining_of
from pegasus.run_state.pace import LATEST_DURATIONS
from tests.examples import examples
from tests.unit.simulated_runs import DRAWS, MOMENTS, guesses, random_queue
from tests.unit.states import NODES, began, given_to

QUEUES = 140
"""Queues that are simulated here; docs/why/estimate.md has the table of a thousand."""

PROMISED = 0.15

Timed: TypeAlias = tuple[float, Event]
"""An event and its time."""


def state_of(*events: Timed, mode: RunMode = "queue") -> RunState:
    """Apply events at their times."""
    state = RunState(keep_successes=False)
    state.apply(began(mode), 0.0)
    for at, event in events:
        state.apply(event, at)
    return state


def one_job(number: int, node: int, begin: float, end: float) -> list[Timed]:
    """Give the events of a job that succeeded."""
    job = given_to(number, node)
    return [
        (begin, Taken(number, job.job)),
        (begin, Started(job)),
        (end, Ended(job, Exited(0), end - begin)),
    ]


CONNECTED: list[Timed] = [(0.0, Connected(node)) for node in NODES]


def test_the_median_error_from_the_halfway_point_on() -> None:
    """Over queues of all kinds and sizes, half of the estimates are within 15 percent.

    No estimate, where no job has ended yet, counts as an error of 100 percent.
    """
    runs = [random_queue(seed)[3] for seed in range(QUEUES)]
    halfway = [median(guess.error for guess in run) for run in runs]
    assert median(halfway) < PROMISED
    for moment in range(len(MOMENTS)):
        assert median(run[moment].error_of_total for run in runs) < PROMISED / 2


@pytest.mark.parametrize("kind", DRAWS)
def test_a_queue_of_many_jobs(kind: str) -> None:
    """With many jobs for each sub-node the halfway estimate is good, whatever the durations are."""
    (guess,) = guesses(random.Random(3), DRAWS[kind], 600, 8, [0.5])
    assert guess.error < PROMISED


def test_no_figure_without_a_basis() -> None:
    """Where there is no estimate, the reason is given."""
    job = given_to(1)
    started: list[Timed] = [(1.0, Taken(1, job.job)), (1.0, Started(job))]
    awaited = (9.0, Awaited((WaitingFor("queue.yaml:1:1", "train", "node-3 is away"),)))
    for state, waiting, why in (
        (state_of(*CONNECTED), 5, "no job has ended yet"),
        (state_of(*CONNECTED, *started), 5, "no job has ended yet"),
        (state_of(*CONNECTED, *one_job(1, 0, 0, 9)), None, "the queue is not counted yet"),
        (state_of(*CONNECTED, *one_job(1, 0, 0, 9)), 0, "nothing waits"),
        (state_of(*one_job(1, 0, 0, 9)), 5, "no sub-node is connected"),
        (state_of(*CONNECTED, mode="broadcast"), 5, "no step has ended yet"),
        (state_of(*CONNECTED, (9.0, RunEnded(0, "done"))), 5, "the run is over"),
        (state_of(*CONNECTED, *one_job(1, 0, 0, 9), awaited), 5, "nothing can start now"),
    ):
        assert remaining_of(state, 10.0, waiting) == Remaining(None, why)
    assert remaining_words(Remaining(None, "why")) == "remaining: not known yet (why)"


def test_commands_that_were_ended_by_pegasus_say_nothing() -> None:
    """The time until a cancelled command is no sign of how long jobs take."""
    job = given_to(1)
    cancelled: list[Timed] = [
        (0.0, Taken(1, job.job)),
        (0.0, Started(job)),
        (1.0, Ended(job, Cancelled(), 1.0)),
    ]
    assert remaining_of(state_of(*CONNECTED, *cancelled), 5.0, 3).seconds is None


def test_only_sub_nodes_that_work_count() -> None:
    """A sub-node that cannot be reached takes no jobs."""
    jobs = [event for number in (1, 2, 3) for event in one_job(number, number - 1, 0, 10)]
    assert remaining_of(state_of(*CONNECTED, *jobs), 10.0, 6).seconds == 20.0
    away = (11.0, Unreachable(NODES[2], "no route", None))
    assert remaining_of(state_of(*CONNECTED, *jobs, away), 11.0, 6).seconds == 30.0


def test_the_last_jobs_do_not_occupy_all_sub_nodes() -> None:
    """Four jobs on three sub-nodes take as long as two on one."""
    jobs = [event for number in (1, 2, 3) for event in one_job(number, number - 1, 0, 10)]
    assert remaining_of(state_of(*CONNECTED, *jobs), 10.0, 4).seconds == 20.0
    running = given_to(4)
    later: list[Timed] = [(10.0, Taken(4, running.job)), (10.0, Started(running))]
    state = state_of(*CONNECTED, *jobs, *later)
    assert remaining_of(state, 16.0, 0).seconds == pytest.approx(4.0)
    assert remaining_of(state, 16.0, 1, takes_no_more=True).seconds == pytest.approx(4.0)


def test_retries_are_expected() -> None:
    """Where half of the ends are followed by another try, twice as many commands are expected."""
    ended = [(10.0, 0), (10.0, 0)]
    assert estimate(Workload(ended, [], 10, [0])) == 100.0
    assert estimate(Workload(ended, [], 10, [0], again=0.5)) == 200.0
    assert estimate(Workload(ended, [], 10, [0], again=1.0)) == pytest.approx(1000.0)


def test_a_job_that_waits_for_another_try_is_not_forgotten() -> None:
    """Jobs that were taken and do not run are to be run, too."""
    job = given_to(1)
    tried: list[Timed] = [(0.0, Taken(1, job.job)), (0.0, Started(job))]
    again = (10.0, Ended(job, Exited(1), 10.0, again=True))
    found = remaining_of(state_of(CONNECTED[0], *tried, again), 10.0, 0).seconds
    assert found is not None
    assert found >= 10.0


def test_a_broadcast_is_estimated_by_its_steps() -> None:
    """A step takes as long as its slowest sub-node, and no sub-node runs ahead."""
    events: list[Timed] = []
    for number, begin in ((1, 0.0), (2, 20.0), (3, 40.0)):
        jobs = [given_to(number, node) for node in range(3)]
        events.append((begin, Taken(number, jobs[0].job)))
        events += [(begin, Started(job)) for job in jobs]
        for job, seconds in zip(jobs, (5.0, 10.0, 20.0), strict=True):
            if number < 3:
                events.append((begin + seconds, Ended(job, Exited(0), seconds)))
    state = state_of(*CONNECTED, *events, mode="broadcast")
    assert remaining_of(state, 45.0, 2).seconds == pytest.approx(15.0 + 2 * 20.0)


def test_a_trend_does_not_go_on_without_end() -> None:
    """Of a long queue the first hundreds become a little faster; that says little of the rest."""
    ended = [(0.25 - 0.0001 * number, number % 8) for number in range(500)]
    found = estimate(Workload(ended, [], 20_000, list(range(8))))
    assert 20_000 * 0.15 / 8 < found < 20_000 * 0.2 / 8


def test_the_time_between_two_commands_counts() -> None:
    """Of short jobs, the time to start them is a part of the estimate."""
    jobs: list[Timed] = []
    for number in range(1, 11):
        jobs += one_job(number, 0, number * 0.5, number * 0.5 + 0.4)
    found = remaining_of(state_of(CONNECTED[0], *jobs), 5.4, 1000).seconds
    assert found == pytest.approx(500.0, rel=0.02)
    waited = one_job(11, 0, 500.0, 500.4)  # for a job that was added late
    found = remaining_of(state_of(CONNECTED[0], *jobs, *waited), 500.4, 1000).seconds
    assert found == pytest.approx(500.0, rel=0.02)


def test_a_long_run_keeps_its_latest_durations_only() -> None:
    """The state of a run that goes on for weeks does not grow with its jobs."""
    events = [event for number in range(1, 3001) for event in one_job(number, 0, number, number)]
    pace = state_of(CONNECTED[0], *events).pace
    assert (len(pace.durations), pace.ends) == (LATEST_DURATIONS, 3000)
    assert len(pace.gaps) <= LATEST_DURATIONS


SECONDS = st.floats(0, 1e7)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.tuples(SECONDS, st.integers(0, 9)), min_size=1, max_size=50),
    st.lists(st.tuples(SECONDS, st.integers(0, 9)), max_size=10, unique_by=lambda each: each[1]),
    st.integers(0, 10**6),
    st.sets(st.integers(0, 9), min_size=1),
    st.tuples(st.floats(0, 1), st.floats(0, 2)),
)
def test_never_absurd(
    ended: list[tuple[float, int]],
    running: list[tuple[float, int]],
    waiting: int,
    workers: set[int],
    more: tuple[float, float],
) -> None:
    """Whatever was measured, the estimate is finite, not negative, and has a limit."""
    load = Workload(ended, running, waiting, sorted(workers), *more)
    found = estimate(load)
    assert math.isfinite(found)
    assert 0.0 <= found <= LONGEST_ESTIMATE
    assert estimate(load) == found
    assert len(about_words(found)) < 20
    assert len(short_remaining_words(Remaining(found))) < 16


def test_the_words_for_an_estimate() -> None:
    """An estimate is shown no more exactly than it is known."""
    shown = [
        (0.0, "about 5 s", "~5 s left"),
        (42.0, "about 40 s", "~40 s left"),
        (59.9, "about 1 min", "~1 min left"),
        (140.0, "about 2 min 30 s", "~2.3 min left"),
        (3000.0, "about 50 min", "~50 min left"),
        (7400.0, "about 2 h", "~2.1 h left"),
        (40000.0, "about 11 h", "~11 h left"),
        (200000.0, "about 2 d 8 h", "~2 d left"),
        (LONGEST_ESTIMATE, "more than 1000 d", "~1000 d left"),
    ]
    for seconds, words, short in shown:
        assert about_words(seconds) == words
        assert short_remaining_words(Remaining(seconds)) == short
