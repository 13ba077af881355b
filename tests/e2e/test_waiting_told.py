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
    assert "The jobs behind it go on. It stays in the file." in done.stderr
    shown = pegasus.start_bare("status", "--json", *pegasus.files()[1:2]).wait()
    (run,) = json.loads(shown.stdout)["runs"]
    assert reason in run["reason"]


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
    assert running.wait().status == 130
    shown = pegasus.start_bare("status", "--json", *pegasus.files()[1:2]).wait()
    (run,) = json.loads(shown.stdout)["runs"]
    assert "draining_at" not in run
