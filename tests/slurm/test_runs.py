"""Runs in a Slurm allocation, from the command line."""

from __future__ import annotations

import json
import secrets
import signal

from pegasus.transport.slurm import COMPLETING_LIMIT
from tests.cluster.daemons import Cluster
from tests.e2e.runner import LIMIT, Pegasus
from tests.nodes import wait_until
from tests.slurm.conftest import Inside
from tests.slurm.processes import sleeping

ON_SLURM = "- slurm: {}\n"


def test_queue(inside: Inside) -> None:
    """Each job runs once, on the nodes of the allocation, and its status comes back."""
    queue = "- command: echo job-{{ i }} on $SLURMD_NODENAME; exit {{ i }}\n  i: [0, 1, 2, 3]\n"
    done = inside.run("q", hosts=ON_SLURM, queue=queue)
    assert done.status == 1
    for i in range(4):
        assert done.stdout.count(f"] job-{i} on c") == 1
        assert f"(exit status: {i})" in done.stderr
    assert inside.pegasus.queue_file.read_text() == ""


def test_home(inside: Inside) -> None:
    """A job begins in the home directory, as over SSH."""
    done = inside.run("q", hosts=ON_SLURM, queue="- pwd\n")
    assert inside.variables["HOME"] in done.stdout


def test_broadcast(inside: Inside) -> None:
    """A broadcast runs each step on each node."""
    done = inside.run("b", hosts=ON_SLURM, queue="- echo $SLURMD_NODENAME\n- echo second\n")
    assert done.status == 0
    lines = sorted(line.split("] ")[1] for line in done.stdout.splitlines())
    assert len(lines) == 4
    assert lines[2:] == ["second"] * 2


def test_slots(inside: Inside) -> None:
    """With slots, several jobs run on a node at once, each with its own."""
    hosts = "- slurm: {}\n  slots: {gpu: 0-1}\n"
    wait = "until set -- at-* && [ $# -ge 4 ]; do sleep 0.1; done"
    queue = f'- command: "echo > at-$$; {wait}; echo has {{{{ gpu }}}} {{{{ i }}}}"\n  i: [1-4]\n'
    queue = queue.replace("[1-4]", "[1, 2, 3, 4]")
    done = inside.run("q", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    assert done.stdout.count("has 0 ") == 2
    assert done.stdout.count("has 1 ") == 2


def test_with_ssh(inside: Inside) -> None:
    """Machines over SSH and an allocation process one queue together."""
    wait = "until set -- at-* && [ $# -ge 3 ]; do sleep 0.1; done"
    ssh_home = inside.pegasus.nodes[0].home
    queue = (
        f'- command: "cd {ssh_home}; echo > at-{{{{ i }}}}; {wait}; '
        'echo by {{ hostname }}"\n  i: [1, 2, 3]\n'
    )
    done = inside.run("q", hosts=f"{ON_SLURM}- node-1\n", queue=queue)
    assert done.status == 0, done.stderr
    names = {line.split("] by ")[1] for line in done.stdout.splitlines()}
    assert "node-1" in names
    assert len(names) == 3


def test_interrupted_twice(inside: Inside) -> None:
    """An abort ends the commands, and what they have started."""
    name = 10_000 + secrets.randbelow(80_000)
    queue = f"- sh -c 'sleep {name} & wait'\n"
    running = inside.start("q", hosts=ON_SLURM, queue=queue)
    wait_until(lambda: sleeping(name), what="the command")
    running.signal(signal.SIGINT)
    running.wait_for("Once more to end it")
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.status == 130
    assert "(cancelled)" in done.stderr
    wait_until(lambda: not sleeping(name), what="the end of the command")


def test_killed(inside: Inside) -> None:
    """When Pegasus is killed, its commands end within ten seconds."""
    name = 10_000 + secrets.randbelow(80_000)
    queue = f"- sh -c 'sleep {name} & wait'\n- exec sleep {name}\n"
    running = inside.start("q", hosts=ON_SLURM, queue=queue)
    wait_until(lambda: len(sleeping(name)) == 2, what="the commands")
    running.kill()
    wait_until(lambda: not sleeping(name), limit=10, what="the end of the commands")


def test_cancelled_allocation(inside: Inside, cluster: Cluster) -> None:
    """An scancel of the allocation loses what runs there and ends the run; what waits stays."""
    name = 10_000 + secrets.randbelow(80_000)
    queue = f"- exec sleep {name}\n- exec sleep {name}\n- echo later\n"
    running = inside.start("q", hosts=ON_SLURM, queue=queue)
    wait_until(lambda: len(sleeping(name)) == 2, what="the commands")
    job = inside.variables["SLURM_JOB_ID"]
    cluster.run("scancel", job)
    done = running.wait(LIMIT + COMPLETING_LIMIT)
    assert done.status == 1
    lost = f"=== done (lost: the Slurm allocation {job} has ended (CANCELLED)) ==="
    assert done.stderr.count(lost) == 2
    assert f"[Pegasus] Slurm allocation {job} has ended" in done.stderr
    assert "its nodes get no more jobs" in done.stderr
    assert inside.pegasus.queue_file.read_text() == "- echo later\n"


def test_status(inside: Inside) -> None:
    """``status --json`` says how a sub-node was reached."""
    inside.run("q", hosts=ON_SLURM, queue="- echo x\n")
    shown = inside.pegasus.start_bare("status", "--json", *inside.pegasus.files()[1:2]).wait()
    (run,) = json.loads(shown.stdout)["runs"]
    assert {each["transport"] for each in run["sub_nodes"]} == {"slurm"}


def test_outside(pegasus: Pegasus) -> None:
    """Outside an allocation the fault says how to start Pegasus; nothing is taken."""
    done = pegasus.run("q", hosts=ON_SLURM, queue="- echo x\n")
    assert done.status == 2
    assert "hosts.yaml:1:3: Pegasus does not run in a Slurm allocation" in done.stderr
    assert "salloc --nodes=2 pegasus queue" in done.stderr
    assert pegasus.queue_file.read_text() == "- echo x\n"


def test_detached(inside: Inside) -> None:
    """``--detach`` is refused, and the message says why."""
    done = inside.run("q", "--detach", hosts=ON_SLURM, queue="- echo x\n")
    assert done.status == 2
    assert "--detach does not work on Slurm, where a command ends with its step." in done.stderr
    assert inside.pegasus.queue_file.read_text() == "- echo x\n"
