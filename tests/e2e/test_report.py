"""``pegasus report`` and ``pegasus results`` of real runs, from a second terminal."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.e2e.run_desk import ODD, RunDesk, gated, localhosts, quoted
from tests.nodes import wait_until


def test_the_results_of_a_run(run_desk: RunDesk) -> None:
    """All three forms have a row for each job, and the paths lead to what the jobs printed."""
    queue = f"- command: {quoted(ODD)}\n  status: [0, 3]\n- echo oops >&2; kill -9 $$\n"
    run_desk.there.run("q", hosts=localhosts(2), queue=queue)
    rows = json.loads(run_desk.tell("results", "--json").out)
    assert [(row["job"], row["outcome"]) for row in rows] == [
        (1, "succeeded"),
        (2, "failed"),
        (3, "killed"),
    ]
    assert [row["exit_status"] for row in rows] == [0, 3, None]
    assert rows[1]["params"] == {"status": "3"}
    assert rows[1]["command"] == ODD.replace("{{ status }}", "3")
    assert Path(rows[0]["stdout"]).read_text(encoding="utf-8").startswith("it's\n")
    assert Path(rows[2]["stderr"]).read_bytes() == b"oops\n"
    text = run_desk.tell("results", "--csv").stdout
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["param.status"] for row in table] == ["0", "3", ""]
    assert [row["command"] for row in table] == [row["command"] for row in rows]
    lines = run_desk.tell("results").stdout.splitlines()
    assert len(lines) == 4
    assert "killed by signal 9" in lines[3]


def test_results_and_report_during_a_run(run_desk: RunDesk) -> None:
    """During a run, what runs is in both; what waits in the queue file is in neither."""
    running = run_desk.there.start("q", hosts=localhosts(2), queue=gated("a", "b", "c"))
    running.wait_for("begins", on="stdout", times=2)
    wait_until(lambda: run_desk.run()["counts"] == {"running": 2})
    rows = json.loads(run_desk.tell("results", "--json").out)
    assert [row["outcome"] for row in rows] == ["running", "running"]
    page = run_desk.tell("report", "-o", "-").stdout
    assert page.count('class="R open"') == 2
    assert "a begins" in page
    for name in ("a", "b", "c"):
        run_desk.open(name)
    assert running.wait().status == 0
    assert run_desk.tell("report", "-o", "-").stdout.count("S open") == 0


def test_a_broadcast(run_desk: RunDesk) -> None:
    """In a broadcast, each step has a bar in each lane and a row for each sub-node."""
    queue = "- echo one {{ i }}\n- exit {{ i }}\n"
    run_desk.there.run("b", hosts=localhosts(2), queue=queue)
    rows = json.loads(run_desk.tell("results", "--json").out)
    found = {(row["job"], row["sub_node"]["number"]): row["exit_status"] for row in rows}
    assert found == {(1, 0): 0, (1, 1): 0, (2, 0): 0, (2, 1): 1}
    done = run_desk.tell("report")
    (path,) = run_desk.elsewhere.folder.glob("pegasus-report-*.html")
    assert done.stdout.startswith(path.name)
    page = path.read_text(encoding="utf-8")
    assert page.count("<button") == 4
    assert "one 1" in page


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        (["results", "--csv", "--json"], "Write one of them"),
        (["results", "--run=nothing"], "pegasus status --runs"),
        (["report", "nothing"], "pegasus status --runs"),
        (["report", "-o", "--queue-file"], "write ./--queue-file"),
        (["report", "-o", "no/such/folder/x.html"], "Name another file with -o"),
    ],
)
def test_errors(words: list[str], next_step: str, run_desk: RunDesk) -> None:
    """Wrong arguments end with status 2 and a message that states the next step."""
    run_desk.there.run("q", hosts=localhosts(1), queue="- true\n")
    done = run_desk.tell(*words)
    assert done.status == 2
    assert next_step in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
