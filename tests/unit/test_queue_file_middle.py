"""Promises of takes from the middle of a file: only what was picked is gone."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus import grid
from pegasus.errors import FileFault
from pegasus.model import Entry, Job, Position
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, QueueReader, TakeResult
from pegasus.queue_file.remainder import Found
from tests.examples import examples
from tests.unit.queue_texts import QueueText, jobs_of, queue_texts
from tests.unit.taking import Scripted, unfilled

QUICK = settings(max_examples=examples(20), deadline=None)


def take(path: Path, script: str, most: int = 1_000) -> TakeResult:
    """Take as a script says."""
    return LockedQueue("q.yaml", path).take(Scripted(script, most))


def commands_of(result: TakeResult) -> list[str]:
    """Give the commands that were taken."""
    return [taken.job.command for taken in result.jobs]


@dataclass
class Expected:
    """What a take should do with a file, worked out from its entries."""

    taken: list[Job] = field(default_factory=list)
    left: list[Job] = field(default_factory=list)
    refused: int = 0
    whole: list[int] = field(default_factory=list)  # the indexes of entries that stay whole
    is_full: bool = False

    def work_out(self, path: Path, picker: Scripted, most: int) -> None:
        """Ask a picker of its own for each entry."""
        for index, entry in enumerate(QueueFile(path).entries()):
            assert not isinstance(entry, FileFault)
            jobs = list(grid.jobs(entry))
            n = 0
            while n < len(jobs) and len(self.taken) < most:
                answer = picker.pick(jobs[n], len(jobs) - n)
                if not callable(answer):
                    self.refused += hasattr(answer, "what")
                    break
                self.taken.append(jobs[n])
                n += 1
            if n == 0:
                self.whole.append(index)
            self.left += jobs[n:]


def plain(jobs: list[Job]) -> list[tuple[str, object]]:
    """Give jobs in the form of ``jobs_of``."""
    return [(job.command, job.params) for job in jobs]


def without_fences(data: bytes) -> bytes:
    """Remove the empty comments that a take may have added."""
    return re.sub(rb"(?m)^ *#\r?\n", b"", data)


def check(file: QueueText, script: str, most: int) -> None:
    """Take from a file, and look for every promise."""
    with tempfile.TemporaryDirectory() as folder:
        queue = Path(folder, "q.yaml")
        queue.write_bytes(file.data)
        expected = Expected()
        expected.work_out(queue, Scripted(script, most), most)
        result = take(queue, script, most)
        data = queue.read_bytes()
        assert [each.job for each in result.jobs] == expected.taken
        assert [each.number for each in result.jobs] == [*range(1, len(expected.taken) + 1)]
        assert len(result.refused) == expected.refused
        assert result.empty == (not expected.left)
        assert jobs_of(data) == plain(expected.left)
        consumed = queue.with_name("consumed.yaml")
        record = consumed.read_bytes() if consumed.exists() else b""
        assert jobs_of(record) == plain(expected.taken)
        assert sorted(re.findall(rb"# c\d+:", data)) == sorted(re.findall(rb"# c\d+:", file.data))
        assert data.startswith(b"\xef\xbb\xbf") == file.bom
        at = 0
        for index in expected.whole:
            chunk = file.chunks[index].replace("\n", file.newline).encode()
            at = data.index(chunk, at) + len(chunk)
        left = LockedQueue("q.yaml", queue).take(FirstJobs([unfilled] * 1_000)).jobs
        assert [each.job for each in left] == expected.left


SCRIPTS = st.text("++--!", min_size=1, max_size=6)


@QUICK
@given(queue_texts(), SCRIPTS, st.integers(1, 6))
def test_only_the_picked_jobs_are_gone(file: QueueText, script: str, most: int) -> None:
    """Whatever is picked of a file, each other job stays, each other byte, and their order."""
    check(file, script, most)


CHANGES = ["", "", "", "append", "prepend", "spoil"]


def changed(data: bytes, change: str, at: int) -> bytes:
    """Change a file as another program might."""
    if change == "append":
        return data + b"- new\n"
    if change == "prepend":
        return b"- new\n" + data
    if change == "spoil" and data:
        at %= len(data)
        return data[:at] + b"- " + data[at + 1 :]
    return data


STEPS = st.lists(
    st.tuples(SCRIPTS, st.integers(1, 3), st.sampled_from(CHANGES), st.integers(0, 200)),
    min_size=2,
    max_size=5,
)


def compare(file: QueueText, steps: list[tuple[str, int, str, int]]) -> None:
    """Take from two copies of a file; only for one of them what the last take left is known."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        copies = [Path(one, "q.yaml"), Path(other, "q.yaml")]
        known = None
        for copy in copies:
            copy.write_bytes(file.data)
        for script, most, change, at in steps:
            results = [
                LockedQueue("q.yaml", copy).take(Scripted(script, most), known=left)
                for copy, left in zip(copies, [None, known], strict=True)
            ]
            known = results[1].left
            texts = [copy.read_bytes().replace(b"\r\n", b"\n") for copy in copies]
            assert texts[0] == texts[1]  # where both are in a file, either may be written
            told = [
                (
                    list(map(repr, result.jobs)),
                    str(result.fault),
                    list(map(str, result.refused)),
                    (result.empty, result.barrier, result.is_complete),
                )
                for result in results
            ]
            assert told[0] == told[1]
            for copy in copies:
                copy.write_bytes(changed(copy.read_bytes(), change, at))


