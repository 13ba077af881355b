"""A retry that a crash cuts off at any step: no job is lost, and none comes back twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pegasus import durable
from pegasus.commands.retry import put_back, read_run
from pegasus.model import (
    Exited,
)
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue
from pegasus.queue_file import ledger as ledger_module
from tests.unit.records import record_of
from tests.unit.retries import commands, folder_of, recorded, retried
from tests.unit.taking import unfilled


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give the path of a queue file that is not there yet."""
    return tmp_path / "queue.yaml"


class Crash(BaseException):
    """The end of the process, at some moment."""


def crash_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Die before, or right after, the so-manieth step on the disk, and do nothing from then on."""
    steps = iter(range(1000))
    dead = False

    def live() -> None:
        nonlocal dead
        dead = dead or next(steps) == moment
        if dead:
            raise Crash

    def wrap(target: object, name: str) -> None:
        real = getattr(target, name)

        def step(*args: object, **options: object) -> object:
            live()
            result = real(*args, **options)
            live()
            return result

        monkeypatch.setattr(target, name, step)

    for name in ("write_new", "write_all", "sync_folder"):
        wrap(durable, name)
    for name in ("replace", "unlink"):
        wrap(Path, name)
    wrap(os, "fsync")


def crashed(queue: Path, moment: int, jobs: Sequence[int]) -> bool:
    """Retry, and die at a moment; tell whether the moment came."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        crash_at(monkeypatch, moment)
        try:
            put_back(LockedQueue(str(queue), queue), read_run(queue, None), jobs)
        except Crash:
            return True
    return False


@pytest.mark.parametrize("others", [False, True], ids=["alone", "others-take"])
def test_a_crash_at_any_moment_neither_loses_nor_doubles_a_job(
    *, others: bool, tmp_path: Path
) -> None:
    """Killed wherever you like and called again, each job is back exactly once.

    That is so also where a run takes from the queue between the crash and the second try.
    """
    moment = -1
    died = True
    while died:
        moment += 1
        queue = tmp_path / str(moment) / "queue.yaml"
        queue.parent.mkdir()
        recorded(queue, Exited(1), Exited(1))
        queue.write_text("- first\n- mine\n")
        died = crashed(queue, moment, [1])
        if others:
            assert LockedQueue(str(queue), queue).take(FirstJobs([unfilled])).jobs
        for _ in range(2):
            put_back(LockedQueue(str(queue), queue), read_run(queue, None), [])
        there = commands(queue)
        assert sorted(there) == sorted([*(["first"] * (not others)), "mine", "job 1", "job 2"])
        assert not [name for name in folder_of(queue) if "pegasus-retry" in name]
    assert moment > 20


KILLED = """
import os, signal, sys
from pathlib import Path
from pegasus.commands import retry as room
from pegasus.queue_file import LockedQueue, ledger as ledger_module
queue = Path(sys.argv[1])
append = ledger_module.RetryLedger._append
def dying(ledger, data):
    append(ledger, data)
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "noted":
    ledger_module.RetryLedger._append = dying
room.put_back(LockedQueue(str(queue), queue), room.read_run(queue, None), [])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("when", "waiting"), [("noted", []), ("done", ["job 1"])])
def test_kill_9(when: str, waiting: list[str], queue: Path) -> None:
    """A process that is killed right before the last step, or right after it, really."""
    recorded(queue, Exited(1))
    done = subprocess.run([sys.executable, "-c", KILLED, str(queue), when], check=False)
    assert done.returncode == -signal.SIGKILL
    assert commands(queue) == waiting
    retried(queue)
    retried(queue)
    assert commands(queue) == ["job 1"]
    assert folder_of(queue) == [".pegasus", "queue.yaml", "queue.yaml.lock"]


def test_a_torn_line_is_passed_over(queue: Path) -> None:
    """A line that a crash cut off says nothing, and the next one begins behind it."""
    recorded(queue, Exited(1), Exited(1))
    retried(queue, 1)
    ledger = record_of(queue) / ledger_module.LEDGER
    with ledger.open("ab") as file:
        file.write(b'{"at": 1, "jobs": [2], "ne')
    retried(queue, 2)
    retried(queue)
    assert commands(queue) == ["job 1", "job 2"]
    lines = ledger.read_bytes().splitlines()
    assert [json.loads(line)["jobs"] for line in (lines[0], lines[2])] == [[1], [2]]
