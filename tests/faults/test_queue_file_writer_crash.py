"""Crashes of a take while another program has the queue file open for writing.

A crash is a child that exits at once at its k-th change of the disk, for every k.
The program continues to write to the file that it has opened, before and after the next take.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pegasus.model import Entry
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, writers
from pegasus.queue_file.departure import Departure
from tests.faults import crash_points
from tests.faults.crash_points import crash, die, die_torn
from tests.nodes import wait_until
from tests.unit.queue_texts import jobs_of
from tests.unit.taking import unfilled

CHANGES_OF_NAMES = ["link", "rename", "mkdir", "rmdir"]
"""System calls, besides those of every take, for a file that has a writer."""

WRITTEN = "- echo 1\n- command: [echo 2, echo 3]\n  x: [a]\n- echo 4\n"
LATE = "  # goes on\n- echo 5\n- |\n  echo 6\n"
END = "  echo 7\n- echo 8\n"
JOBS = [*jobs_of((WRITTEN + LATE + END).encode())]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk, which has no effect on a process that dies. Count all changes."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(crash_points, "CHANGES", [*crash_points.CHANGES, *CHANGES_OF_NAMES])


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Return the path of a queue."""
    return tmp_path / "queue.yaml"


def reset(queue: Path) -> None:
    """Restore the first state of all files."""
    for path in sorted(queue.parent.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    queue.write_text("")


class Program:
    """Another program that has the queue file open for writing."""

    def __init__(self, queue: Path) -> None:
        with queue.open("a") as file:
            self._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
        self._written = queue.open("rb")

    def write(self, text: str) -> None:
        """Write, and wait until the data is in the file that it has opened."""
        assert self._process.stdin is not None
        fd = self._written.fileno()
        wanted = os.fstat(fd).st_size + len(text)
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()
        wait_until(lambda: os.fstat(fd).st_size == wanted, glance=0.0005)

    def close(self) -> None:
        """Close the file."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._written.close()


@contextmanager
def program(queue: Path) -> Iterator[Program]:
    """Write the beginning with a program."""
    one = Program(queue)
    try:
        one.write(WRITTEN)
        yield one
    finally:
        one.close()


def take(queue: Path, n: int = 2) -> list[tuple[str, Any]]:
    """Take some jobs."""
    taken = LockedQueue(str(queue), queue).take(FirstJobs([unfilled] * n))
    assert taken.fault is None
    return [(each.job.command, each.job.params) for each in taken.jobs]


def add(queue: Path) -> None:
    """Add a job, as `pegasus add` does."""
    LockedQueue(str(queue), queue).add([Entry(("added",), ())])


def rest_of(queue: Path) -> list[tuple[str, Any]]:
    """Take everything."""
    found: list[tuple[str, Any]] = []
    while more := take(queue):
        found += more
    return found


def assert_all_once(queue: Path, started: list[tuple[str, Any]]) -> None:
    """Every job is recorded once, also each job of the take, and nothing is left."""
    recorded = jobs_of(queue.with_name("consumed.yaml").read_bytes())
    without = [job for job in recorded if job[0] != "added"]
    assert sorted(map(repr, without)) == sorted(map(repr, JOBS))
    assert len(recorded) - len(without) <= 1
    assert all(job in recorded for job in started)
    assert jobs_of(queue.read_bytes()) == []
    names = sorted(path.name for path in queue.parent.iterdir())
    assert names == ["consumed.yaml", "queue.yaml"]


@pytest.mark.parametrize("then", [die, die_torn])
@pytest.mark.parametrize("action", [take, add], ids=["take", "add"])
def test_a_crash_while_a_program_writes(
    queue: Path,
    then: Callable[..., None],
    action: Callable[[Path], object],
) -> None:
    """Wherever a take or an addition is interrupted, all that is written is taken once."""
    at, crashed = 0, True
    while crashed:
        at += 1
        reset(queue)
        with program(queue) as one:
            crashed = crash(at, then, lambda: action(queue))
            started = take(queue, at % 2)
            one.write(LATE)
            started += take(queue, 1)
            one.write(END)
        started += rest_of(queue)
        assert_all_once(queue, started)
    assert at > 15


@pytest.mark.parametrize("then", [die, die_torn])
def test_a_crash_while_what_came_late_is_moved(queue: Path, then: Callable[..., None]) -> None:
    """Wherever the move of late entries to the queue is interrupted, each is taken once."""
    at, crashed = 0, True
    while crashed:
        at += 1
        reset(queue)
        with program(queue) as one:
            started = take(queue, 1)
            one.write(LATE)
            crashed = crash(at, then, lambda: take(queue, 0))
            started += take(queue, 1)
            one.write(END)
        crash(at + 3, then, lambda: take(queue, 0))
        started += rest_of(queue)
        assert_all_once(queue, started)
    assert at > 10


@pytest.mark.parametrize("crashes", [False, True], ids=["goes on", "crashes"])
def test_who_opens_the_file_in_the_moment_of_a_take(queue: Path, *, crashes: bool) -> None:
    """A program that opens the file between the last check and the rename loses nothing."""
    queue.write_text("- echo 1\n- echo 2\n")
    openers: list[subprocess.Popen[bytes]] = []

    def take_and_be_disturbed() -> list[tuple[str, Any]]:
        with pytest.MonkeyPatch.context() as patch:
            goes_on = Departure.goes_on

            def opened_meanwhile(departure: Departure) -> bool:
                if crashes:
                    os._exit(77)
                return goes_on(departure)

            def link(departure: Departure, old: Path) -> None:
                old.hardlink_to(queue)
                openers.append(subprocess.Popen(["sh", "-c", f"echo '- echo late' >> {queue}"]))
                limit = time.monotonic() + 10
                while departure._lease.is_whole() and time.monotonic() < limit:
                    pass

            patch.setattr(Departure, "_link", link)
            patch.setattr(Departure, "goes_on", opened_meanwhile)
            return take(queue, 1)

    with queue.open("rb") as file:
        if writers.is_written(file.fileno()) is None:
            pytest.skip("no leases on this file system")
    if crashes:
        assert crash(1000, die, take_and_be_disturbed)
    else:
        take_and_be_disturbed()
        assert openers[0].wait(10) == 0
    wait_until(lambda: ("echo late", ()) in taken_so_far(queue))
    recorded = [job for job, _ in jobs_of(queue.with_name("consumed.yaml").read_bytes())]
    assert sorted(recorded) == ["echo 1", "echo 2", "echo late"]


def taken_so_far(queue: Path) -> list[tuple[str, Any]]:
    """Take everything; return all that was ever taken."""
    rest_of(queue)
    return list(jobs_of(queue.with_name("consumed.yaml").read_bytes()))
