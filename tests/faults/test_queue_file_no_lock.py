"""Folders in which locks succeed without exclusion, as on two mounts of one network share."""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegasus.errors import PegasusError
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue
from tests.faults.crash_points import Countdown
from tests.unit.queue_texts import jobs_of
from tests.unit.taking import unfilled

QUEUE = "".join(f"- echo {n}\n" for n in range(4))


@pytest.fixture(autouse=True)
def worthless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every lock succeed, and do not wait for the disk, which does not matter here."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def take(path: Path) -> list[str]:
    """Take one job."""
    taken = LockedQueue(str(path), path).take(FirstJobs([unfilled]))
    return [each.commands[0] for each in taken.jobs]


def take_elsewhere(path: Path, told: Path) -> None:
    """Take one job in another process, without knowledge of this one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks beside pytest's own threads
        child = os.fork()
    if child == 0:
        try:
            told.write_text(json.dumps(take(path)))
        except PegasusError as error:
            told.write_text(json.dumps([f"error: {error}"]))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_a_take_beside_one_without_a_working_lock(tmp_path: Path) -> None:
    """No job is taken or recorded twice, and the message states that the lock does not work."""
    path, consumed = tmp_path / "queue.yaml", tmp_path / "consumed.yaml"
    told = tmp_path / "told"
    messages = set()
    for at in range(1, 100):
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_text(QUEUE)

        def meanwhile(_name: str, _call: Callable[..., Any], *_args: Any) -> None:
            patch.undo()
            take_elsewhere(path, told)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fcntl, "flock", lambda *_: None)
            counter = Countdown(patch, at, meanwhile)
            try:
                mine = take(path)
            except PegasusError as error:
                messages.add(str(error))
                mine = []
        if counter.calls > 0:
            break
        theirs = [each for each in json.loads(told.read_text()) if not each.startswith("error")]
        messages |= {each for each in json.loads(told.read_text()) if each.startswith("error")}
        recorded = [job[0] for job in jobs_of(consumed.read_bytes())]
        assert sorted(recorded) == sorted(mine + theirs), f"at {at}"
        assert sorted(recorded + [job[0] for job in jobs_of(path.read_bytes())]) == [
            f"echo {n}" for n in range(4)
        ], f"at {at}"
    assert at > 15
    assert messages
    for message in messages:
        assert "the lock does not exclude other machines or mounts" in message
        assert "Look after the disk" not in message
