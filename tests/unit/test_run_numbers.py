"""The newest run is the one that began last, whatever the clocks say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from pegasus.commands.retry import read_run
from pegasus.events import RunEnded
from pegasus.model import Exited
from pegasus.record import find_runs, read_runs
from pegasus.record.folder import make_folder
from tests.unit.records import NODES, end, only_run, queue_in, record_of, recording, run_some, start
from tests.unit.test_status import json_of, text_of

HOUR = 3600.0
BEGINNERS = 8
EACH = 10


async def test_a_clock_that_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run that began after the clock was set back is the newest all the same."""
    queue = queue_in(tmp_path)
    now, names = time.time, ("20261121-120000-9", "20261121-110000-7", "20261120-110000-8")
    for hours, name in enumerate(names):
        monkeypatch.setattr(time, "time", lambda back=hours * HOUR: now() - back)
        await run_some(queue, name)
    assert [run.began.number for run in find_runs(queue)] == [1, 2, 3]
    newest = f"0003-{names[-1]}"
    assert read_run(queue, None).name == newest
    assert [run["run"] for run in json_of(capfd, queue)["runs"]] == [newest]
    assert json_of(capfd, queue)["runs"][0]["number"] == 3
    listed = [run["run"] for run in json_of(capfd, queue, runs=True)["runs"]]
    assert listed == [f"{number:04}-{name}" for number, name in enumerate(names, start=1)]
    assert [record_of(queue, name).name for name in names] == listed


async def test_a_clock_that_is_set_back_during_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What ended last is shown last, and no time is negative."""
    queue = queue_in(tmp_path)
    now = time.time
    async with recording(queue) as record:
        for number in range(1, 8):
            monkeypatch.setattr(time, "time", lambda back=number * HOUR: now() - back)
            end(record, start(record, number), Exited(0))
        start(record, 8, node=NODES[1])
        monkeypatch.setattr(time, "time", lambda: now() - 100 * HOUR)
        said = text_of(capfd, queue)
        record.tell(RunEnded(0, "done"))
    rows = said.split("Succeeded, the last 5")[1].split("\n\n")[0].splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["3", "4", "5", "6", "7"]
    assert "running, 7 succeeded" in said
    assert "Run 0001-run-1 (queue): for 0.0 s" in said
    assert "done after 0.0 s" in text_of(capfd, queue)


async def test_records_without_numbers(tmp_path: Path) -> None:
    """Runs that an earlier version recorded are read, and are older than all with a number."""
    queue = queue_in(tmp_path)
    for name in ("20301121-231500-1", "20261121-231500-2"):
        await run_some(queue, name)
        folder = record_of(queue, name)
        path = folder / "journal.jsonl"
        first, rest = path.read_bytes().split(b"\n", 1)
        facts = json.loads(first)
        facts["at"] += HOUR * (name[:4] == "2030")
        del facts["number"]
        path.write_bytes(json.dumps(facts).encode() + b"\n" + rest)
        folder.rename(folder.with_name(name))
    await run_some(queue, "20251121-231500-3")
    assert [(run.name, run.began.number) for run in read_runs(queue)] == [
        ("20261121-231500-2", None),
        ("20301121-231500-1", None),
        ("0001-20251121-231500-3", 1),
    ]


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    """What is there already, whatever it is, is not taken for free."""
    queue = queue_in(tmp_path)
    assert make_folder(queue, "a")[1] == 1
    records = tmp_path / ".pegasus"
    (records / "0007").mkdir()  # of a Pegasus that was killed as it began
    (records / "0009-somebody's").touch()
    (records / "20261121-231500-1").mkdir()
    (records / "x-99").mkdir()
    assert make_folder(queue, "b")[1] == 10
    (records / "9999-x").mkdir()
    folder, number = make_folder(queue, "c")
    assert (folder.name, number) == ("10000-c", 10_000)


@pytest.mark.parametrize("planted", ["9999999", "9999999-x", "9999998"])
def test_the_highest_number_does_not_break_the_numbering(tmp_path: Path, planted: str) -> None:
    """After a folder with the highest number of seven digits, each run still has its own number."""
    queue = queue_in(tmp_path)
    make_folder(queue, "a")
    (tmp_path / ".pegasus" / planted).mkdir()
    (tmp_path / ".pegasus" / "10000001-x").mkdir()
    (tmp_path / ".pegasus" / ("8" * 200)).mkdir()
    numbers = [make_folder(queue, "b")[1] for _ in range(4)]
    first = int(planted[:7]) + 1
    assert numbers == [n for n in range(first, first + 6) if n != 10_000_001][:4]


PROGRAM = """
import sys
from pathlib import Path
from pegasus.record.folder import make_folder
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    make_folder(Path(sys.argv[1]), f"run-{number}")
"""


def test_runs_that_begin_at_once_have_numbers_of_their_own(tmp_path: Path) -> None:
    """Processes that begin at the same moment never share a number, and leave nothing behind."""
    queue = queue_in(tmp_path)
    command = [sys.executable, "-c", PROGRAM, str(queue), str(EACH)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(BEGINNERS)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
    assert [process.returncode for process in processes] == [0] * BEGINNERS
    names = [path.name for path in tmp_path.glob(".pegasus/*") if path.is_dir()]
    assert len(names) == BEGINNERS * EACH
    assert len({name.split("-")[0] for name in names}) == BEGINNERS * EACH


def test_a_number_that_was_given_between_the_look_and_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looked before another run took the number, and claims it after, gives it back."""
    queue = queue_in(tmp_path)
    mkdir = os.mkdir
    others: list[int] = []

    def slow(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if path == "0001" and not others:
            others.append(0)
            others[0] = make_folder(queue, "other")[1]
        mkdir(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", slow)
    folder, number = make_folder(queue, "mine")
    assert (others, number) == ([1], 2)
    assert sorted(path.name for path in folder.path.parent.iterdir()) == [
        ".gitignore",
        "0001-other",
        "0002-mine",
    ]


async def test_the_name_of_a_run_stays_with_its_folder(tmp_path: Path) -> None:
    """Also a folder that was renamed by hand keeps its place among the runs."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    record_of(queue).rename(tmp_path / ".pegasus" / "kept")
    run = only_run(queue)
    assert (run.name, run.began.number) == ("kept", 1)
    await run_some(queue, "later")
    assert read_runs(queue)[-1].name == "0001-later"
