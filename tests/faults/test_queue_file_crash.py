"""Guarantees of a take: a crash or a full disk at any moment loses nothing.

A crash is a child that exits at once, without any clean-up, at its k-th change of the disk, for
every k; in the second kind a write is torn in the middle.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pegasus.errors import PegasusError
from pegasus.model import Command, Job, TakenJob
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, TakeResult
from pegasus.rendered import as_recorded
from tests.faults.crash_points import EARLIER, JOBS, QUEUE, Countdown, crash, die, die_torn
from tests.unit.queue_texts import jobs_of
from tests.unit.taking import unfilled


def take(path: Path, n: int = 2) -> TakeResult:
    """Take some jobs, without rendering them."""
    return LockedQueue(str(path), path).take(FirstJobs([unfilled] * n))


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Return a queue in its first state."""
    path = tmp_path / "queue.yaml"
    reset(path)
    return path


def reset(path: Path) -> None:
    """Restore the first state of all files."""
    for file in path.parent.iterdir():
        file.unlink()
    path.write_text(QUEUE)
    path.with_name("consumed.yaml").write_text(EARLIER)


def assert_nothing_lost(path: Path, started: int = 0) -> None:
    """Every job is in consumed.yaml or in the queue, once; the rest can be taken to the end."""
    consumed = path.with_name("consumed.yaml")
    take(path, 0)
    taken = jobs_of(consumed.read_bytes())[1:]
    assert taken + jobs_of(path.read_bytes()) == JOBS
    assert len(taken) >= started
    jobs: list[TakenJob] = []
    while not (more := take(path)).empty:
        jobs += more.jobs
    assert len(taken) + len(jobs) + len(more.jobs) == len(JOBS)
    assert jobs_of(consumed.read_bytes())[1:] == JOBS
    assert consumed.read_text().startswith(EARLIER)
    assert sorted(file.name for file in path.parent.iterdir()) == ["consumed.yaml", "queue.yaml"]


@pytest.mark.parametrize("then", [die, die_torn])
def test_a_crash_at_any_moment_of_a_take_loses_no_job_and_doubles_none(
    queue: Path, then: Callable[..., None]
) -> None:
    """Wherever a take is interrupted, the next one finds every job once."""
    at = 1
    while crash(at, then, lambda: take(queue)):
        assert_nothing_lost(queue)
        reset(queue)
        at += 1
    assert at > 15
    assert_nothing_lost(queue, started=2)


def has_to_recover(queue: Path) -> bool:
    """Return whether a crash left a record that has to be removed."""
    new = queue.with_name(".queue.yaml.pegasus-new")
    return new.exists() and len(queue.with_name("consumed.yaml").read_text()) > len(EARLIER)


def test_a_crash_of_the_recovery_itself_loses_nothing_either(queue: Path) -> None:
    """A recovery that is interrupted is completed by the next one."""
    recoveries = 0
    for first in itertools.count(1):
        if not crash(first, die_torn, lambda: take(queue)):
            break
        if not has_to_recover(queue):
            reset(queue)
            continue
        second = 1
        while crash(second, die, lambda: take(queue, 0)):
            assert_nothing_lost(queue)
            reset(queue)
            crash(first, die_torn, lambda: take(queue))
            second += 1
        reset(queue)
        recoveries = max(recoveries, second)
    assert recoveries > 5


def test_what_was_appended_after_a_crash_stays(queue: Path) -> None:
    """Only the record of the take that did not happen is removed from consumed.yaml."""
    consumed = queue.with_name("consumed.yaml")
    at = 1
    while crash(at, die, lambda: take(queue)):
        with consumed.open("a") as file:
            file.write("# mine\n")
        take(queue, 0)
        assert consumed.read_text().endswith("# mine\n")
        texts = consumed.read_text().replace("# mine\n", "")
        assert jobs_of(texts.encode())[1:] + jobs_of(queue.read_bytes()) == JOBS
        reset(queue)
        at += 1


def test_a_consumed_file_that_was_changed_by_hand_is_left_alone(queue: Path) -> None:
    """After a crash, a consumed.yaml that was rewritten by hand is not truncated."""
    at = next(at for at in range(1, 50) if not crash_before_replace(queue, at))
    consumed = queue.with_name("consumed.yaml")
    assert crash(at, die, lambda: take(queue))
    assert len(jobs_of(consumed.read_bytes())) == 3
    consumed.write_text("# all new, and about as long as it was before, or longer than that\n" * 9)
    take(queue, 0)
    assert consumed.read_text().startswith("# all new")
    assert jobs_of(queue.read_bytes()) == JOBS


