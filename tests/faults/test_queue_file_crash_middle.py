"""Guarantees of takes from the middle, and of passed barriers: a crash loses nothing.

See ``test_queue_file_crash`` for the kinds of crashes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pegasus.model import Barrier
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue
from tests.faults.crash_points import EARLIER, crash, die, die_torn
from tests.unit.queue_texts import jobs_of
from tests.unit.taking import Scripted, unfilled

QUEUE = (
    "# jobs\n- one\n- command: [a, b]  # note\n  x: [1, 2, 3]\n- two\n\n- three\n- four\n- five\n"
    "- barrier: ended\n- below\n"
)

JOBS = jobs_of(QUEUE.replace("- barrier: ended\n", "").encode())

ONE, THREE = "-++-----", "-++-+-+-"
"""Scripts: jobs of the grid in the middle; of the grid, and of two entries apart from it."""

LEFT = {
    ONE: "# jobs\n- one\n# note\n- command: [a]\n  x: [3]\n- command: [b]\n  x: [1, 2, 3]\n"
    "- two\n\n- three\n- four\n- five\n- barrier: ended\n- below\n",
    THREE: "# jobs\n- one\n# note\n- command: [a]\n  x: [3]\n- command: [b]\n  x: [1, 2, 3]\n"
    "\n- three\n- five\n- barrier: ended\n- below\n",
}


def write(folder: Path) -> Path:
    """Restore the first state of all files."""
    records = folder / ".pegasus"
    records.mkdir(mode=0o700, exist_ok=True)
    for file in (*folder.iterdir(), *records.iterdir()):
        if file.is_file():
            file.unlink()
    queue = folder / "queue.yaml"
    queue.write_text(QUEUE)
    (folder / "consumed.yaml").write_text(EARLIER)
    return queue


def take(queue: Path, script: str) -> None:
    """Take as a script says."""
    LockedQueue(str(queue), queue).take(Scripted(script), run="run")


def recover(queue: Path) -> None:
    """Do what the next process does first."""
    LockedQueue(str(queue), queue).take(FirstJobs(()))


def names(folder: Path) -> list[str]:
    """Give the names of all files."""
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def without_barriers(text: str) -> bytes:
    """Give a queue without its barriers, for PyYAML."""
    return text.replace("- barrier: ended\n", "").encode()


@pytest.mark.parametrize("script", [ONE, THREE])
@pytest.mark.parametrize("then", [die, die_torn])
def test_a_crash_of_a_take_from_the_middle(
    tmp_path: Path, then: Callable[..., None], script: str
) -> None:
    """It has happened as a whole or not at all, and the jobs above the barrier are known."""
    outcomes = set()
    for at in itertools.count(1):
        queue = write(tmp_path)
        if not crash(at, then, lambda: take(queue, script)):  # noqa: B023 -- called at once
            break
        recover(queue)
        text = queue.read_text()
        taken = jobs_of((tmp_path / "consumed.yaml").read_bytes())[1:]
        assert text in {QUEUE, LEFT[script]}
        assert sorted(taken + jobs_of(without_barriers(text))) == sorted(JOBS)
        assert names(tmp_path) == ["consumed.yaml", "queue.yaml"]
        noted = tmp_path / ".pegasus" / "above-barrier"
        if text != QUEUE:
            lines = [json.loads(line) for line in noted.read_bytes().splitlines()]
            assert [line["job"] for line in lines] == [*range(1, len(taken) + 1)]
        outcomes.add(text)
    assert at > 15
    assert len(outcomes) == 2


@pytest.mark.parametrize("then", [die, die_torn])
def test_a_crash_while_a_barrier_is_passed(tmp_path: Path, then: Callable[..., None]) -> None:
    """The barrier is in the file or in consumed.yaml, and no job is lost."""
    above = "- barrier: ended  # note\n- below\n"
    outcomes = set()

    def act() -> None:
        LockedQueue(str(queue), queue).pass_barrier(Barrier("ended"), lambda: True)

    for at in itertools.count(1):
        queue = write(tmp_path)
        queue.write_text(above)
        (tmp_path / ".pegasus" / "above-barrier").write_text('{"run": "run", "job": 1}\n')
        if not crash(at, then, act):
            break
        recover(queue)
        text, consumed = queue.read_text(), (tmp_path / "consumed.yaml").read_text()
        assert (text, consumed) in {
            (above, EARLIER),
            ("# note\n- below\n", EARLIER + "- barrier: ended\n"),
        }
        assert names(tmp_path) == ["consumed.yaml", "queue.yaml"]
        outcomes.add(text)
    assert at > 15
    assert len(outcomes) == 2
    assert not (tmp_path / ".pegasus" / "above-barrier").exists()


def test_the_next_take_after_a_crash_continues(tmp_path: Path) -> None:
    """Whatever a crash left, all jobs above the barrier are taken once, and none below it."""
    for at in itertools.count(1):
        queue = write(tmp_path)
        if not crash(at, die, lambda: take(queue, THREE)):  # noqa: B023 -- called at once
            break
        LockedQueue(str(queue), queue).take(FirstJobs([unfilled] * 20))
        taken = jobs_of((tmp_path / "consumed.yaml").read_bytes())[1:]
        assert sorted(taken) == sorted(JOBS[:-1])
        assert queue.read_text().endswith("- barrier: ended\n- below\n")
