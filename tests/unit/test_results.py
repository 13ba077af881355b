"""`pegasus results`: a row for each job, the same for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import termios
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pegasus.commands.results import ResultsSettings, results
from pegasus.errors import ExitStatus, PegasusError
from pegasus.events import Ended, RunEnded, Started, Taken
from pegasus.model import Assignment, Command, Exited, Job, Killed, Lost, NotStarted, Stream
from pegasus.report.outputs import list_jobs
from pegasus.report.results_table import table_lines
from tests.unit.left_runs import kill
from tests.unit.records import (
    NODES,
    end,
    only_run,
    queue_in,
    record_of,
    recording,
    run_some,
    settle,
    show,
    start,
    start_on,
    take,
)
from tests.written import check_written

Captured = pytest.CaptureFixture[bytes]


def shown(captured: Captured, queue: Path, **asked: Any) -> str:
    """Ask for the results, and give what is on standard output."""
    assert results(ResultsSettings(queue_file=queue, **asked)) == ExitStatus.SUCCESS
    return captured.readouterr().out.decode()


def rows(captured: Captured, queue: Path) -> list[dict[str, Any]]:
    """Give the rows as JSON, checked against the schema."""
    found: list[dict[str, Any]] = json.loads(shown(captured, queue, json=True))
    check_written(found, "report/results")
    return found


def table(captured: Captured, queue: Path) -> list[dict[str, str]]:
    """Give the rows as CSV has them."""
    return list(csv.DictReader(io.StringIO(shown(captured, queue, csv=True), newline="")))


async def test_a_row_for_each_job(tmp_path: Path, capfdbinary: Captured) -> None:
    """A row has parameters, sub-node, outcome, times, tries, and the files that the job wrote."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    good, bad = rows(capfdbinary, queue)
    output = record_of(queue) / "output"
    assert (good["job"], good["params"], good["command"]) == (1, {"x": "1"}, "train 1")
    assert (good["outcome"], good["exit_status"], good["tries"]) == ("succeeded", 0, 1)
    assert (good["stdout"], good["stderr"]) == (str(output / "1.stdout"), None)
    assert (bad["outcome"], bad["exit_status"], bad["words"]) == ("failed", 3, "exit status: 3")
    assert bad["sub_node"]["hostname"] == "node-2"
    assert (bad["stdout"], bad["stderr"]) == (None, str(output / "2.stderr"))
    assert bad["seconds"] == 1.5
    for moment in (bad["started"], bad["ended"]):
        assert datetime.fromisoformat(moment).tzinfo is not None


async def test_csv_has_the_same(tmp_path: Path, capfdbinary: Captured) -> None:
    """CSV has a column for each parameter of the job and of the sub-node, and RFC 4180's lines."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    text = shown(capfdbinary, queue, csv=True)
    assert text.count("\r\n") == text.count("\n") == 3
    good, bad = table(capfdbinary, queue)
    assert (good["param.x"], good["sub_node"], good["hostname"]) == ("1", "0", "node-1")
    assert (good["sub_node.container"], bad["sub_node.container"]) == ("gpu0", "")
    assert (good["exit_status"], bad["exit_status"], bad["outcome"]) == ("0", "3", "failed")
    (first, second) = rows(capfdbinary, queue)
    for name in ("run", "command", "words", "started", "ended"):
        assert (good[name], bad[name]) == (first[name], second[name])


async def test_csv_keeps_any_text(tmp_path: Path, capfdbinary: Captured) -> None:
    """Newlines, quotes, commas, NUL and a text that a spreadsheet computes arrive unchanged."""
    queue, texts = queue_in(tmp_path), ["=1+1", 'a "quoted", text\nof two lines', "-0.5", "nul\0"]
    async with recording(queue) as record:
        for number, text in enumerate(texts, start=1):
            record.tell(Taken(number, Job("true", (("a,b", text),))))
        settle(record)
        assert [row["param.a,b"] for row in table(capfdbinary, queue)] == texts


async def test_the_table_shows_what_distinguishes_jobs(
    tmp_path: Path, capfdbinary: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The columns are aligned, parameters are columns, paths are relative to where the user is."""
    queue = queue_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    await run_some(queue)
    head, good, bad = shown(capfdbinary, queue).splitlines()
    assert head.split() == ["job", "x", "on", "outcome", "started", "took", "output"]
    assert good.index("exit status: 0") == bad.index("exit status: 3") == head.index("outcome")
    assert f".pegasus/{record_of(queue).name}/output/1.*" in good
    assert "1.5 s" in bad


