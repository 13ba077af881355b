"""The number of waiting jobs while it is shown all the time: exact, and at a small cost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from pegasus.errors import PegasusError
from pegasus.queue_file import QueueFile, WaitingJobs, counting, fault_below
from pegasus.queue_file.count_following import follow_count

LIMIT = 20.0


class Watched:
    """A queue file, a clock that the test moves, and how often the file was counted."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, cost: float = 0.05) -> None:
        self.path = folder / "queue.yaml"
        self.now, self.taken, self.counts = 100.0, 0, 0
        self.waiting = WaitingJobs(QueueFile(self.path), lambda: self.taken, lambda: self.now)
        times = iter(range(10**6))
        patch.setattr(time, "thread_time", lambda: next(times) * cost)

    def write(self, *jobs: str) -> None:
        """Write the queue file."""
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"- {job}\n" for job in jobs))
        new.replace(self.path)

    def look(self) -> int | None:
        """Look as often as a screen does, and give the number."""
        if self.waiting.is_due():
            self.waiting.count()
            self.counts += 1
        return self.waiting.jobs


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A queue of three jobs, which takes 0.05 seconds to count."""
    made = Watched(tmp_path, monkeypatch)
    made.write("one", "two", "three")
    return made


def test_it_is_unknown_before_the_first_count(watched: Watched) -> None:
    """Before the first count no number is shown; afterwards it is exact."""
    assert watched.waiting.jobs is None
    assert watched.look() == 3


def test_own_takes_are_subtracted(watched: Watched) -> None:
    """Between two counts the number falls with each job that the run takes."""
    watched.look()
    watched.write("two", "three")
    watched.taken = 1
    watched.now += 1.0
    assert watched.look() == 2
    assert watched.counts == 1


def test_a_change_by_others_is_counted(watched: Watched) -> None:
    """What other programs add is shown with the next count, which takes 1 percent of the time."""
    watched.look()
    watched.write(*"abcdefg")
    watched.now += 4.9
    assert watched.look() == 3
    watched.now += 0.2
    assert watched.look() == 7
    watched.now += 1000.0
    assert watched.look() == 7
    assert watched.counts == 2


def test_a_take_that_was_in_the_count_is_subtracted_once(watched: Watched) -> None:
    """A job that was taken before the file was read, and is reported later, counts once."""
    watched.write("two", "three")
    assert watched.look() == 2
    watched.taken = 1
    assert watched.look() == 2


def test_a_missing_file_and_one_with_a_fault(watched: Watched) -> None:
    """Without a file nothing waits; a fault hides only the entries that it concerns."""
    watched.path.unlink()
    assert watched.look() == 0
    assert watched.waiting.is_missing
    watched.path.write_text("- one\n- [two]\n- three\n")
    watched.now += 100.0
    assert watched.look() == 2
    assert ":2:" in (watched.waiting.fault or "")
    assert not watched.waiting.is_missing


def test_never_negative(watched: Watched) -> None:
    """More takes than jobs, for example of a faulty file, do not make a negative number."""
    watched.look()
    watched.write()
    watched.taken = 10
    assert watched.look() == 0


def test_an_error_is_no_end(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file cannot be read for a while, the last number stays."""
    watched.look()

    def fail(*_: object) -> None:
        raise PegasusError("too many open files")

    watched.write(*"abcdefg")
    watched.now += 100.0
    with monkeypatch.context() as patch:
        patch.setattr(counting, "count_queue", fail)
        assert watched.look() == 3
    watched.now += 100.0
    assert watched.look() == 7


async def test_it_is_counted_beside_a_run(tmp_path: Path) -> None:
    """A run counts in a thread, again after changes, and stops at once when it ends."""
    path = tmp_path / "queue.yaml"
    path.write_text("- one\n")
    waiting = WaitingJobs(QueueFile(path), lambda: 0)
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_count, waiting)
            while waiting.jobs != 1:
                await trio.sleep(0.01)
            path.write_text("- one\n- two\n")
            while waiting.jobs != 2:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (None, None),
        ("", None),
        ("- a\n- b\n", None),
        ("- a\n- comand: x\n- b\n", "queue.yaml:2:3"),
        ("- comand: x\n- b\n", None),
        ("- a\n- 'b\n", "queue.yaml:2:3"),
        ("a: b\n", None),
        (f"# {'x' * counting.MOST_LOOKED_THROUGH}\n- a\n- comand: x\n", None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_fault_below_entries(tmp_path: Path, text: str | None, place: str | None) -> None:
    """It is found where a run would work on entries above it, and where the file is not large."""
    path = tmp_path / "queue.yaml"
    if text is not None:
        path.write_text(text)
    found = fault_below(QueueFile(path))
    assert (place or "None") in str(found)
