"""``pegasus status`` and the summary, during a run, after it and without one."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.e2e.run_desk import ODD, RunDesk, gated, kinds, localhosts, quoted
from tests.nodes import wait_until


def test_status_during_a_run_and_after(run_desk: RunDesk) -> None:
    """``status`` reports what runs where, what waits and what ended how; so does ``--json``."""
    params = "  status: [0, 3]\n  'odd name': ['x, \"y\"']\n"
    queue = f"- command: {quoted(ODD)}\n{params}{gated('a', 'b')}- echo waits\n"
    running = run_desk.there.start("q", hosts=localhosts(2), queue=queue)
    running.wait_for("begins", on="stdout", times=2)
    wait_until(lambda: run_desk.run()["counts"] == {"succeeded": 1, "failed": 1, "running": 2})
    data = run_desk.status()
    (run,) = data["runs"]
    assert (data["waiting"], data["fault"], run["state"]) == (1, None, "running")
    assert (run["pid"], run["exit_status"], run["ended_at"]) == (running.pid, None, None)
    assert data["queue_file"] == str(run_desk.there.queue_file)
    assert [job["state"] for job in run["jobs"]] == ["ended", "ended", "running", "running"]
    assert kinds(run) == {1: "exited", 2: "exited", 3: None, 4: None}
    for job, status in zip(run["jobs"], ("0", "3"), strict=False):
        assert job["command"] == ODD
        assert job["params"] == {"status": status, "odd name": 'x, "y"'}
        (execution,) = job["executions"]
        assert execution["command"] == ODD.replace("{{ status }}", status)
        assert execution["outcome"] == {"kind": "exited", "status": int(status)}
    where = [job["executions"][0]["sub_node"] for job in run["jobs"]]
    said = re.findall(r"^\[localhost \(i=(\d)\)\] === run", running.stderr, re.MULTILINE)
    assert where == [int(number) for number in said]
    assert sorted(where[2:]) == [0, 1]
    text = run_desk.tell("status").stdout
    assert "2 running, 1 succeeded, 1 failed." in text
    assert re.search(r"Running\n.*\n +3 +localhost \(i=. *", text)
    assert re.search(r"Failed\n.*\n +2 +localhost \(i=.\) +exit status: 3", text)
    assert "1 job waits in" in text
    run_desk.open("a")
    run_desk.open("b")
    assert running.wait().status == 1
    data = run_desk.status()
    (run,) = data["runs"]
    assert (data["waiting"], run["state"], run["exit_status"]) == (0, "ended", 1)
    assert run["counts"] == {"succeeded": 4, "failed": 1}
    text = run_desk.tell("status").stdout
    assert "done after" in text
    assert "4 succeeded, 1 failed." in text
    assert "0 jobs wait in" in text


def test_the_summary(run_desk: RunDesk) -> None:
    """The summary has sub-node, command, outcome and log of what failed, and how to retry."""
    queue = "- echo fine\n- echo said; exit 4\n- kill -9 $$\n"
    done = run_desk.there.run("q", hosts=localhosts(1), queue=queue)
    assert done.status == 1
    assert "3 commands: 1 succeeded, 1 failed, 1 killed." in done.stderr
    pattern = r"  job (\d) on localhost \(i=0\): (.*), after .*: (.*)  \[(.*)\]$"
    found = re.findall(pattern, done.stderr, re.MULTILINE)
    assert [words[:3] for words in found] == [
        ("2", "exit status: 4", "echo said; exit 4"),
        ("3", "killed by signal 9 (SIGKILL)", "kill -9 $$"),
    ]
    log = run_desk.there.folder / found[0][3].replace("*", "stdout")
    assert log.read_bytes() == b"said\n"
    assert not list(log.parent.glob("3.*"))  # it printed nothing
    (words,) = re.findall(r"back into the queue: (pegasus retry .*)$", done.stderr, re.MULTILINE)
    program = " ".join(map(str, run_desk.there.program))
    shell = replace(run_desk.elsewhere, program=("sh", "-c"))
    assert shell.start_bare(words.replace("pegasus", program, 1)).wait().status == 0
    assert run_desk.queue() == [
        {"command": ["echo said; exit 4"]},
        {"command": ["kill -9 $$"]},
    ] or (run_desk.queue() == ["echo said; exit 4", "kill -9 $$"])


NO_RECORD = [
    (["status"], 2, "there is no such file, and no run of it is recorded beside it."),
    (["logs"], 2, "No run of .* is recorded beside it"),
    (["logs", "-f"], 2, "No run of .* is recorded beside it"),
    (["retry"], 2, "No run of queue.yaml is recorded in"),
    (["stop"], 2, "there is no such file, and no run of it is recorded beside it."),
    (["pause"], 2, "there is no such file, and no run of it is recorded beside it."),
    (["status", "--run", "x"], 2, "No run of this queue is recorded."),
]


@pytest.mark.parametrize(("arguments", "status", "words"), NO_RECORD)
def test_nothing_is_recorded(
    run_desk: RunDesk, arguments: list[str], status: int, words: str
) -> None:
    """Where there is nothing to show or to stop, one sentence reports that; no file is made."""
    done = run_desk.tell(*arguments)
    assert (done.status, done.out) == (status, b"")
    assert re.search(words, done.stderr)
    assert done.stderr.count("\n") == 1
    assert list(run_desk.there.folder.iterdir()) == []


def test_nothing_was_run(run_desk: RunDesk) -> None:
    """A queue that never ran has no run; its jobs wait."""
    run_desk.there.queue_file.write_text("- a\n- b\n")
    done = run_desk.tell("status")
    assert (done.status, done.err) == (0, b"")
    assert "No run of this queue is recorded." in done.stdout
    assert "2 jobs wait in" in done.stdout
    data = run_desk.status()
    assert (data["waiting"], data["runs"]) == (2, [])


PAST = [
    (["logs", "7"], 2, "There is no job 7 in run .*; there are jobs 1 to 2."),
    (["logs", "1", "--sub-node", "3"], 2, "did not run on sub-node 3"),
    (["logs", "-f"], 2, "Which job\\? In run .* none runs"),
    (["retry"], 0, "Nothing of run .* is put back: 2 jobs succeeded\\."),
    (["stop"], 1, "No run of this queue goes on"),
    (["stop", "1"], 1, "No run of this queue goes on"),
    (["stop", "--run=-"], 1, "That run is over"),
    (["status", "--run", "nope"], 2, "There is no run 'nope'"),
]


def test_nothing_goes_on(run_desk: RunDesk) -> None:
    """After a run, commands report unknown jobs, nothing to retry and nothing to stop."""
    run_desk.there.run("q", hosts=localhosts(1), queue="- echo a\n- exit 0\n")
    for arguments, status, words in PAST:
        done = run_desk.tell(*arguments)
        assert (done.status, done.out) == (status, b""), arguments
        assert re.search(words, done.stderr), done.stderr
    empty = run_desk.tell("logs", "2")
    assert (empty.status, empty.out, empty.err) == (0, b"", b"")