def listed_at(width: int, queue: Path) -> list[str]:
    """Give the list of jobs as `logs` shows it on a terminal."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, width))
    kept = os.dup(1)
    try:
        os.dup2(child, 1)
        list_jobs(only_run(queue))
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(child)
    said = os.read(parent, 65536).decode().splitlines()
    os.close(parent)
    return said


def listed(captured: Captured, queue: Path) -> list[str]:
    """Give the list of jobs as `logs` writes it to a file."""
    list_jobs(only_run(queue))
    return captured.readouterr().out.decode().splitlines()


TRAIN = "python train.py --config base.yaml --lr {{ lr }} --seed {{ seed }} --out results"


async def run_sweep(queue: Path) -> None:
    """Record a run of long commands that differ in their middle, and one other command."""
    async with recording(queue) as record:
        for number, lr in enumerate(("1e-3", "1e-4"), 1):
            job = Job(TRAIN, (("lr", lr), ("seed", "7")))
            record.tell(Taken(number, job))
            command = TRAIN.replace("{{ lr }}", lr).replace("{{ seed }}", "7")
            record.tell(Started(given := Assignment(number, job, NODES[0], Command(command))))
            end(record, given, Exited(3))
        record.tell(Taken(3, job := Job("nvidia-smi")))
        end(record, start_on(record, 3, job, NODES[0]))


@pytest.mark.parametrize("width", [60, 80, 100, 200])
async def test_the_width_of_a_terminal(tmp_path: Path, width: int) -> None:
    """A row fits; parameters, outcome and time are whole, whatever else is left out."""
    queue = queue_in(tmp_path)
    await run_sweep(queue)
    head, *lines = table_lines(only_run(queue), width)
    assert max(map(len, (head, *lines))) < width
    assert {"lr", "seed", "command", "outcome", "took"} <= set(head.split())
    assert lines[0].split()[:3] == ["1", "1e-3", "7"]
    assert "exit status: 3" in lines[0]
    assert [word in head.split() for word in ("on", "started", "output")] == [
        width > 60,
        width > 100,
        width == 200,
    ]


async def test_parameters_stay_on_a_narrow_terminal(tmp_path: Path) -> None:
    """A parameter with the name of another column is a parameter, and is never left out."""
    queue = queue_in(tmp_path)
    params = tuple((name, f"{name}-1") for name in ("output", "on", "started", "command", "took"))
    async with recording(queue) as record:
        record.tell(Taken(1, job := Job("true", params)))
        end(record, start_on(record, 1, job, NODES[0]))
    head, line = table_lines(only_run(queue), 80)
    assert head.split()[1:6] == [name for name, _ in params]
    assert line.split()[1:6] == [value for _, value in params]


@pytest.mark.parametrize("width", [60, 80, None])
async def test_commands_that_differ_in_the_middle(tmp_path: Path, width: int | None) -> None:
    """Of long commands without parameters stays what distinguishes them."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        for number, model in enumerate(("resnet50", "vit"), 1):
            command = f"python train.py --config configs/base.yaml --model {model} --out results"
            record.tell(Taken(number, job := Job(command)))
            record.tell(Started(given := Assignment(number, job, NODES[0], Command(command))))
            end(record, given)
    _, first, second = table_lines(only_run(queue), width)
    assert ("resne" in first, "vit" in second) == (True, True)


async def test_a_pipe_has_all_of_it(tmp_path: Path, capfdbinary: Captured) -> None:
    """In a pipe commands and outcomes are whole, and commands are shown as they ran."""
    queue = queue_in(tmp_path)
    outcome = "the broadcast was ended because 3 of 4 sub-nodes could not be reached"
    async with recording(queue) as record:
        for number, words in enumerate((outcome, "another reason"), 1):
            job = Job(f"python {'long ' * 60}{{{{ x }}}} {number}", (("x", "1e-3"),))
            command = job.command.replace("{{ x }}", "1e-3")
            record.tell(Taken(number, job))
            record.tell(Started(given := Assignment(number, job, NODES[0], Command(command))))
            end(record, given, NotStarted(words))
    for lines in (list(table_lines(only_run(queue), None)), listed(capfdbinary, queue)):
        for number, words in enumerate((outcome, "another reason"), 1):
            (row,) = [line for line in lines if f"{'long ' * 60}1e-3 {number}" in line]
            assert words in row
        assert not any("…" in line for line in lines)


