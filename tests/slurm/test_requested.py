"""Allocations that Pegasus requests: from the first job that waits to their end."""

from __future__ import annotations

import json
import secrets
import signal

import pytest

from tests.nodes import wait_until
from tests.slurm.requested import LIMIT_OF_RUN, REQUEST, Requesting, alive, noting


def test_a_queue(requesting: Requesting) -> None:
    """Jobs run on the nodes of one allocation, which is gone afterwards; status names both."""
    queue = '- command: echo "{{ i }} on {{ hostname }} $SLURMD_NODENAME"\n  i: [1, 2, 3, 4]\n'
    done = requesting.run("q", hosts=REQUEST, queue=queue)
    assert done.status == 0, done.stderr
    for i in range(1, 5):
        (line,) = [each for each in done.stdout.splitlines() if f"] {i} on " in each]
        assert line.split(" on ")[1].split()[0] == line.split()[-1]
    assert requesting.submitted() == 1
    requesting.wait_for_none()
    shown = requesting.pegasus.start_bare("status", "--json", *requesting.pegasus.files()[1:2])
    (run,) = json.loads(shown.wait().stdout)["runs"]
    assert {each["transport"] for each in run["sub_nodes"]} == {"slurm"}
    assert {each["allocation"] for each in run["sub_nodes"]}.pop().isdecimal()


def test_nothing_to_do(requesting: Requesting) -> None:
    """An empty queue requests nothing, and the run ends."""
    for command in ("q", "b"):
        done = requesting.run(command, hosts=REQUEST, queue="")
        assert done.status == 0
        assert "the queue is empty, nothing was run." in done.stderr
    assert requesting.submitted() == 0


