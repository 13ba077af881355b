"""`pegasus status` in a pipe or a file: nothing is cut or wrapped, and colours come if forced."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.commands.status import StatusSettings, status
from pegasus.events import RunEnded, Started, Taken, Unreachable
from pegasus.model import Assignment, Command, Exited, Job, NotStarted
from pegasus.report.overview import OverviewReader
from pegasus.report.tables import about, plain_lines
from tests.unit.records import NODES, end, queue_in, recording, run_some, settle, take
from tests.unit.sweeps import EXPERIMENTS, FIELDS

REASON = "the broadcast was ended before this command could begin, " * 3
SCRIPT = "echo " + "long " * 1000 + "end"


async def record_sweep(queue: Path) -> None:
    """Record a run of a sweep, whose jobs failed, and of a long script that was not started."""
    async with recording(queue) as record:
        for number, (command, params) in enumerate(zip(EXPERIMENTS, FIELDS, strict=True), 1):
            job = Job("python {{ program }} {{ lr }}", tuple(params))
            given = Assignment(number, job, NODES[0], Command(command))
            record.tell(Taken(number, job))
            record.tell(Started(given))
            end(record, given, Exited(1))
        given = Assignment(9, take(record, 9), NODES[1], Command(SCRIPT))
        record.tell(Started(given))
        end(record, given, NotStarted(REASON))
        record.tell(Unreachable(NODES[2], REASON, 1.0))
        record.tell(RunEnded(1, "done", reason=REASON))
        settle(record)


async def test_a_file_has_everything(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each command, outcome and sentence is on one line, however long it is."""
    queue = queue_in(tmp_path)
    await record_sweep(queue)
    status(StatusSettings(queue_file=queue))
    out = capfd.readouterr().out
    rows = out.splitlines()
    assert [sum(command in row for row in rows) for command in EXPERIMENTS] == [1] * 4
    (script,) = [row for row in rows if SCRIPT in row]
    assert REASON.strip() in script
    assert f"3 jobs wait in {queue}." in rows
    assert "…" not in out


async def test_a_file_has_the_whole_list(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the list of runs each one takes one line, whatever ``COLUMNS`` is."""
    monkeypatch.setenv("COLUMNS", "40")
    queue = queue_in(tmp_path)
    for name in ("first", "second"):
        await run_some(queue, name)
    status(StatusSettings(queue_file=queue, runs=True))
    lines = capfd.readouterr().out.splitlines()
    assert [line.endswith("1 succeeded, 1 failed") for line in lines] == [False, True, True]


@pytest.mark.parametrize("width", [80, 90, 120])
async def test_jobs_of_a_sweep_are_told_apart(width: int, tmp_path: Path) -> None:
    """On a terminal no two jobs that differ look alike."""
    queue = queue_in(tmp_path)
    await record_sweep(queue)
    overview, _ = OverviewReader(queue, None, all_runs=False).read()
    lines = plain_lines(about(overview, None, width), width)
    title = next(line for line in lines if line.startswith("job"))
    commands = [line[title.index("command") :] for line in lines if line.startswith("  ")]
    shown = [each for each in commands if each.strip()][: len(EXPERIMENTS)]
    assert len(set(shown)) == len(EXPERIMENTS), shown


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
async def test_forced_colours(
    environ: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_coloured: bool,
) -> None:
    """``FORCE_COLOR`` gives colours in a file too, whatever ``TERM`` is; ``NO_COLOR`` none."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "dumb", **environ}.items():
        monkeypatch.setenv(name, value)
    queue = queue_in(tmp_path)
    await run_some(queue)
    status(StatusSettings(queue_file=queue))
    assert ("\x1b[1;31mFailed" in capfd.readouterr().out.replace("\n", "")) == is_coloured
