"""Crashes at every change of the disk by a take with its receipt, and by the next steps.

Each crash leaves a folder in some state. The tests find all states after one crash, and from each
of them all states after a second one, in the recovery or in the next take, and a third.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from pegasus.model import Job, TakenJob
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, Receipt
from tests.faults.crash_points import EARLIER, JOBS, QUEUE, crash, die, die_torn
from tests.unit.queue_texts import jobs_of
from tests.unit.taking import unfilled

State: TypeAlias = frozenset[tuple[str, bytes]]
"""The files of a folder, and their content."""

FIRST: State = frozenset(
    {
        ("queue.yaml", QUEUE.encode()),
        ("consumed.yaml", EARLIER.encode()),
        ("journal", b"begun\n"),
    }
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk, which has no effect on a process that dies."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def line_of(job: Job) -> bytes:
    """Return the line that a receipt has for a job."""
    return f"took {(job.command, job.params)}\n".encode()


def take(folder: Path, n: int) -> None:
    """Take some jobs, with a receipt; for no jobs, only recover."""
    queue = folder / "queue.yaml"

    def receipt(jobs: Sequence[TakenJob]) -> Receipt:
        return Receipt(folder / "journal", b"".join(line_of(each.job) for each in jobs))

    LockedQueue(str(queue), queue).take(FirstJobs([unfilled] * n), receipt)


def read(folder: Path) -> State:
    """Return the state of a folder."""
    return frozenset((path.name, path.read_bytes()) for path in folder.iterdir())


def write(folder: Path, state: State) -> None:
    """Restore a state of a folder."""
    for path in folder.iterdir():
        path.unlink()
    for name, data in state:
        (folder / name).write_bytes(data)


def left_by_crashes(
    folder: Path,
    states: Iterable[State],
    action: Callable[[], object],
    thens: Sequence[Callable[..., None]] = (die, die_torn),
) -> set[State]:
    """Return all states after a crash of an action, at any point."""
    found: set[State] = set()
    for state, then in itertools.product(states, thens):
        for at in itertools.count(1):
            write(folder, state)
            if not crash(at, then, action):
                break
            found.add(read(folder))
    return found


def assert_told_once(folder: Path) -> None:
    """Each job is in one of the files, once, and its line in the journal states which."""
    take(folder, 0)
    taken = jobs_of((folder / "consumed.yaml").read_bytes())[1:]
    assert taken + jobs_of((folder / "queue.yaml").read_bytes()) == JOBS
    wanted = [line_of(Job(*job)) for job in JOBS]
    lines = (folder / "journal").read_bytes().splitlines(keepends=True)
    assert [line for line in lines if line in wanted] == wanted[: len(taken)]
    assert {path.name for path in folder.iterdir()} == {name for name, _ in FIRST}


def test_each_take_is_told_once_wherever_it_is_cut_off(tmp_path: Path) -> None:
    """After a crash at any point of a take its jobs are reported once each if they are taken."""
    states = left_by_crashes(tmp_path, [FIRST], partial(take, tmp_path, 2))
    assert len(states) > 10
    for state in states:
        write(tmp_path, state)
        assert_told_once(tmp_path)


@pytest.mark.parametrize("then", [0, 1], ids=["recovery", "next take"])
def test_crashes_in_a_row(tmp_path: Path, then: int) -> None:
    """A crash in the recovery from a crash, or in the next take, at any point, loses nothing.

    Two recoveries are interrupted, one after the other.
    """
    first = left_by_crashes(tmp_path, [FIRST], partial(take, tmp_path, 2))
    thens = (die_torn,) if then else (die, die_torn)  # the next take is long
    begun = {state for state in first if any(name.endswith("-take") for name, _ in state)}
    states = left_by_crashes(tmp_path, begun, partial(take, tmp_path, then), thens) - first
    assert states
    if then == 0:
        states |= left_by_crashes(tmp_path, states, partial(take, tmp_path, 0))
    for state in states:
        write(tmp_path, state)
        assert_told_once(tmp_path)