def test_what_is_written_beside_it(requesting: Requesting) -> None:
    """Slots, parameters and what Slurm says about a node choose where jobs run."""
    hosts = "- slurm: {nodes: 3, partition: main, time: 10m}\n  half: [a, b]\n  slots: {gpu: 0-1}\n"
    queue = (
        "- command: echo one {{ gpu }} {{ half }}\n  where: {features: odd, half: b}\n"
        "- command: echo two {{ hostname }}\n  where: {nodelist: c2, partition: main}\n"
        "- command: echo three {{ gpu.count }}\n  needs: {gpu: 2}\n"
    )
    done = requesting.run("q", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    (one,) = [each for each in done.stdout.splitlines() if "] one " in each]
    assert one.startswith(("[c1 (half=b)", "[c1 (half=b) ", "[c3 (half=b)"))
    assert one.endswith(" b")
    assert "] two c2\n" in done.stdout
    assert "] three 2\n" in done.stdout


def test_a_feature_that_no_node_has(requesting: Requesting) -> None:
    """Such a job stays in the queue, and the message names what was asked for."""
    queue = "- command: echo one\n  where: {features: a100}\n"
    running = requesting.start("q", hosts=REQUEST, queue=queue)
    running.wait_for("features=a100", limit=LIMIT_OF_RUN)
    running.signal(signal.SIGINT)
    running.wait(LIMIT_OF_RUN)
    assert requesting.pegasus.queue_file.read_text() == queue


def test_waiting(requesting: Requesting) -> None:
    """While the nodes are in use, Slurm's reason is shown; then the run goes on."""
    with requesting.busy():
        running = requesting.start("q", hosts=REQUEST, queue="- echo at last\n")
        running.wait_for("waits: Resources.", limit=LIMIT_OF_RUN)
        assert requesting.pegasus.queue_file.read_text() == "- echo at last\n"
    done = running.wait(LIMIT_OF_RUN)
    assert done.status == 0
    assert "] at last\n" in done.stdout


@pytest.mark.parametrize("command", ["q", "b"])
def test_interrupted_while_it_waits(requesting: Requesting, command: str) -> None:
    """Ctrl-C cancels the request, and takes nothing."""
    with requesting.busy():
        running = requesting.start(command, hosts=REQUEST, queue="- echo never\n")
        running.wait_for("waits: Resources.", limit=LIMIT_OF_RUN)
        running.signal(signal.SIGINT)
        assert running.wait(LIMIT_OF_RUN).status == 130
        requesting.wait_for_none()
    assert requesting.pegasus.queue_file.read_text() == "- echo never\n"


def test_interrupted_once(requesting: Requesting) -> None:
    """Ctrl-C lets what runs end, and gives the allocation back."""
    queue = noting(2, 6, requesting.folder)
    running = requesting.start("q", hosts=REQUEST, queue=queue)
    requesting.wait_noted(2)
    running.signal(signal.SIGINT)
    done = running.wait(LIMIT_OF_RUN)
    assert done.status == 130
    assert "2 commands: 2 succeeded." in done.stderr
    requesting.wait_for_none()
    assert len(requesting.noted()) == 2


def test_interrupted_twice(requesting: Requesting) -> None:
    """The second Ctrl-C ends what runs: it is cancelled, and not lost with its allocation."""
    name = 10_000 + secrets.randbelow(80_000)
    queue = noting(name, 2, requesting.folder)
    running = requesting.start("q", hosts=REQUEST, queue=queue)
    requesting.wait_noted(2)
    running.signal(signal.SIGINT)
    running.wait_for("Once more to end it")
    running.signal(signal.SIGINT)
    done = running.wait(LIMIT_OF_RUN)
    assert done.status == 130
    assert done.stderr.count("(cancelled)") == 2
    assert alive(name) == []
    requesting.wait_for_none()


def test_broadcast(requesting: Requesting) -> None:
    """A broadcast waits for all nodes of its requests, beside those over SSH."""
    hosts = f"{REQUEST}- node-1\n"
    done = requesting.run("b", hosts=hosts, queue="- echo first\n- echo second\n")
    assert done.status == 0, done.stderr
    lines = [line.split("] ")[1] for line in done.stdout.splitlines()]
    assert lines == ["first"] * 3 + ["second"] * 3
    requesting.wait_for_none()


def test_a_broadcast_that_is_gathered(requesting: Requesting) -> None:
    """Equal outputs of the nodes of an allocation are shown once, and no node is missing."""
    done = requesting.run("b", "--gather", hosts=REQUEST, queue="- echo same\n")
    assert done.status == 0, done.stderr
    assert "c[1-2] (2)" in done.stdout
    assert "has not ended" not in done.stderr


def test_with_ssh(requesting: Requesting) -> None:
    """Machines over SSH and a requested allocation process one queue until it is empty."""
    queue = noting(0.5, 12, requesting.folder)
    done = requesting.run("q", hosts=f"{REQUEST}- node-1\n", queue=queue)
    assert done.status == 0, done.stderr
    assert sorted(map(int, requesting.noted())) == list(range(12))
    started = [line.split("]")[0] for line in done.stderr.splitlines() if "=== run" in line]
    assert len(set(started)) == 3


def test_daemon(requesting: Requesting) -> None:
    """A daemon requests when there is a job, gives back what is idle, and requests again."""
    running = requesting.start("q", "--daemon", hosts=REQUEST, queue="")
    for number in (1, 2):
        with requesting.pegasus.queue_file.open("a") as queue:
            queue.write(f"- echo job {number}\n")
        running.wait_for(f"] job {number}", on="stdout", limit=LIMIT_OF_RUN)
        assert requesting.submitted() == number
        wait_until(lambda: not requesting.allocations(), limit=60, what="the release", glance=0.5)
    running.signal(signal.SIGINT)
    running.wait(LIMIT_OF_RUN)


def test_an_entry_that_is_removed(requesting: Requesting) -> None:
    """Its allocation is given back after its commands; the rest of the queue runs elsewhere."""
    queue = noting(2, 6, requesting.folder)
    running = requesting.start("q", hosts=REQUEST, queue=queue)
    requesting.wait_noted(2)
    requesting.pegasus.write_hosts("- node-1\n")
    done = running.wait(LIMIT_OF_RUN)
    assert done.status == 0, done.stderr
    assert sorted(map(int, requesting.noted())) == list(range(6))
    assert requesting.submitted() == 1
    requesting.wait_for_none()


def test_check(requesting: Requesting) -> None:
    """``check`` names the request, and with ``--connect`` Slurm's own answer; none is submitted."""
    done = requesting.run("check", "--connect", hosts=REQUEST, queue="- echo x\n")
    assert done.status == 0
    assert "slurm; requested with `sbatch --nodes=2 --time=0:10:00`" in done.stdout
    assert "Slurm says: Job " in done.stdout
    bad = requesting.run("check", "--connect", hosts="- slurm: {partition: none}\n")
    assert bad.status == 2
    assert "invalid partition specified: none" in bad.stdout
    assert requesting.allocations() == []
