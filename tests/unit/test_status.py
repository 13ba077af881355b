"""What ``pegasus status`` promises: how things are, from any terminal, at any time."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pegasus.commands.status import StatusSettings, status
from pegasus.errors import ExitStatus, PegasusError
from pegasus.events import Ended, Returned, RunEnded, Started, Taken, Unreachable
from pegasus.model import (
    Assignment,
    Cancelled,
    Command,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    TimedOut,
)
from pegasus.report.overview import OverviewReader
from pegasus.report.tables import about, plain_lines
from tests.unit.records import (
    NODES,
    end,
    only_run,
    queue_in,
    recording,
    run_some,
    settle,
    show,
    start,
    start_on,
    take,
)
from tests.written import check_written

PROGRAM = """
import sys
from pathlib import Path
from pegasus.commands.status import StatusSettings, status
sys.exit(status(StatusSettings(queue_file=Path(sys.argv[1]), watch=True, json="json" in sys.argv)))
"""


def text_of(capfd: pytest.CaptureFixture[str], queue: Path, **asked: Any) -> str:
    """Ask, and give what is said in a file; for a terminal it always fits 80 columns."""
    assert status(StatusSettings(queue_file=queue, **asked)) == ExitStatus.SUCCESS
    out, err = capfd.readouterr()
    assert err == ""
    reader = OverviewReader(queue, asked.get("run"), all_runs=asked.get("runs", False))
    assert max(map(len, plain_lines(about(reader.read()[0], None, 80), 80))) <= 80
    return out


def json_of(capfd: pytest.CaptureFixture[str], queue: Path, **asked: Any) -> Any:
    """Ask as a program does, and give what is said, which always fits the schema."""
    status(StatusSettings(queue_file=queue, json=True, **asked))
    report = json.loads(capfd.readouterr().out)
    check_written(report, "record/status")
    return report


async def test_during_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It says what runs where and for how long, what waits, and what ended how."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        end(record, start(record, 1))
        end(record, start(record, 2, node=NODES[1]), Killed(9))
        start(record, 3, node=NODES[2])
        record.tell(Unreachable(NODES[1], "Connection refused\r\n", 4.0))
        settle(record)
        said = text_of(capfd, queue)
    rows = [line.split() for line in said.splitlines()]
    assert "1 running, 1 succeeded, 1 killed." in said
    assert "Remaining: about 5 s." in said
    assert f"3 jobs wait in {queue}."[:60] in said.replace("\n", "")[:10000]
    (running,) = [row for row in rows if row[:2] == ["3", "node-2"]]
    assert running[3:] == ["s", "train", "3"]  # for less than a minute
    assert "node-1 (container=gpu1) cannot be reached: Connection refused" in said
    assert "killed by signal 9" in said
    assert "(SIGKILL)" in said


async def test_after_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Afterwards it says how the run ended, and shows everything that failed."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        for number in range(1, 31):
            end(record, start(record, number), Exited(number % 2))
        record.tell(RunEnded(1, "drained"))
    said = text_of(capfd, queue)
    assert "drained after" in said
    assert "exit status 1" in said
    assert said.count("exit status: 1") == 15
    assert "Succeeded, the last 5" in said
    assert "Running" not in said


async def test_a_run_that_was_killed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of a run whose Pegasus was killed it says so, and what was lost."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        take(record, 2)
    forget_end(queue)
    said = text_of(capfd, queue)
    assert "was killed; last seen" in said
    assert "2 lost." in said
    assert "lost: Pegasus was killed" in said


def forget_end(queue: Path) -> None:
    """Make of a run that ended one that was killed."""
    path = only_run(queue).folder.journal
    path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0] + b"\n")


def test_nothing_to_show(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where nothing ran yet it says that, and what waits; without a queue it is a mistake."""
    queue = queue_in(tmp_path)
    said = text_of(capfd, queue)
    assert "No run of this queue is recorded." in said
    assert "3 jobs wait in" in said
    assert json_of(capfd, queue)["runs"] == []
    with pytest.raises(PegasusError, match="there is no such file, and no run of it"):
        status(StatusSettings(queue_file=tmp_path / "other.yaml"))


