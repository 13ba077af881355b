"""The source of the jobs of a run: it numbers, records and reports each job once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.errors import FileFault, PegasusError
from pegasus.events import Noted, Taken
from pegasus.model import Job, Position
from pegasus.picker import FirstJobs
from pegasus.queue_file import QueueFile
from tests.unit.sources import Bench
from tests.unit.taking import Scripted, unfilled


async def test_jobs_are_numbered_over_all_takes(tmp_path: Path) -> None:
    """The numbers of a run begin at 1 and go on with each take."""
    bench = Bench(tmp_path, "- a\n- b\n- c\n")
    assert await bench.take(2) == [(1, "a"), (2, "b")]
    assert await bench.take(2) == [(3, "c")]
    assert bench.reported == [(1, "a"), (2, "b"), (3, "c")]


async def test_the_journal_gets_each_job_once(tmp_path: Path) -> None:
    """The take appends the lines of the journal, which is not told of these jobs again."""
    bench = Bench(tmp_path, "- a\n- b\n")
    await bench.take(2)
    assert bench.journal.path.read_text() == "1 a\n2 b\n"
    assert bench.journal.told == []


@pytest.mark.parametrize("keeps_lines", [True, False])
async def test_a_journal_without_its_lines_is_told(tmp_path: Path, *, keeps_lines: bool) -> None:
    """Where the lines cannot be appended, or there are none, the journal gets the events."""
    bench = Bench(tmp_path, "- a\n")
    bench.journal.path.unlink()
    bench.journal.keeps_lines = keeps_lines
    assert await bench.take(1) == [(1, "a")]
    assert bench.journal.told == bench.audience.told == [Taken(1, Job("a"))]


async def test_jobs_after_a_take_that_failed(tmp_path: Path) -> None:
    """A take that fails uses up no number and reports nothing."""
    bench = Bench(tmp_path, "- a\n")
    (tmp_path / "consumed.yaml").mkdir()
    with pytest.raises(PegasusError):
        await bench.take(1)
    (tmp_path / "consumed.yaml").rmdir()
    assert bench.reported == []
    assert await bench.take(1) == [(1, "a")]


async def test_a_job_knows_its_position(tmp_path: Path) -> None:
    """A job has the position of its entry at the time of the take; it does not matter for ==."""
    bench = Bench(tmp_path, "# head\n- command: [a, b]\n- c\n")
    jobs = [each.job for each in (await bench.source.take(FirstJobs([unfilled] * 3))).jobs]
    path = str(bench.path)
    assert [job.position for job in jobs] == [
        Position(path, 2, 1),
        Position(path, 2, 1),
        Position(path, 3, 1),
    ]
    assert jobs == [Job("a"), Job("b"), Job("c")]


@pytest.mark.parametrize(
    ("text", "empty"),
    [("", True), ("[]\n", True), ("# nothing\n", True), ("- a\n", False), ("- [a]\n", False)],
)
async def test_is_empty(tmp_path: Path, text: str, *, empty: bool) -> None:
    """A file without jobs and without faults is empty; a look takes and reports nothing."""
    bench = Bench(tmp_path, text)
    assert await bench.source.is_empty() is empty
    assert bench.path.read_text() == text
    assert not bench.source.changed()
    assert bench.audience.told == bench.journal.told == []
    assert not (tmp_path / "consumed.yaml").exists()


@pytest.mark.parametrize("may_be_missing", [True, False])
async def test_a_missing_file(tmp_path: Path, *, may_be_missing: bool) -> None:
    """A missing file is an empty queue for a daemon, and a fault for all others."""
    bench = Bench(tmp_path, None, may_be_missing=may_be_missing)
    assert await bench.source.is_empty() is may_be_missing
    fault = (await bench.source.take(FirstJobs([unfilled]))).fault
    assert (fault is None) is may_be_missing
    assert fault is None or isinstance(fault, FileFault)


async def test_an_incomplete_entry_is_pending(tmp_path: Path) -> None:
    """An entry that a program still writes is not taken, and the queue is not empty."""
    bench = Bench(tmp_path, "")
    with bench.path.open("a") as file:
        file.write("- echo hal")
        file.flush()
        assert await bench.take(1) == []
        assert not await bench.source.is_empty()
        assert bench.source.pending
        file.write("f\n")
    assert bench.source.changed()
    assert await bench.take(1) == [(1, "echo half")]
    assert not bench.source.pending
    assert not [each for each in bench.journal.told if not isinstance(each, Noted)]


async def test_an_own_take_is_no_change(tmp_path: Path) -> None:
    """After a take nobody needs to look again, unless somebody else has changed the file."""
    bench = Bench(tmp_path, "- a\n- b\n- c\n")
    await bench.take(1)
    assert not bench.source.changed()
    other = QueueFile(bench.path)
    async with other.locked(lambda _: None) as locked:
        locked.take(FirstJobs([unfilled]))
    assert bench.source.changed()
    await bench.take(1)
    assert not bench.source.changed()
    with bench.path.open("a") as file:
        file.write("- d\n")
    assert bench.source.changed()


async def test_a_writer_that_goes_on_is_a_change(tmp_path: Path) -> None:
    """Where a program still writes to the file that was replaced, there may be more jobs."""
    bench = Bench(tmp_path, "- a\n- b\n")
    with bench.path.open("a") as file:
        assert await bench.take(1) == [(1, "a")]
        file.write("- c\n- d\n")
        file.flush()
        assert bench.source.changed()
    assert await bench.take(9) == [(2, "b"), (3, "c"), (4, "d")]


async def test_a_picker_knows_whether_the_file_is_as_it_was_left(tmp_path: Path) -> None:
    """It is told that nothing has changed since the last take, whatever that took."""
    bench = Bench(tmp_path, "- a\n- b\n- c\n")
    picker = Scripted("-+")
    await bench.source.take(picker)
    await bench.source.take(picker)
    await bench.source.is_empty()
    await bench.source.take(picker)
    bench.path.write_text("- c\n- d\n")
    await bench.source.take(picker)
    assert picker.unchanged == [False, True, True, False]
    assert picker.settled == [3]
    bench.path.unlink()
    await bench.source.take(picker)
    assert picker.unchanged[4:] == [False]