def crash_before_replace(queue: Path, at: int) -> bool:
    """Return whether a crash at this moment comes before the record is complete."""
    reset(queue)
    crash(at, die, lambda: take(queue))
    whole = len(jobs_of(queue.with_name("consumed.yaml").read_bytes())) == 3
    torn = jobs_of(queue.read_bytes()) == JOBS
    reset(queue)
    return not (whole and torn)


def test_two_queues_of_a_folder_recover_each_other(queue: Path) -> None:
    """Queues that share a consumed.yaml keep it correct, whichever takes next after a crash."""
    other = queue.with_name("other.yaml")
    at = 1
    while True:
        other.write_text("- other\n")
        if not crash(at, die, lambda: take(queue)):
            break
        assert [each.job.command for each in take(other).jobs] == ["other"]
        take(queue, 0)
        taken = jobs_of(queue.with_name("consumed.yaml").read_bytes())[1:]
        assert taken.count(("other", ())) == 1
        taken.remove(("other", ()))
        assert taken + jobs_of(queue.read_bytes()) == JOBS
        reset(queue)
        at += 1


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_at_any_moment_takes_nothing_and_loses_nothing(
    queue: Path, error: int
) -> None:
    """A full disk is an error with the next step; no job is taken, no temporary file stays."""

    def refuse(name: str, call: Callable[..., Any], *args: Any) -> None:
        if name == "close":
            call(*args)
        raise OSError(error, os.strerror(error))

    for at in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            counter = Countdown(patch, at, refuse)
            taken = None
            with contextlib.suppress(PegasusError):
                taken = take(queue)
        if taken is not None and taken.fault is not None:
            assert os.strerror(error) in str(taken.fault)
            taken = None
        assert_nothing_lost(queue, started=len(taken.jobs) if taken else 0)
        reset(queue)
        if counter.calls > 0:
            break
    assert at > 15


def test_a_full_disk_says_what_to_do(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file, the reason, and the next step."""

    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(PegasusError) as caught:
        take(queue)
    assert str(caught.value) == (
        f"{queue}: the queue cannot be rewritten: No space left on device. "
        "Nothing was taken, and nothing is lost. Free some space on the disk, and it goes on."
    )
    monkeypatch.undo()
    assert_nothing_lost(queue)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 KiB, where one can be mounted."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mount.returncode:
        pytest.skip("cannot mount a file system here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_really_full_disk_loses_nothing(small_disk: Path) -> None:
    """On a file system without space nothing is taken; with space again, everything is."""
    queue = small_disk / "queue.yaml"
    queue.write_text("".join(f"- echo {i}\n" for i in range(2000)))
    filler = small_disk / "filler"
    taken = take(queue)
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    before = queue.read_bytes(), queue.with_name("consumed.yaml").read_bytes()
    with pytest.raises(PegasusError, match="Free some space"):
        take(queue)
    assert (queue.read_bytes(), queue.with_name("consumed.yaml").read_bytes()) == before
    assert not list(small_disk.glob(".queue*"))
    filler.unlink()
    assert [each.job.command for each in (*taken.jobs, *take(queue).jobs)] == [
        f"echo {i}" for i in range(4)
    ]


def test_a_file_that_changes_while_a_take_is_under_way_is_read_anew(queue: Path) -> None:
    """A file saved by an editor without the lock, between reading and replacing, is respected."""
    saved: list[Job] = []

    def save_first(job: Job) -> tuple[Command, ...]:
        if not saved:
            saved.append(job)
            queue.write_text("- saved meanwhile\n- last\n")
        return (as_recorded("filled"),)

    taken = LockedQueue(str(queue), queue).take(FirstJobs([save_first]))
    assert [each.job.command for each in taken.jobs] == ["saved meanwhile"]
    assert queue.read_text() == "- last\n"
    assert jobs_of(queue.with_name("consumed.yaml").read_bytes())[1:] == [("saved meanwhile", ())]


def test_a_file_that_never_stands_still_is_given_up(queue: Path) -> None:
    """Nothing is taken from a file that another program rewrites continuously."""
    states = iter(range(10_000))

    def save(_job: object) -> tuple[Command, ...]:
        queue.write_text(f"- job {next(states)}\n- last\n")
        return (as_recorded("filled"),)

    with pytest.raises(PegasusError, match="other programs keep rewriting this file"):
        LockedQueue(str(queue), queue).take(FirstJobs([save]))
    assert queue.with_name("consumed.yaml").read_text() == EARLIER
    assert QueueFile(queue).count() == 2
