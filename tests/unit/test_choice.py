"""The choice of a sub-node for each waiting job."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pegasus.dispatch.choice import choose
from pegasus.model import SubNode

A, B, C = (SubNode(number, f"n{number}") for number in range(3))


@dataclass(frozen=True)
class FakeJob:
    """A waiting job.

    Attributes:
        name: tells it from others.
        tried_on: the numbers of the sub-nodes that have tried it.
        runs_on: the numbers of those that can run it.
    """

    name: str
    tried_on: tuple[int, ...] = ()
    runs_on: tuple[int, ...] = (0, 1, 2)


def can_run(job: FakeJob, sub_node: SubNode) -> bool:
    """Return whether a job can be rendered for a sub-node."""
    return sub_node.number in job.runs_on


def chosen(jobs: list[FakeJob], ready: list[SubNode], connected: list[SubNode]) -> dict[str, int]:
    """Return the number of the sub-node that each chosen job gets."""
    pairs = choose(jobs, ready, connected, can_run)
    assert len({sub_node.number for _, sub_node in pairs}) == len(pairs)
    return {job.name: sub_node.number for job, sub_node in pairs}


def test_jobs_are_served_in_order() -> None:
    """The first jobs get the sub-nodes that have been ready longest; the others wait."""
    jobs = [FakeJob("one"), FakeJob("two"), FakeJob("three")]
    assert chosen(jobs, [B, A], [A, B]) == {"one": 1, "two": 0}


@pytest.mark.parametrize("ready", [[], [C]])
def test_nothing_to_pair(ready: list[SubNode]) -> None:
    """Without a ready sub-node, or without one that can run the job, nothing is chosen."""
    assert chosen([FakeJob("one", runs_on=(0,))], ready, ready) == {}
    assert chosen([], [A, B], [A, B]) == {}


def test_a_sub_node_that_has_not_tried_it_is_preferred() -> None:
    """A job goes to a ready sub-node that has not tried it, also past one that has."""
    assert chosen([FakeJob("one", tried_on=(0,))], [A, B], [A, B]) == {"one": 1}


def test_a_busy_sub_node_that_has_not_tried_it_is_waited_for() -> None:
    """A job waits for a busy sub-node that has not tried it, and the next job is served."""
    jobs = [FakeJob("one", tried_on=(0,)), FakeJob("two")]
    assert chosen(jobs, [A], [A, B]) == {"two": 0}


@pytest.mark.parametrize("connected", [[A], [A, B]])
def test_a_sub_node_that_has_tried_it_is_the_last_choice(connected: list[SubNode]) -> None:
    """A job is tried again on the same sub-node where every other is away, or cannot run it."""
    job = FakeJob("one", tried_on=(0, 0), runs_on=(0,))
    assert chosen([job], [A], connected) == {"one": 0}


def test_a_sub_node_that_cannot_run_a_job_serves_the_next_one() -> None:
    """A job that can be rendered on one sub-node only leaves the others to other jobs."""
    jobs = [FakeJob("one", runs_on=(1,)), FakeJob("two"), FakeJob("three")]
    assert chosen(jobs, [A, B], [A, B]) == {"one": 1, "two": 0}
