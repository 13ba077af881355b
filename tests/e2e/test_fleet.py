"""Broadcasts to many nodes: batches, and nodes that cannot be reached."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.detached import go_away
from tests.e2e.detaching import not_detached
from tests.e2e.journals import events
from tests.e2e.run_desk import RunDesk, gated, localhosts
from tests.e2e.runner import Done, Pegasus
from tests.e2e.ssh_config import SshConfig, closed_port, start
from tests.nodes import Nodes

MakeNodes = Callable[..., Nodes]

HOSTS = "- node-1\n- bad-[1-3]\n- node-2\n"
QUEUE = "- echo {{ hostname }} one\n- echo {{ hostname }} two\n"


@pytest.fixture
def bad(ssh: SshConfig) -> SshConfig:
    """Three nodes that refuse connections."""
    ssh.host("bad*", HostName="127.0.0.1", Port=closed_port())
    return ssh


def test_too_many_nodes_are_down(pegasus: Pegasus, bad: SshConfig) -> None:
    """With more unreachable nodes than allowed nothing is taken, and the error names all."""
    running = start(pegasus, bad, "b", "--max-unreachable=2", hosts=HOSTS, queue=QUEUE)
    done = running.wait()
    assert done.status == 2
    words = r"bad-\[1-3\] cannot be reached, 3 of 5 sub-nodes, and --max-unreachable allows 2"
    assert re.search(words, done.stderr)
    assert "Repair them, take them out of the hosts file, or allow more." in done.stderr
    assert done.stdout == ""
    assert pegasus.queue_file.read_text() == QUEUE


def said_by(done: Done) -> list[str]:
    """Give what the commands printed, in alphabetical order."""
    return sorted(line.partition("] ")[2] for line in done.stdout.splitlines())


def newest(pegasus: Pegasus) -> dict[str, Any]:
    """Give the first line of the newest journal."""
    return events(pegasus, "run_started")[-1]


def test_some_nodes_are_down(pegasus: Pegasus, bad: SshConfig) -> None:
    """The broadcast goes on without them, names them, and ends with 1; --resume runs them later."""
    words = ("--max-unreachable=60%",)
    done = start(pegasus, bad, "b", *words, hosts=HOSTS, queue=QUEUE).wait()
    assert done.status == 1
    assert "Going on without bad-[1-3]: 3 of 5 sub-nodes missing" in done.stderr
    assert "Missing, since they could not be reached: bad-[1-3] (3 of 5 sub-nodes)." in done.stderr
    assert "did not finish: 2 steps not done on bad-[1-3] (3 of 5 sub-nodes)." in done.stderr
    each = ["node-1 one", "node-1 two", "node-2 one", "node-2 two"]
    assert said_by(done) == each
    assert len(events(pegasus, "missing")) == 3
    status = pegasus.start_bare("status", f"--queue-file={pegasus.queue_file}").wait().stdout
    assert "Missing, since they could not be reached: bad-[1-3]" in status
    hosts = "- node-1\n- node-2\n- node-3\n"
    done = start(pegasus, bad, "b", "--resume", hosts=hosts, queue="[]\n").wait()
    assert done.status == 0, done.stderr
    assert said_by(done) == ["node-3 one", "node-3 two"]
    assert newest(pegasus)["resumes"] == events(pegasus, "run_started")[0]["run"]


@not_detached("a detached command outlives its connection")
def test_a_node_goes_down_in_the_middle(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """Its command is lost, the others go on, and it runs what it has missed once it is back."""
    nodes = make_nodes(3)
    queue = (
        "- echo one; [ {{ hostname }} != node-2 ] || [ -e ~/again ] || "
        "{ touch ~/again; sleep 60; }\n"
        "- echo two\n"
    )
    there = pegasus.on(nodes)
    running = there.start("b", "--max-unreachable=1", queue=queue)
    running.wait_for("] one", on="stdout", times=3)
    go_away(nodes[1])
    done = running.wait()
    assert done.status == 1
    assert "Going on without node-2: 1 of 3 sub-nodes missing" in done.stderr
    assert "5 commands: 4 succeeded, 1 lost." in done.stderr
    assert said_by(done) == ["one", "one", "one", "two", "two"]
    nodes[1].start()
    done = there.run("b", "--resume")
    assert done.status == 0, done.stderr
    assert re.findall(r"^\[(\S+)\] (.*)$", done.stdout, re.MULTILINE) == [
        ("node-2", "one"),
        ("node-2", "two"),
    ]


def test_a_batch(pegasus: Pegasus) -> None:
    """A step runs on so many sub-nodes at a time, in the order of the hosts file."""
    done = pegasus.run("b", "--batch=25%", hosts=localhosts(8), queue="- sleep 0.1\n- sleep 0.1\n")
    assert done.status == 0
    running, most = 0, 0
    for event in events(pegasus, "started", "ended"):
        running += 1 if event["event"] == "started" else -1
        most = max(most, running)
    assert most == 2
    order = [event["sub_node"] for event in events(pegasus, "started")]
    assert order == [*range(8)] * 2


def test_a_drain_within_a_batch(run_desk: RunDesk) -> None:
    """Ctrl-C lets end what runs; the others never start, and --resume runs the step there."""
    there = run_desk.there
    running = there.start("b", "--batch=1", hosts=localhosts(3), queue=gated("a"))
    running.wait_for("a begins", on="stdout")
    running.signal()
    running.wait_for("nothing more is taken")
    run_desk.open("a")
    done = running.wait()
    assert done.status == 130
    assert "3 commands: 1 succeeded, 2 not started." in done.stderr
    rest = "1 step not done on localhost (i=1), localhost (i=2) (2 of 3 sub-nodes)."
    assert f"The broadcast did not finish: {rest}" in done.stderr
    done = there.run("b", "--resume", "--batch=1")
    assert done.status == 0, done.stderr
    assert re.findall(r"\(i=(\d)\)\] a ends", done.stdout) == ["1", "2"]
