"""Promises of barriers in a queue file: nothing below is taken, and one is passed as a job is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pegasus.barriers import BarrierClosed, BarrierOpen, BarrierVerdict
from pegasus.errors import PegasusError
from pegasus.model import Barrier, Entry, Job
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, TakeResult, count_queue
from pegasus.queue_file.above import has_barrier
from pegasus.queue_file.entries import QueueReader, WrittenBarrier
from tests.unit.sources import Bench
from tests.unit.taking import Scripted, unfilled

ENDED, SUCCEEDED = Barrier("ended"), Barrier("succeeded")

RUN = "0001-run"


def take(path: Path, script: str = "+", most: int = 9, run: str = RUN) -> TakeResult:
    """Take as a script says."""
    return LockedQueue("q.yaml", path).take(Scripted(script, most), run=run)


def write(folder: Path, text: str) -> Path:
    """Write a queue beside a folder of records."""
    (folder / ".pegasus").mkdir(mode=0o700, exist_ok=True)
    queue = folder / "q.yaml"
    queue.write_text(text)
    return queue


def noted(folder: Path) -> list[tuple[str, int]] | None:
    """Read which jobs were noted; None where there is no such file."""
    path = folder / ".pegasus" / "above-barrier"
    if not path.exists():
        return None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line["queue"] == "q.yaml" for line in lines)
    return [(line["run"], line["job"]) for line in lines]


def test_nothing_below_a_barrier_is_taken(tmp_path: Path) -> None:
    """A take ends at the barrier, whatever is below it, and says so once it is the first thing."""
    queue = write(tmp_path, "- a\n- b\n- barrier: ended\n- c\n- barrier: succeeded\n- d\n")
    first = take(queue, most=1)
    assert [each.job.command for each in first.jobs] == ["a"]
    assert (first.barrier, first.is_complete, first.empty) == (None, False, False)
    second = take(queue)
    assert [each.job.command for each in second.jobs] == ["b"]
    assert (second.barrier, second.is_complete, second.empty) == (ENDED, True, False)
    third = take(queue)
    assert (third.jobs, third.barrier, third.empty) == ((), ENDED, False)
    assert queue.read_text() == "- barrier: ended\n- c\n- barrier: succeeded\n- d\n"


@pytest.mark.parametrize("script", ["-", "!", "+-"])
def test_a_barrier_is_first_only_if_nothing_stays_above_it(tmp_path: Path, script: str) -> None:
    """What is skipped, refused, or left of a grid, stands above the barrier."""
    queue = write(tmp_path, "- command: c\n  x: [1, 2]\n- barrier: ended\n")
    result = take(queue, script)
    assert (result.barrier, result.is_complete) == (None, True)
    assert len(result.refused) == (script == "!")


def test_a_fault_above_a_barrier_is_a_fault(tmp_path: Path) -> None:
    """An entry that cannot be read stops the take as it does without a barrier."""
    queue = write(tmp_path, "- a\n- [b]\n- barrier: ended\n")
    result = take(queue)
    assert len(result.jobs) == 1
    assert "q.yaml:2:3" in str(result.fault)
    assert result.barrier is None


def test_a_full_picker_learns_of_the_barrier(tmp_path: Path) -> None:
    """A take whose last job stood right above the barrier gives it."""
    queue = write(tmp_path, "- a\n- barrier: ended\n")
    result = LockedQueue("q.yaml", queue).take(FirstJobs([unfilled]))
    assert (len(result.jobs), result.barrier, result.is_complete) == (1, ENDED, True)


def test_a_barrier_is_passed_as_a_job_is(tmp_path: Path) -> None:
    """It is recorded in consumed.yaml, and only its own line leaves the file."""
    queue = write(tmp_path, "# head\n- barrier: ended  # why\n\n- c\n")
    locked = LockedQueue("q.yaml", queue)
    assert locked.pass_barrier(SUCCEEDED, lambda: True) is None
    assert locked.pass_barrier(ENDED, lambda: False) is False
    assert queue.read_text() == "# head\n- barrier: ended  # why\n\n- c\n"
    assert locked.pass_barrier(ENDED, lambda: True) is True
    assert queue.read_text() == "# head\n# why\n\n- c\n"
    assert queue.with_name("consumed.yaml").read_text() == "- barrier: ended\n"
    assert locked.pass_barrier(ENDED, lambda: True) is None


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("- barrier: ended\n", ""),
        ("[{barrier: ended}, a]\n", "[a]\n"),
        ("- barrier:   'ended'\n- a\n- barrier: ended\n", "- a\n- barrier: ended\n"),
        ("- barrier: ended\n- [bad]\n", "- [bad]\n"),
        ("- barrier: ended\n---\n- a\n", "[]\n---\n- a\n"),
        ("\ufeff- barrier: ended\r\n- a\r\n", "\ufeff- a\r\n"),
    ],
)
def test_every_form_of_a_barrier_can_be_passed(tmp_path: Path, text: str, rest: str) -> None:
    """Whatever it looks like and whatever follows: the rest stays byte for byte."""
    queue = tmp_path / "q.yaml"
    queue.write_bytes(text.encode())
    assert LockedQueue("q.yaml", queue).pass_barrier(ENDED, lambda: True)
    assert queue.read_bytes() == rest.encode()


def test_a_missing_file_has_no_barrier(tmp_path: Path) -> None:
    """A barrier of a file that was deleted is gone."""
    locked = LockedQueue("q.yaml", tmp_path / "q.yaml")
    assert locked.pass_barrier(ENDED, lambda: True) is None


def test_jobs_above_a_barrier_are_noted(tmp_path: Path) -> None:
    """They are known beside the records until a barrier is passed; without one, nothing is."""
    queue = write(tmp_path, "- a\n- b\n- barrier: ended\n- c\n- d\n")
    take(queue, most=1)
    LockedQueue("q.yaml", queue).take(Scripted("+"), run=RUN, first=2)
    assert noted(tmp_path) == [(RUN, 1), (RUN, 2)]
    assert LockedQueue("q.yaml", queue).pass_barrier(ENDED, lambda: True)
    assert noted(tmp_path) is None
    take(queue)
    assert noted(tmp_path) is None


def test_jobs_above_a_deleted_barrier_are_forgotten(tmp_path: Path) -> None:
    """A barrier that a user deletes leaves nothing that could hold back another one."""
    queue = write(tmp_path, "- a\n- barrier: ended\n- c\n- d\n")
    take(queue)
    queue.write_text("- c\n- d\n")
    take(queue, most=1)
    assert noted(tmp_path) is None


def test_two_queues_of_a_folder_keep_their_jobs_apart(tmp_path: Path) -> None:
    """To pass a barrier of one queue forgets nothing of another one."""
    queue = write(tmp_path, "- a\n- barrier: ended\n")
    other = tmp_path / "other.yaml"
    other.write_text("- b\n- barrier: ended\n")
    take(queue)
    take(other, run="0002-run")
    assert LockedQueue("o.yaml", other).pass_barrier(ENDED, lambda: True)
    assert noted(tmp_path) == [(RUN, 1)]


def test_without_records_nothing_is_noted(tmp_path: Path) -> None:
    """A run that keeps no record does not make a folder for it."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- a\n- barrier: ended\n")
    assert take(queue).barrier == ENDED
    assert not (tmp_path / ".pegasus").exists()
    (tmp_path / ".pegasus").write_text("no folder")
    queue.write_text("- a\n- barrier: ended\n")
    assert take(queue).barrier == ENDED