async def test_queue_file_gone_or_bad(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A queue file that is gone or has a fault hides no run."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    queue.write_text("- a\n- [b]\n")
    report = json_of(capfd, queue)
    assert report["waiting"] == 1
    assert ":2:" in report["fault"]
    assert "1 job waits" in text_of(capfd, queue)
    queue.unlink()
    assert json_of(capfd, queue)["waiting"] is None
    assert "there is no such file" in " ".join(text_of(capfd, queue).split())


async def test_which_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It means the runs that go on, else the newest, else the one that is named."""
    queue = queue_in(tmp_path)
    await run_some(queue, "first")
    await run_some(queue, "second")
    assert [run["run"] for run in json_of(capfd, queue)["runs"]] == ["0002-second"]
    assert [run["run"] for run in json_of(capfd, queue, run="first")["runs"]] == ["0001-first"]
    async with recording(queue, "run-3"), recording(queue, "run-4"):
        await run_some(queue, "run-5")
        assert [run["run"] for run in json_of(capfd, queue)["runs"]] == [
            "0003-run-3",
            "0004-run-4",
        ]
    listed = text_of(capfd, queue, runs=True)
    names = [line.split()[0] for line in listed.splitlines() if line[:1] != " "]
    assert names[0] == "run"
    assert names[1:] == ["0001-first", "0002-second", "0003-run-3", "0004-run-4", "0005-run-5"]
    assert "1 succeeded" in listed
    report = json_of(capfd, queue, runs=True)
    assert len(report["runs"]) == 5
    assert "jobs" not in report["runs"][0]


async def test_a_run_of_an_empty_queue_hides_no_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run that took nothing is shown where it is the only one, goes on, or has an error."""
    queue = queue_in(tmp_path)

    def shown() -> list[str]:
        return [run["run"] for run in json_of(capfd, queue)["runs"]]

    async with recording(queue, "empty") as record:
        record.tell(RunEnded(0, "done"))
    assert shown() == ["0001-empty"]
    await run_some(queue, "second")
    async with recording(queue, "empty") as record:
        settle(record)
        assert shown() == ["0003-empty"]
        record.tell(RunEnded(0, "done"))
    assert shown() == ["0002-second"]
    assert "Run 0002-second" in text_of(capfd, queue)
    async with recording(queue, "failed") as record:
        record.tell(RunEnded(2, "failed", reason="no sub-node can be reached"))
    assert shown() == ["0004-failed"]
    assert len(json_of(capfd, queue, runs=True)["runs"]) == 4


@pytest.mark.parametrize("broadcast", [False, True])
async def test_json_fits_its_schema(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], *, broadcast: bool
) -> None:
    """Whatever happens in a run, programs can rely on the schema."""
    queue = queue_in(tmp_path)
    outcomes: list[Outcome] = [
        Exited(0),
        Exited(255),
        Killed(9),
        Cancelled(),
        TimedOut(0.5),
        Lost("x"),
        NotStarted("y"),
    ]
    async with recording(queue, broadcast=broadcast) as record:
        for number, outcome in enumerate(outcomes, 1):
            job = start(record, number)
            await show(record, job, b"x\n", Stream.STDERR)
            end(record, job, outcome)
        again = start(record, 10)
        record.tell(Ended(again, Exited(1), 1.0, again=True))
        returned = start(record, 11)
        record.tell(Returned(returned, "its connection broke"))
        start(record, 12)
        start_on(record, 12, take(record, 12), NODES[1])
        take(record, 13)
        (run,) = json_of(capfd, queue)["runs"]
        assert run["remaining_seconds"] >= 0
        states = {job["job"]: job["state"] for job in run["jobs"]}
        assert states[1] == "ended"
        assert [states[number] for number in (10, 11, 12, 13)] == [
            "taken",
            "taken",
            "running",
            "taken",
        ]
        assert run["counts"]["timed_out"] == 1
        assert run["jobs"][0]["executions"][0]["stderr"]["bytes"] == 2
    forget_end(queue)
    (run,) = json_of(capfd, queue)["runs"]
    assert (run["state"], run["remaining_seconds"]) == ("died", None)
    assert {job["state"] for job in run["jobs"]} == {"ended"}


async def test_harmless_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Text that looks like markup is text, and control characters do nothing."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        job = Job("x")
        record.tell(Taken(1, job))
        record.tell(
            Started(Assignment(1, job, NODES[2], Command("[b]:smile:[/x]\x1b]0;\x07\n\udc80 é")))
        )
        said = text_of(capfd, queue)
    assert "[b]:smile:[/x]\\x1b]0;\\x07\\n\\udc80 é" in said


# Watching.


@contextmanager
def watching(queue: Path, *words: str, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``pegasus status --watch``."""
    command = [sys.executable, "-c", PROGRAM, str(queue), *words]
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


async def test_watch_in_a_pipe(tmp_path: Path) -> None:
    """In a pipe --watch says everything once more after each change, and ends with its reader."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        with watching(queue, "json", stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            assert json.loads(child.stdout.readline())["runs"][0]["counts"] == {}
            end(record, start(record, 1))
            while "succeeded" not in json.loads(child.stdout.readline())["runs"][0]["counts"]:
                pass
            child.stdout.close()
            end(record, start(record, 2))
            assert child.wait(20) == 0
            assert child.stderr.read() == b""


async def test_watch_on_a_terminal_without_a_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that cannot move its cursor gets plain text, as a pipe does."""
    monkeypatch.setenv("TERM", "dumb")
    queue = queue_in(tmp_path)
    leader, follower = pty.openpty()
    async with recording(queue) as record:
        start(record, 1)
        settle(record)
        with watching(queue, stdout=follower) as child:
            os.close(follower)
            seen = b""
            while b"1 running" not in seen:
                seen += os.read(leader, 65536)
            child.send_signal(signal.SIGINT)
            assert child.wait(20) == 0
    os.close(leader)
    assert b"\x1b" not in seen


async def test_watch_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal --watch draws anew each second, and Ctrl-C ends it quietly."""
    monkeypatch.setenv("TERM", "xterm")
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        leader, follower = pty.openpty()
        with watching(queue, stdout=follower) as child:
            os.close(follower)
            seen = b""
            while seen.count(b"1 running") < 2:
                seen += os.read(leader, 65536)
            child.send_signal(signal.SIGINT)
            assert child.stderr is not None
            assert child.wait(20) == 0
            assert child.stderr.read() == b""
        os.close(leader)
