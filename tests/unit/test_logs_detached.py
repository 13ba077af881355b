"""What `logs` and `retry` promise of detached commands, which go on without a Pegasus."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pegasus.commands.retry import RetrySettings, retry
from pegasus.errors import ExitStatus
from pegasus.events import Ended, Printed, Released
from pegasus.model import Exited, Lost, Stream
from pegasus.record import RunRecord
from pegasus.record.taking_over import find_left, take_over
from tests.unit.detached import detach, kill, recording_detached
from tests.unit.logs import Capture, follow, logged, wait_for
from tests.unit.records import fail, queue_in, show
from tests.unit.retries import commands


def left_run(queue: Path) -> RunRecord:
    """Give the run that has left something."""
    (run,) = find_left(queue, [])
    return run


async def test_following_a_command_that_nobody_follows(
    tmp_path: Path, capfdbinary: Capture
) -> None:
    """``logs -f`` says once that it waits, and goes on with the next follower, byte for byte."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        await show(record, detach(record, 1, "key-1"), b"epoch 1\n")
    kill(queue)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow, queue)  # without a number: it is the only one that goes on
        await wait_for(b"Ctrl-C ends this")
        async with take_over(left_run(queue), "", fail) as continued:
            assert continued is not None
            (left,) = continued.commands
            printed = Printed(left.assignment, Stream.STDOUT, b"epoch 2\n")
            await continued.record.show(printed)
            continued.record.tell(Ended(left.assignment, Exited(0), 1.0))
            out, err = await wait_for(b"epoch 2\n")
    assert out == b"epoch 1\nepoch 2\n"
    assert err.count(b"No Pegasus follows this command now") == 1


async def test_the_list_of_jobs(tmp_path: Path, capfdbinary: Capture) -> None:
    """The list of jobs calls a command that goes on by itself detached."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        await show(record, detach(record, 1, "key-1"), b"epoch 1\n")
    kill(queue)
    assert b"         8           0  detached  " in logged(capfdbinary, queue)[0]
    assert logged(capfdbinary, queue, job=1) == (b"epoch 1\n", b"")


async def retried(queue: Path, *jobs: int) -> ExitStatus:
    """Run ``pegasus retry``."""
    return await retry(RetrySettings(queue_file=queue, jobs=jobs, color="never"))


async def test_what_may_run_is_not_tried_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A job whose command goes on, or may, is refused, with what follows or forgets it."""
    queue = queue_in(tmp_path)
    queue.write_text("")
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1")
        for number in (2, 3):
            given = detach(record, number, f"key-{number}")
            record.tell(Ended(given, Lost("its node was away"), 1.0))
        record.tell(Released(given))
    kill(queue)
    assert await retried(queue, 1, 2, 3) is ExitStatus.JOB_FAILED
    assert commands(queue) == ["train {{ x }}"]
    err = capfd.readouterr().err
    where = "node-1 (container=gpu0)"
    assert f"Job 1 is not put back: it still runs on {where}; `pegasus attach` follows it" in err
    assert (
        f"Job 2 is not put back: it may still run on {where}; `pegasus attach` ends it there" in err
    )
    assert "`pegasus attach --forget 2 --run 0001-run-1` forgets it" in err
    assert await retried(queue) is ExitStatus.SUCCESS
    err = capfd.readouterr().err
    assert "is put back: 2 jobs may still run on a node, 1 was put back before.\n" in err
    assert f"  Job 1 is not put back: it still runs on {where}; `pegasus attach`" in err


async def test_what_runs_in_a_run_in_progress(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A detached command that is followed runs like any other."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1")
        assert await retried(queue, 1) is ExitStatus.JOB_FAILED
    assert "Job 1 is not put back: it still runs." in capfd.readouterr().err
