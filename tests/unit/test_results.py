"""`pegasus results`: a row for each job, the same for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pegasus.commands.results import ResultsSettings, results
from pegasus.errors import ExitStatus, PegasusError
from pegasus.events import Ended, RunEnded, Started, Taken
from pegasus.model import Assignment, Command, Exited, Job, Killed, Lost, Stream
from tests.unit.left_runs import kill
from tests.unit.records import (
    NODES,
    end,
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

SCHEMA = json.loads(resources.files("pegasus.report").joinpath("results.schema.json").read_text())

Captured = pytest.CaptureFixture[bytes]


def shown(captured: Captured, queue: Path, **asked: Any) -> str:
    """Ask for the results, and give what is on standard output."""
    assert results(ResultsSettings(queue_file=queue, **asked)) == ExitStatus.SUCCESS
    return captured.readouterr().out.decode()


def rows(captured: Captured, queue: Path) -> list[dict[str, Any]]:
    """Give the rows as JSON, checked against the schema."""
    found: list[dict[str, Any]] = json.loads(shown(captured, queue, json=True))
    checker = jsonschema.FormatChecker()
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator, format_checker=checker)
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