async def test_one_long_outcome(tmp_path: Path) -> None:
    """A long outcome leaves room for commands in the list of logs."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        record.tell(Ended(start(record, 1), Lost("ssh: " + "connection reset " * 50), 1.0))
        end(record, start(record, 2))
    for width in (80, 200):
        said = listed_at(width, queue)
        assert [line.split()[-2:] for line in said[2:]] == [["train", "1"], ["train", "2"]]
        assert max(map(len, said)) < width


@pytest.mark.parametrize("width", [80, 200])
async def test_the_list_of_logs_on_a_terminal(tmp_path: Path, width: int) -> None:
    """A row fits, and shows in what a command differs from others of its entry."""
    queue = queue_in(tmp_path)
    await run_sweep(queue)
    said = listed_at(width, queue)
    assert max(map(len, said)) < width
    first, second, other = said[2:]
    assert ("1e-3" in first, "1e-4" in second) == (True, True)
    assert other.endswith("train 3")


async def test_text_of_others_is_harmless(tmp_path: Path, capfdbinary: Captured) -> None:
    """A command with control characters takes one row, and cannot move the cursor."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        record.tell(Taken(1, Job("echo \x1b[2J\n\u202etxt.exe")))
        settle(record)
        text = shown(capfdbinary, queue)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 2


async def test_a_run_in_progress(tmp_path: Path, capfdbinary: Captured) -> None:
    """What runs and what waits for a sub-node is listed; what waits in the queue file is not."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        take(record, 2)
        settle(record)
        running, taken = rows(capfdbinary, queue)
        assert (running["outcome"], running["ended"], running["seconds"]) == ("running", None, None)
        assert running["stdout"].endswith("/1.stdout")  # it may print at any time
        assert (taken["outcome"], taken["sub_node"], taken["tries"]) == ("taken", None, 0)
        assert (taken["command"], taken["stdout"]) == ("train {{ x }}", None)
        record.tell(RunEnded(130, "aborted"))


async def test_several_tries(tmp_path: Path, capfdbinary: Captured) -> None:
    """A job that was tried again has one row: its last try, the number of tries, all output."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        first = start(record, 1)
        await show(record, first, b"first\n")
        record.tell(Ended(first, Killed(9), 1.0, again=True))
        second = start_on(record, 1, first.job, NODES[2])
        end(record, second)
        record.tell(RunEnded(0, "done"))
    (row,) = rows(capfdbinary, queue)
    assert (row["tries"], row["outcome"], row["signal"]) == (2, "succeeded", None)
    assert row["sub_node"]["number"] == 2
    assert row["stdout"] == str(record_of(queue) / "output" / "1.stdout")
    assert " 2  " in shown(capfdbinary, queue)


async def test_a_broadcast_has_a_row_for_each_sub_node(
    tmp_path: Path, capfdbinary: Captured
) -> None:
    """In a broadcast each job has a row on each sub-node, with files of its own."""
    queue, job = queue_in(tmp_path), Job("date")
    async with recording(queue, broadcast=True) as record:
        record.tell(Taken(1, job))
        settle(record)
        for node in NODES[:2]:
            given = Assignment(1, job, node, Command("date"))
            record.tell(Started(given))
            await show(record, given, b"out\n")
            await show(record, given, b"err\n", Stream.STDERR)
            record.tell(Ended(given, Exited(node.number), 1.0))
        record.tell(RunEnded(1, "done"))
    found = rows(capfdbinary, queue)
    assert [(row["job"], row["sub_node"]["number"], row["exit_status"]) for row in found] == [
        (1, 0, 0),
        (1, 1, 1),
    ]
    assert [Path(row["stderr"]).name for row in found] == ["1-0.stderr", "1-1.stderr"]


async def test_an_interrupted_run(tmp_path: Path, capfdbinary: Captured) -> None:
    """What ran when Pegasus was killed is lost, and says so."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        settle(record)
    kill(queue)
    (row,) = rows(capfdbinary, queue)
    assert (row["outcome"], row["words"]) == ("lost", str(Lost("Pegasus was killed")))
    assert row["ended"] is None


async def test_a_run_without_jobs(tmp_path: Path, capfdbinary: Captured) -> None:
    """A run that took nothing has no row: an empty list, a header, a sentence."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        record.tell(RunEnded(0, "done"))
    assert rows(capfdbinary, queue) == []
    assert len(shown(capfdbinary, queue, csv=True).splitlines()) == 1
    assert shown(capfdbinary, queue) == "Nothing was taken.\n"


async def test_which_run(tmp_path: Path, capfdbinary: Captured) -> None:
    """`--run` names a run by number; without a run the message states the next step."""
    queue = queue_in(tmp_path)
    with pytest.raises(PegasusError, match="--queue-file"):
        results(ResultsSettings(queue_file=queue))
    await run_some(queue)
    await run_some(queue, "run-2")
    assert "0001-run-1" in shown(capfdbinary, queue, run="1", csv=True)
    assert "0002-run-2" in shown(capfdbinary, queue, csv=True)
