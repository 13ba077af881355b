"""Jobs that run again, by ``pegasus retry`` or ``--retries``, and time limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from tests.e2e.leftovers import Traces
from tests.e2e.run_desk import ODD, RunDesk, kinds, localhosts, quoted


def commands(entries: Sequence[Any]) -> list[str]:
    """Return the command of each entry that is one job."""
    found: list[str] = []
    for entry in entries:
        command = entry if isinstance(entry, str) else entry["command"]
        found += [command] if isinstance(command, str) else command
    return found


def test_retry(run_desk: RunDesk) -> None:
    """``retry`` puts back exactly the jobs that did not succeed, unchanged, each once."""
    queue = (
        f"- echo fine\n- command: {quoted(ODD)}\n  status: [0, 1]\n"
        "- kill -9 $$\n- sleep 1000\n- sleep 1001\n- echo left\n"
    )
    running = run_desk.there.start("q", "--timeout=6s", hosts=localhosts(1), queue=queue)
    running.wait_for("=== run 'sleep 1000'")
    assert run_desk.tell("stop", "5").status == 0
    running.wait_for("=== run 'sleep 1001'")
    early = run_desk.tell("retry", "6")
    assert (early.status, "Job 6 is not put back: it still runs." in early.stderr) == (1, True)
    assert run_desk.tell("stop").status == 0
    assert running.wait().status == 130
    assert kinds(run_desk.run())[6] == "timed_out"
    first = run_desk.tell("retry")
    assert (first.status, "Put 4 jobs of run" in first.stderr) == (0, True)
    assert commands(run_desk.queue()) == [
        "echo left",
        ODD,
        "kill -9 $$",
        "sleep 1000",
        "sleep 1001",
    ]
    assert run_desk.queue()[1]["status"] in ("1", ["1"])
    data = run_desk.there.queue_file.read_bytes()
    again = run_desk.tell("retry")
    assert again.status == 0
    assert "is put back: 2 jobs succeeded, 4 were put back before." in again.stderr
    one = run_desk.tell("retry", "4", "1", "9")
    assert one.status == 1
    for words in ("4 is not put back: it was put", "1 is not put back: it succeeded."):
        assert f"Job {words}" in one.stderr
    assert "There is no job 9 in run " in one.stderr
    assert run_desk.there.queue_file.read_bytes() == data


def test_retries_elsewhere(run_desk: RunDesk) -> None:
    """``--retries 2`` tries a failed job twice more, on other sub-nodes."""
    done = run_desk.there.run(
        "q", "--retries=2", hosts=localhosts(3), queue="- echo at {{ i }}; exit 5\n"
    )
    assert done.status == 1
    assert sorted(re.findall(r"\] at (.)$", done.stdout, re.MULTILINE)) == ["0", "1", "2"]
    assert "1 command: 1 failed." in done.stderr
    (job,) = run_desk.run()["jobs"]
    assert [each["again"] for each in job["executions"]] == [True, True, False]
    assert sorted(each["sub_node"] for each in job["executions"]) == [0, 1, 2]
    assert job["outcomes"] == [{"kind": "exited", "status": 5}]
    assert run_desk.tell("logs", "1").out.startswith(b"at ")


def test_a_job_that_succeeds_elsewhere(run_desk: RunDesk) -> None:
    """A job that failed on one sub-node and succeeded on another has succeeded."""
    queue = "- mkdir here || exit 0; exit 1\n"
    done = run_desk.there.run("q", "--retries=2", hosts=localhosts(2), queue=queue)
    assert done.status == 0
    assert "1 command: 1 succeeded." in done.stderr
    (job,) = run_desk.run()["jobs"]
    first, second = (each["sub_node"] for each in job["executions"])
    assert first != second


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_a_time_limit(run_desk: RunDesk, nothing_left: Traces, host: str) -> None:
    """``--timeout 1s`` ends a command with all its processes: timed out; the next one runs."""
    queue = "- (sleep 1000; echo no) & sh -c 'sleep 1000; echo no'; echo no\n- echo quick\n"
    done = run_desk.there.run("q", "--timeout", "1s", hosts=f"- {host}\n", queue=queue)
    assert done.status == 1
    assert "=== done (timed out after 1 s) ===" in done.stderr
    assert "2 commands: 1 succeeded, 1 timed out." in done.stderr
    assert done.stdout == f"[{host}] quick\n"
    assert nothing_left.wait_until_gone() == []
    job = run_desk.run()["jobs"][0]
    assert job["outcomes"] == [{"kind": "timed_out", "limit": 1.0}]
    assert 1.0 <= job["executions"][0]["seconds"] < 5.0
