"""What ``--max-failures`` promises: after so many failures nothing more is taken."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from pegasus.dispatch import Stage
from pegasus.share import Share, share_of_jobs
from tests.unit.dispatching import Bench, run_broadcast, run_queue


async def test_a_number_of_failures(autojump_clock: MockClock) -> None:
    """At the third failure the run drains: the words say why, and the rest stays in the queue."""
    commands = ["exit 1", "exit 0", "exit 1", "exit 0", "exit 1", "exit 1"]
    bench = Bench(*commands, nodes=1, max_failures=Share(3))
    await run_queue(bench)
    assert [job.command for job in bench.queue.jobs] == ["exit 1"]
    assert bench.notes == ["3 jobs failed (--max-failures 3): nothing more is taken."]
    assert bench.run.ending.stage is Stage.DRAINING


async def test_fewer_failures_change_nothing(autojump_clock: MockClock) -> None:
    """Below the limit everything runs."""
    bench = Bench("exit 1", "exit 1", "exit 0", nodes=1, max_failures=Share(3))
    await run_queue(bench)
    assert not bench.queue.jobs
    assert bench.notes == []


@pytest.mark.parametrize(("percent", "left"), [(10, 9), (11, 8), (20, 8), (21, 7), (100, 0)])
async def test_a_percentage(percent: int, left: int, autojump_clock: MockClock) -> None:
    """It counts from the jobs taken and those in the queue, and nothing is rounded."""
    limit = Share(percent, is_percentage=True)
    bench = Bench(*["exit 1"] * 10, nodes=1, max_failures=limit)
    await run_queue(bench)
    assert len(bench.queue.jobs) == left


async def test_only_the_last_try_counts(autojump_clock: MockClock) -> None:
    """A failure after which the job is tried again is none."""
    bench = Bench("exit 1", "exit 2", "exit 3", nodes=1, retries=2, max_failures=Share(2))
    await run_queue(bench)
    assert bench.commands_run == {"exit 1": 3, "exit 2": 3}


async def test_a_job_of_a_broadcast_counts_once(autojump_clock: MockClock) -> None:
    """A step that fails on each of three sub-nodes is one failed job."""
    bench = Bench("exit 1", "exit 0", "exit 1", "exit 0", nodes=3, max_failures=Share(2))
    await run_broadcast(bench)
    assert [job.command for job in bench.queue.jobs] == ["exit 0"]


def test_what_a_user_may_write() -> None:
    """A number above zero, or a percentage; the error names the next step."""
    assert share_of_jobs("5") == Share(5)
    assert share_of_jobs("10%") == Share(10, is_percentage=True)
    for text, words in {"0": "no job at all", "x": "no number of jobs", "101%": "all jobs"}.items():
        with pytest.raises(ValueError, match=words):
            share_of_jobs(text)