def test_jobs_that_cannot_be_noted_are_not_taken(tmp_path: Path) -> None:
    """A barrier must not open too early, so such a take fails and loses nothing."""
    queue = write(tmp_path, "- a\n- barrier: ended\n")
    (tmp_path / ".pegasus" / "above-barrier").mkdir()
    with pytest.raises(PegasusError, match=r"above-barrier: .* Nothing was taken"):
        take(queue)
    assert queue.read_text() == "- a\n- barrier: ended\n"
    assert queue.with_name("consumed.yaml").read_text() == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- barrier: ended\n", True),
        ("- {barrier: succeeded}\n", True),
        ("- 'barrier' : \"ended\"\n", True),
        ("- ? barrier\n  : succeeded\n", True),
        ("- a\n# - barrier: ended\n", False),
        ("- command: a\n  barrier: [x]\n", False),
        ("- echo barrier\n", False),
        ("# barrier: ended\n- barrier: ended\n", True),
        ("- barrier: # then\n    succeeded\n", True),
        ("- ? barrier # then\n  : succeeded\n", True),
        ("- barrier: |2-\n    succeeded\n", True),
        ("# jobs\r- a\r# then\r- barrier: ended\r", True),
        ("# then\u2028- barrier: ended\n", True),
        ('- "barri\\x65r": ended\n', True),
        ('- {"barrier":"succeed\\x65d"}\n', True),
        ('- barrier: "suc\\\n    ceeded"\n', True),
        ('- "echo \\x41"\n- command: a\n  barrier: [ended]\n', False),
    ],
)
def test_a_barrier_is_found_in_the_text(text: str, *, found: bool) -> None:
    """Every form of a barrier is found; one in a comment is none."""
    data = text.encode()
    assert has_barrier(data) is found
    assert any(isinstance(each, WrittenBarrier) for each in QueueReader("q.yaml", data)) is found


def test_barriers_are_no_jobs(tmp_path: Path) -> None:
    """They are not counted, and added entries go above or below them."""
    queue = write(tmp_path, "- barrier: ended\n- a\n")
    assert count_queue(QueueFile(queue)).jobs == 1
    locked = LockedQueue("q.yaml", queue)
    locked.add([Entry(("top",))], top=True)
    locked.add([Entry(("end",))])
    assert queue.read_text() == "- top\n- barrier: ended\n- a\n- end\n"


async def test_a_source_passes_a_barrier_that_is_judged_open(tmp_path: Path) -> None:
    """The judge decides under the lock; a barrier that is not the first thing is not judged."""
    bench = Bench(tmp_path, "- barrier: ended\n- a\n")
    verdicts: list[BarrierVerdict] = [BarrierClosed("job 1 failed"), BarrierOpen()]
    source = bench.source
    assert not await source.is_empty()
    assert (await source.take(FirstJobs([unfilled]))).barrier == ENDED
    assert await source.pass_barrier(ENDED, lambda: verdicts[0]) == verdicts[0]
    assert bench.path.read_text() == "- barrier: ended\n- a\n"
    assert await source.pass_barrier(ENDED, lambda: verdicts[1]) == verdicts[1]
    assert await source.pass_barrier(ENDED, verdicts.pop) is None
    assert len(verdicts) == 2
    assert [each.job for each in (await source.take(FirstJobs([unfilled]))).jobs] == [Job("a")]


async def test_a_barrier_alone_has_to_be_passed(tmp_path: Path) -> None:
    """A queue with nothing but a barrier is empty once that is passed."""
    bench = Bench(tmp_path, "- barrier: succeeded\n")
    assert not await bench.source.is_empty()
    assert await bench.source.pass_barrier(SUCCEEDED, BarrierOpen) == BarrierOpen()
    assert await bench.source.is_empty()
