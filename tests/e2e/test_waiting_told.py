"""What a run says where it waits, or ends with jobs left: on the screen, in ``status``, as JSON."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.e2e.runner import Pegasus


@pytest.mark.parametrize("slots", ["", "\n  slots: {gpu: 2}"])
def test_a_job_that_cannot_be_rendered(pegasus: Pegasus, slots: str) -> None:
    """It stays in the file, the jobs behind it run; ``status`` says why the run ended with 2."""
    hosts = f"- hostname: localhost\n  x: [1, 2]{slots}\n- hostname: localhost{slots}\n"
    queue = "- echo {{ nope }}\n- command: echo x={{ x }} {{ i }}\n  i: [1, 2, 3]\n- echo after\n"
    done = pegasus.run("q", hosts=hosts, queue=queue)
    assert done.status == 2
    assert [f"x={x}" in done.stdout for x in (1, 2)].count(True) > 0
    for i in (1, 2, 3):
        assert len(re.findall(rf"\] x=[12] {i}\n", done.stdout)) == 1
    assert "] after\n" in done.stdout
    assert pegasus.queue_file.read_text() == "- echo {{ nope }}\n"
    reason = 'queue.yaml:1:8: there is no parameter "nope"'
    assert f"{reason}." in done.stderr
    assert "This entry stays in the file; those below it run, up to a barrier." in done.stderr
    assert "[Pegasus] 1 job waits in " in done.stderr
    shown = pegasus.start_bare("status", "--json", *pegasus.files()[1:2]).wait()
    (run,) = json.loads(shown.stdout)["runs"]
    assert reason in run["reason"]


def test_a_fault_below_other_entries(pegasus: Pegasus) -> None:
    """It is told before anything runs, and again where the run ends with it."""
    done = pegasus.run("q", hosts="- localhost\n", queue="- echo one\n- comand: x\n- echo two\n")
    assert (done.status, done.stdout) == (2, "[localhost] one\n")
    first, *_, last = [line for line in done.stderr.splitlines() if "comand" in line]
    assert first.startswith(f"[Pegasus] {pegasus.queue_file}:2:3: this entry has no ")
    assert first.endswith("The entries above it run first: correct it before they have ended.")
    assert done.stderr.index(first) < done.stderr.index("=== run")
    assert last.startswith(f"[Pegasus] {pegasus.queue_file}:1:3: this entry has no ")
    assert f"[Pegasus] 1 job waits in {pegasus.queue_file}.\n" in done.stderr


def test_a_daemon_without_jobs(pegasus: Pegasus) -> None:
    """A daemon with an empty queue says that it waits; it takes what is added."""
    running = pegasus.start("q", "-d", hosts="- localhost\n", queue="[]\n")
    running.wait_for("Waiting for jobs in the queue (--daemon)")
    pegasus.queue_file.write_text("- echo added\n")
    running.wait_for("] added")
    running.signal(signal.SIGINT)
    assert running.wait().status == 130


def test_draining_is_shown(pegasus: Pegasus) -> None:
    """While a run is drained, ``status`` and its JSON say so."""
    running = pegasus.start("q", hosts="- localhost\n", queue="- sleep 30\n- echo later\n")
    running.wait_for("=== run")
    running.signal(signal.SIGINT)
    running.wait_for("nothing more is taken")
    shown = pegasus.start_bare("status", *pegasus.files()[1:2]).wait()
    assert "Draining: nothing more is taken." in shown.stdout
    shown = pegasus.start_bare("status", "--json", *pegasus.files()[1:2]).wait()
    (run,) = json.loads(shown.stdout)["runs"]
    assert run["started_at"] < run["draining_at"]
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.status == 130
    assert f"[Pegasus] 1 job waits in {pegasus.queue_file}.\n" in done.stderr
    shown = pegasus.start_bare("status", "--json", *pegasus.files()[1:2]).wait()
    (run,) = json.loads(shown.stdout)["runs"]
    assert "draining_at" not in run


def test_a_job_for_a_node_that_connects_later(pegasus: Pegasus) -> None:
    """A sub-node on this machine is there first; what only another one can run waits for it."""
    hosts = "- localhost\n- hostname: node-1\n  x: 1\n"
    done = pegasus.run("q", hosts=hosts, queue="- echo {{ x }}\n- echo b\n")
    assert done.status == 0, done.stderr
    assert "[node-1 (x=1)] 1\n" in done.stdout
    assert "there is no parameter" not in done.stderr
