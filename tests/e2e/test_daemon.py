"""Runs that wait for jobs: ``--daemon`` in both modes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.e2e.runner import Pegasus
from tests.nodes import wait_until

MODES = pytest.mark.parametrize("mode", ["q", "b"])
HOSTS = "- localhost\n- node-1\n"
AT_ONCE = 5.0
"""Seconds for what takes a tenth of one, on a machine with other load."""


def add(pegasus: Pegasus, text: str) -> None:
    """Append entries to the queue file as programs should: a rename under the lock."""
    queue = pegasus.queue_file
    with FileLock(f"{queue}.lock", thread_local=False):
        new = queue.with_name("new.yaml")
        new.write_text((queue.read_text() if queue.exists() else "") + text)
        new.replace(queue)


@MODES
@pytest.mark.parametrize("queue", [None, "", "# nothing yet\n", "[]\n"])
def test_an_empty_or_missing_queue_is_waited_on(
    pegasus: Pegasus, mode: str, queue: str | None
) -> None:
    """An empty or missing queue is waited for; Ctrl-C ends the wait at once."""
    running = pegasus.start(mode, "--daemon", hosts=HOSTS, queue=queue)
    running.wait_for("Waiting for jobs in the queue (--daemon)")
    wait_until(lambda: cpu_is_idle(running.pid), what="pegasus to wait")
    assert running.status is None
    if queue == "[]\n":
        pegasus.queue_file.write_text("")  # for the additions below
    times = 2 if mode == "b" else 1
    for number in range(3):
        added = time.time()
        add(pegasus, f"- date +'began-{number} %s.%N'\n")
        running.wait_for(f"] began-{number}", on="stdout", times=times)
        line = running.wait_for(f"] began-{number}", on="stdout")
        assert float(line.split()[-1]) - added < AT_ONCE
        running.wait_for("=== done (exit status: 0) ===", times=times * (number + 1))
    running.signal(signal.SIGINT)
    done = running.wait(AT_ONCE)
    assert done.status == 130
    assert f"{3 * times} commands: {3 * times} succeeded." in done.stderr


@MODES
def test_a_daemon_goes_on_after_a_failure_and_a_fault(pegasus: Pegasus, mode: str) -> None:
    """A failed job does not end it; a file with an error is waited for until it is repaired."""
    running = pegasus.start(mode, "-d", hosts="- localhost\n", queue="- exit 7\n- [nested]\n")
    running.wait_for("=== done (exit status: 7) ===")
    running.wait_for("queue.yaml:1:3")
    assert running.status is None
    pegasus.queue_file.write_text("- echo mended\n")
    running.wait_for("] mended", on="stdout")
    running.signal(signal.SIGTERM)
    assert running.wait(AT_ONCE).status == 130


@MODES
def test_without_daemon_a_missing_queue_is_a_mistake(pegasus: Pegasus, mode: str) -> None:
    """Without it, a missing file is an error whose message names the next step."""
    done = pegasus.run(mode, hosts=HOSTS)
    assert done.status == 2
    assert "there is no such file" in done.stderr
    assert "--daemon" in done.stderr


TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def cpu_is_idle(pid: int) -> bool:
    """Return whether a process is nearly idle for a quarter of a second."""
    before, until = cpu_seconds(pid), time.monotonic() + 0.25
    wait_until(lambda: time.monotonic() > until)
    return cpu_seconds(pid) - before <= 2 * TICK


def test_waiting_costs_next_to_nothing(pegasus: Pegasus) -> None:
    """With 16 sub-nodes connected, waiting for jobs takes less than 5 % of a processor."""
    hosts = f"- hostname: localhost\n  place: [{', '.join(map(str, range(16)))}]\n"
    running = pegasus.start("q", "--daemon", hosts=hosts, queue="- command: echo hi {{ n }}\n"
        f"  n: [{', '.join(map(str, range(32)))}]\n")  # fmt: skip
    running.wait_for("=== done", times=32)
    wait_until(lambda: cpu_is_idle(running.pid), what="pegasus to wait")
    began, before = time.monotonic(), cpu_seconds(running.pid)
    wait_until(lambda: time.monotonic() - began > 3.5)
    share = (cpu_seconds(running.pid) - before) / (time.monotonic() - began)
    running.signal(signal.SIGINT)
    assert running.wait(AT_ONCE).status == 130
    assert share < 0.05