@settings(max_examples=examples(10), deadline=None)
@given(queue_texts(), STEPS)
def test_what_is_known_of_a_file_changes_nothing(
    file: QueueText, steps: list[tuple[str, int, str, int]]
) -> None:
    """Entries that stay are not parsed at each take, and all results and positions are the same."""
    compare(file, steps)


@pytest.mark.parametrize(
    ("text", "script", "rest"),
    [
        ("- a\n- b\n- c\n", "-+-", "- a\n- c\n"),
        ("- |\n  a\n- b\n  # deep\n- c\n", "-+-", "- |\n  a\n#\n  # deep\n- c\n"),
        ("- |+\n  a\n- b\n\n\n- c\n", "-+-", "- |+\n  a\n#\n\n\n- c\n"),
        ("- a\r\n- b # note\r\n- c\r\n", "-+-", "- a\r\n# note\r\n- c\r\n"),
        ("[a, b, c]\n", "-+-", "[a, c]\n"),
        ("[a, b, c]\n", "--+", "[a, b, ]\n"),
        ("[\n  a,\n  b,  # why\n  c\n]\n", "-+-", None),
        ("- a\n- command: c\n  x: [1, 2]\n  y: [1, 2]\n- d\n", "-++-+", None),
        (
            "- a\n- {command: c, x: [1, 2, 3]}\n- d\n",
            "-+-!",
            "- a\n- {command: c, x: [2, 3]}\n- d\n",
        ),
    ],
)
def test_how_a_file_looks_after_a_take_from_its_middle(
    tmp_path: Path, text: str, script: str, rest: str | None
) -> None:
    """What stays keeps its text; only where it would change its meaning a ``#`` keeps it apart."""
    queue = tmp_path / "q.yaml"
    queue.write_bytes(text.encode())
    before = plain([job for e in QueueFile(queue).entries() for job in grid.jobs(_entry(e))])
    taken = plain([each.job for each in take(queue, script).jobs])
    left = queue.read_bytes()
    assert rest is None or left == rest.encode()
    assert sorted([*taken, *jobs_of(left)]) == sorted(before)


def test_a_picker_is_asked_no_more_than_needed(tmp_path: Path) -> None:
    """It is asked for the jobs in their order, and no more once it is full."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- a\n- command: b\n  x: [1, 2, 3]\n- c\n- d\n- [bad]\n")
    picker = Scripted("-++-+", most=3)
    result = LockedQueue("q.yaml", queue).take(picker, first=7)
    assert picker.asked == [("a", 1), ("b", 3), ("b", 2), ("b", 1), ("c", 1)]
    assert picker.settled == [7, 8, 9]
    assert commands_of(result) == ["b", "b", "c"]
    assert (result.is_complete, result.fault) == (False, None)


def test_a_job_that_can_run_nowhere_is_reported_with_its_place(tmp_path: Path) -> None:
    """It stays in the file, and the jobs behind it are taken."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- ok\n- command:\n  - ok\n  - bad\n- ok\n")
    result = take(queue, "++!+")
    assert commands_of(result) == ["ok", "ok", "ok"]
    assert str(result.refused[0]) == "q.yaml:4:5: no sub-node has this. Change it."
    assert queue.read_text() == "- command:\n  - bad\n"


def test_entries_that_stay_are_not_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A take passes by the entries that the last one left, and parses those around its jobs."""
    queue = tmp_path / "q.yaml"
    queue.write_text("".join(f"- echo {i}\n" for i in range(90)))
    locked, script = LockedQueue("q.yaml", queue), "-" * 50 + "+"
    known = locked.take(Scripted(script, 1)).left
    parsed: list[int] = []
    once = QueueReader.__iter__

    def counted(reader: QueueReader) -> Iterator[Found]:
        for found in once(reader):
            parsed.append(1)
            yield found

    monkeypatch.setattr(QueueReader, "__iter__", counted)
    with queue.open("a") as file:
        file.write("- added\n")
    result = locked.take(Scripted(script, 1), known=known)
    assert commands_of(result) == ["echo 51"]
    assert result.jobs[0].job.position == Position("q.yaml", 51, 1)
    assert len(parsed) < 10
    assert len(jobs_of(queue.read_bytes())) == 89


def _entry(found: Entry | FileFault) -> Entry:
    assert isinstance(found, Entry)
    return found
