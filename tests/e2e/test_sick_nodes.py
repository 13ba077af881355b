"""Sub-nodes that are removed, drop each connection, or start nothing, beside healthy ones."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes, wait_until

MakeNodes = Callable[..., Nodes]

DROPPING = "( sleep 0.5; kill -9 $PPID ) > /dev/null 2>&1 < /dev/null &\n"
"""A start-up file that kills the sshd of its session soon after login."""

MANY = 20

SPOILING = """\
- |
  [ {{ hostname }} = localhost ] || echo 'ulimit -n FILES' > ~/.bashrc
  echo first; sleep 2.1
- echo second
- echo third
"""
"""The first job breaks the shells of its node: with 12 open files they end as soon as they are
ready, with 13 they take a command and cannot begin it. They break only after a job has run, since
it is open whether a shell that ends so soon is seen ready: a run that has taken nothing ends where
it is not. The job takes more than two seconds, after which the next one always gets a new shell;
after less time it may get the same one."""


def journal(pegasus: Pegasus, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind from the journal of the one run."""
    paths = list(pegasus.folder.glob(".pegasus/*/journal.jsonl"))
    lines = [line for path in paths for line in path.read_bytes().split(b"\n")[:-1]]
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_a_retry_does_not_wait_for_a_node_that_was_removed(
    pegasus: Pegasus, make_nodes: MakeNodes
) -> None:
    """A failed job whose other node left hosts.yaml is tried again where it failed."""
    nodes = make_nodes(2)
    queue = "- echo begun >> ~/notes; until [ -e ~/go-on ]; do sleep 0.05; done; exit 7\n"
    hosts = "- node-1\n- node-2\n"
    running = pegasus.on(nodes).start("q", "--retries", "1", hosts=hosts, queue=queue)
    wait_until(lambda: any((n.home / "notes").exists() for n in nodes), what="the job to begin")
    wait_until(lambda: all(node.sshds() for node in nodes), what="both nodes to be connected")
    busy, idle = sorted(nodes, key=lambda node: not (node.home / "notes").exists())
    pegasus.hosts_file.write_text(f"- {busy.name}\n")
    wait_until(lambda: not idle.sshds(), what="the other node to leave")
    (busy.home / "go-on").touch()
    done = running.wait()
    assert done.status == 1
    assert (busy.home / "notes").read_text() == "begun\nbegun\n"
    assert not (idle.home / "notes").exists()
    assert "1 command: 1 failed." in done.stderr


@not_detached("no job is lost with its connection")
def test_a_node_that_drops_each_connection(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """A node that drops connections soon after login leaves the queue to the healthy one."""
    nodes = make_nodes(1, shells=("bash",))
    (nodes[0].home / ".bashrc").write_text(DROPPING)
    queue = f"- command: sleep 1 # {{{{ n }}}}\n  n: [{', '.join(map(str, range(MANY)))}]\n"
    done = pegasus.on(nodes).run("q", hosts="- localhost\n- node-1\n", queue=queue, limit=90)
    assert done.status == 1
    kinds = Counter(event["outcome"]["kind"] for event in journal(pegasus, "ended"))
    assert kinds.total() == MANY
    assert 1 <= kinds["lost"] <= 4
    assert done.stderr.count("node-1 lost 3 jobs in a row") == (kinds["lost"] >= 3)
    assert done.stderr.count("node-1 cannot be reached") <= 2 * kinds["lost"]
    (nodes[0].home / ".bashrc").unlink()


@not_detached("one shell starts all detached commands")
@pytest.mark.parametrize("files", ["12", "13"])
@pytest.mark.parametrize("mode", ["q", "b"])
def test_a_node_on_which_nothing_begins(
    pegasus: Pegasus, make_nodes: MakeNodes, mode: str, files: str
) -> None:
    """A node on which no command begins costs no job; the reason is not repeated.

    Its delays grow. In a broadcast the step waits for it; once it is repaired all is run.
    """
    nodes = make_nodes(1, shells=("bash",))
    hosts = "- localhost\n- node-1\n" if mode == "b" else "- node-1\n"
    queue = SPOILING.replace("FILES", files)
    running = pegasus.on(nodes).start(mode, hosts=hosts, queue=queue)
    tries = partial(journal, pegasus, "unreachable")
    wait_until(lambda: len(tries()) >= 3, limit=60, what="three tries")
    assert max(event["again_in"] for event in tries()) >= 3
    (nodes[0].home / ".bashrc").unlink()
    done = running.wait(90)
    assert done.status == 0, done.stderr
    each = ["localhost", "node-1"] if mode == "b" else ["node-1"]
    lines = done.stdout.splitlines()
    steps = [sorted(lines[at : at + len(each)]) for at in range(0, len(lines), len(each))]
    words = ("first", "second", "third")
    assert steps == [[f"[{name}] {word}" for name in each] for word in words]
    told = re.findall(
        r" cannot be reached, trying again in \d+ s: (.*)$", done.stderr, re.MULTILINE
    )
    assert max(Counter(told).values()) <= 2, told
