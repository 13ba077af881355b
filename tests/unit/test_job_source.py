"""The source of the jobs of a run: it numbers, records and reports each job once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pegasus.errors import FileFault, PegasusError
from pegasus.events import Event, Noted, Printed, Taken
from pegasus.model import Job, Position
from pegasus.queue_file import QueueFile
from pegasus.queue_file.job_source import JobSource
from tests.unit.taking import unfilled


class Journal:
    """A journal of lines in a file; ``told`` are the events that it had to write itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[Event] = []
        self.keeps_lines = True

    def receipt(self, events: Sequence[Taken]) -> tuple[Path, bytes] | None:
        """Give a line for each job."""
        lines = b"".join(b"%d %b\n" % (each.number, each.job.command.encode()) for each in events)
        return (self.path, lines) if self.keeps_lines else None

    def tell(self, event: Event) -> None:
        """Remember an event."""
        self.told.append(event)


class Audience:
    """A listener that remembers the events."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    def tell(self, event: Event) -> None:
        """Remember an event."""
        self.told.append(event)

    async def show(self, printed: Printed) -> None:
        """Ignore output."""


class Bench:
    """A queue file, a journal and a listener around one source."""

    def __init__(self, folder: Path, text: str | None, *, may_be_missing: bool = False) -> None:
        self.path = folder / "queue.yaml"
        if text is not None:
            self.path.write_text(text)
        self.journal = Journal(folder / "journal")
        self.journal.path.touch()
        self.audience = Audience()
        file = QueueFile(self.path)
        self.source = JobSource(file, self.journal, self.audience, may_be_missing=may_be_missing)

    async def take(self, count: int) -> list[tuple[int, str]]:
        """Take jobs; give their numbers and commands."""
        result = await self.source.take([unfilled] * count)
        return [(each.number, each.commands[0]) for each in result.jobs]

    @property
    def reported(self) -> list[tuple[int, str]]:
        """The jobs that the listener knows."""
        return [
            (each.number, each.job.command)
            for each in self.audience.told
            if isinstance(each, Taken)
        ]


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
    jobs = [each.job for each in (await bench.source.take([unfilled] * 3)).jobs]
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
    fault = (await bench.source.take([unfilled])).fault
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
