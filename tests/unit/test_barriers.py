"""The rule of barriers: what of all runs keeps one closed, and what is said about it."""

from __future__ import annotations

import pytest

from pegasus.barriers import (
    BarrierClosed,
    BarrierOpen,
    BarrierWaits,
    FailedJob,
    RunFacts,
    judge,
)
from pegasus.model import BarrierKind, Job

OWN, OTHER = "0001-run-a", "0002-run-b"
FAILED = FailedJob(Job("train {{ x }}", (("x", "1"),)), "exit status: 3")


@pytest.mark.parametrize("kind", ["ended", "succeeded"])
def test_nothing_is_left(kind: BarrierKind) -> None:
    """A barrier opens when nothing that was taken can change any more."""
    runs = [RunFacts(OWN, is_own=True), RunFacts(OTHER)]
    assert judge(kind, [(OWN, 1), (OTHER, 1)], runs) == BarrierOpen()


@pytest.mark.parametrize("kind", ["ended", "succeeded"])
def test_something_runs(kind: BarrierKind) -> None:
    """It waits for what any run has taken, and says what: its own first, then of which run."""
    own = RunFacts(OWN, is_own=True, unended={3: "runs on node-1"})
    other = RunFacts(OTHER, unended={1: "waits for another try"})
    words = f"job 3 runs on node-1, job 1 of run {OTHER} waits for another try"
    assert judge(kind, [], [own, other]) == BarrierWaits(words)


def test_much_runs() -> None:
    """It names the first jobs and counts the others."""
    own = RunFacts(OWN, is_own=True, unended=dict.fromkeys(range(1, 1003), "runs"))
    words = "job 1 runs, job 2 runs, job 3 runs, and 999 more"
    assert judge("ended", [], [own]) == BarrierWaits(words)


def test_a_failure_above_it() -> None:
    """After a failure above it, only a barrier that waits for ends opens."""
    runs = [RunFacts(OWN, is_own=True, failed={2: FAILED})]
    assert judge("ended", [(OWN, 2)], runs) == BarrierOpen()
    assert judge("succeeded", [(OWN, 2)], runs) == BarrierClosed(
        "Job 2 failed (exit status: 3): train {{ x }} (x=1). `pegasus retry 2 --run 0001-run-a` "
        "puts it back above the barrier; deleting its line opens it."
    )


def test_a_failure_that_was_not_above_it() -> None:
    """What failed before the barrier, or in an old run, does not keep it closed."""
    runs = [RunFacts(OWN, is_own=True, failed={2: FAILED}), RunFacts(OTHER, failed={1: FAILED})]
    assert judge("succeeded", [(OWN, 1)], runs) == BarrierOpen()


def test_a_failure_that_was_put_back() -> None:
    """A job that was put back counts by its new execution."""
    runs = [RunFacts(OWN, is_own=True, failed={2: FAILED}, back={2})]
    assert judge("succeeded", [(OWN, 2)], runs) == BarrierOpen()


def test_a_failure_is_known_while_others_run() -> None:
    """A failure is known as soon as it is final, with what else still runs."""
    other = RunFacts(OTHER, failed={1: FAILED})
    own = RunFacts(OWN, is_own=True, unended={3: "runs on node-1"})
    verdict = judge("succeeded", [(OTHER, 1)], [own, other])
    assert isinstance(verdict, BarrierClosed)
    assert verdict.words.startswith(f"Job 1 of run {OTHER} failed (exit status: 3)")
    assert verdict.waits == "job 3 runs on node-1"


def test_many_failures() -> None:
    """The first failures are named, and all of them are put back by one command for each run."""
    own = RunFacts(OWN, is_own=True, failed=dict.fromkeys(range(1, 6), FAILED))
    other = RunFacts(OTHER, failed={1: FAILED})
    above = [(OTHER, 1), *((OWN, number) for number in range(1, 6))]
    verdict = judge("succeeded", above, [own, other])
    assert isinstance(verdict, BarrierClosed)
    assert "Job 3 failed" in verdict.words
    assert "3 more failed. `pegasus retry --run 0001-run-a` and `pegasus retry --run" in (
        verdict.words
    )


def test_what_nobody_has_followed() -> None:
    """What ended unfollowed has ended, but nobody knows that it succeeded."""
    runs = [RunFacts(OTHER, unfollowed={1: "runs detached"})]
    assert judge("ended", [(OTHER, 1)], runs) == BarrierOpen()
    assert judge("succeeded", [(OTHER, 1)], runs) == BarrierWaits(
        f"job 1 of run {OTHER} runs detached"
    )
    assert judge("succeeded", [], runs) == BarrierOpen()
