"""What ``pegasus wait`` promises: it ends with the run, or with the job, and tells how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pegasus.commands.wait import WaitSettings, wait
from pegasus.errors import ExitStatus, PegasusError
from pegasus.events import Ended, Missing, RunEnded, RunPaused
from pegasus.model import Exited, Lost
from pegasus.record import RunRecord
from pegasus.record.recording import Record
from pegasus.report.ends import end_of_job, end_of_run
from tests.unit.records import (
    NODES,
    end,
    only_run,
    queue_in,
    recording,
    run_some,
    settle,
    start,
    start_on,
    take,
)


def files_in(folder: Path) -> list[tuple[Path, int]]:
    """Give all files, and when they were changed."""
    return sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def read(record: Record, queue: Path) -> RunRecord:
    """Read what is recorded so far."""
    settle(record)
    return only_run(queue)


async def test_a_run_that_has_ended(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its exit status is given at once, with the outcome in one line, and nothing is written."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    before = files_in(tmp_path)
    assert wait(WaitSettings(queue_file=queue)) == 1
    said = capfd.readouterr()
    assert said.err == ""
    assert said.out.startswith("Run 0001-run-1: done, exit status 1, after ")
    assert said.out.endswith(": 1 succeeded, 1 failed.\n")
    assert wait(WaitSettings(queue_file=queue, job=1)) == 0
    assert wait(WaitSettings(queue_file=queue, job=2)) == 1
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("status", [0, 1, 2, 130])
async def test_the_status_of_the_run(tmp_path: Path, status: int) -> None:
    """It is that of the run, whatever its jobs did."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        end(record, start(record, 1))
        record.tell(RunEnded(status, "drained" if status == 130 else "done"))
    assert wait(WaitSettings(queue_file=queue)) == status


async def test_a_run_that_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is waited for until the time has passed; it is said that it is paused."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        record.tell(RunPaused())
        assert end_of_run(read(record, queue)) is None
        assert wait(WaitSettings(queue_file=queue, limit=1.2)) == ExitStatus.TIMED_OUT
        record.tell(RunEnded(1, "done"))
    err = capfd.readouterr().err
    assert "[Pegasus] waiting for run 0001-run-1 (process " in err
    assert "), which is paused\n" in err
    assert "[Pegasus] Run 0001-run-1 has not ended within 1.2 s.\n" in err


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "Job 1 of run 0001-run-1 has not ended within "),
        (99, "Run 0001-run-1 has not taken a job 99 within "),
    ],
)
async def test_a_job_that_has_not_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], number: int, words: str
) -> None:
    """A number that the run has not given yet is told, with the numbers that there are."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        read(record, queue)
        settings = WaitSettings(queue_file=queue, job=number, limit=0.0)
        assert wait(settings) == ExitStatus.TIMED_OUT
        record.tell(RunEnded(1, "done"))
    err = capfd.readouterr().err
    assert f"[Pegasus] {words}" in err
    assert ("it has job 1 so far. `pegasus logs" in err) is (number == 99)


async def test_a_job_that_is_tried_again(tmp_path: Path) -> None:
    """A job has not ended before it was taken, and while it may be tried again."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        assert end_of_job(read(record, queue), 1) is None
        take(record, 1)
        assert end_of_job(read(record, queue), 1) is None
        given = start(record, 1)
        assert end_of_job(read(record, queue), 1) is None
        record.tell(Ended(given, Lost("gone"), 1.0, again=True))
        assert end_of_job(read(record, queue), 1) is None
        end(record, start(record, 1))
        found = end_of_job(read(record, queue), 1)
        assert found is not None
        assert found.status == 0
        assert found.words.startswith("Job 1 of run 0001-run-1: exit status: 0 on node-1")


async def test_a_step_of_a_broadcast(tmp_path: Path) -> None:
    """It has ended when each sub-node that is there has; one that fails makes it a failure."""
    queue = queue_in(tmp_path)
    async with recording(queue, broadcast=True) as record:
        job = take(record, 1)
        end(record, start_on(record, 1, job, NODES[0]))
        assert end_of_job(read(record, queue), 1) is None
        end(record, start_on(record, 1, job, NODES[1]), Exited(3))
        assert end_of_job(read(record, queue), 1) is None
        record.tell(Missing(NODES[2], "no route"))
        found = end_of_job(read(record, queue), 1)
        assert found is not None
        assert (found.status, found.words[-24:]) == (1, ": 1 succeeded, 1 failed.")


async def test_a_job_that_never_was(tmp_path: Path) -> None:
    """A job that a run has not taken before its end is an error, as is a run that is not there."""
    queue = queue_in(tmp_path)
    with pytest.raises(PegasusError, match="No run of"):
        wait(WaitSettings(queue_file=queue))
    await run_some(queue)
    with pytest.raises(PegasusError, match="has taken no job 7"):
        wait(WaitSettings(queue_file=queue, job=7))
    with pytest.raises(PegasusError, match="Leave out"):
        wait(replace(WaitSettings(queue_file=queue, job=1), every=True))


async def test_no_run_in_progress(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With ``--all`` there may be nothing to wait for: exit status 0, and a message."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    assert wait(WaitSettings(queue_file=queue, every=True)) == 0
    assert "No run of this queue is in progress." in capfd.readouterr().err


async def test_a_detached_command_that_goes_on(tmp_path: Path) -> None:
    """A command that nobody follows is not waited for: it is said how to follow it."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        start_on(record, 1, take(record, 1), NODES[0], key="k")
        record.tell(RunEnded(130, "left"))
    found = end_of_job(only_run(queue), 1)
    assert found is not None
    assert (found.status, "`pegasus attach` follows" in found.words) == (1, True)
