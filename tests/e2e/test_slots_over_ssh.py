"""Queues on nodes with slots, over SSH: what a command is told, and its ends."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.e2e.journals import outcomes
from tests.e2e.lanes import LANES, masters
from tests.e2e.leftovers import Traces
from tests.e2e.runner import Pegasus, Running
from tests.nodes import Node, Nodes, wait_until
from tests.nodes.processes import kill

MakeNodes = Callable[..., Nodes]

HOSTS = f"- hostname: node-1\n  slots: {{seat: 0-{LANES - 1}}}\n"
LONG = (
    "- command: 'echo > ~/at-{{ seat }}; until [ -e ~/go ]; do sleep 0.2; done; echo {{ n }}'\n"
    f"  n: [{', '.join(map(str, range(2 * LANES)))}]\n"
)
"""Commands that run until the test lets them end."""


def start(pegasus: Pegasus, node: Node, *arguments: str, queue: str = LONG) -> Running:
    """Start a run, and wait until each slot has a command."""
    running = pegasus.start("q", *arguments, hosts=HOSTS, queue=queue)
    wait_until(
        lambda: len(list(node.home.glob("at-*"))) == LANES, limit=30, what="a command in each slot"
    )
    return running


@pytest.mark.parametrize(("sessions", "most"), [(10, 4), (3, 8), (1, 19)])
@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["", "detached"])
def test_each_slot_has_a_command(
    pegasus: Pegasus, make_nodes: MakeNodes, sessions: int, most: int, options: tuple[str, ...]
) -> None:
    """All slots are in use at once, whatever MaxSessions is, and the node is never away."""
    nodes = make_nodes(1, options={"MaxSessions": sessions, "MaxStartups": "10:30:100"})
    running = start(pegasus.on(nodes), nodes[0], *options)
    (nodes[0].home / "go").touch()
    done = running.wait()
    assert done.status == 0, done.stderr
    assert f"{2 * LANES} commands: {2 * LANES} succeeded." in done.stderr
    said = re.findall(r"\] (\d+)$", done.stdout, re.MULTILINE)
    assert sorted(map(int, said)) == list(range(2 * LANES))
    assert "cannot be reached" not in done.stderr
    assert nodes[0].connections() <= most


@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["", "detached"])
def test_what_a_command_is_told(pegasus: Pegasus, nodes: Nodes, options: tuple[str, ...]) -> None:
    """A command has the text of its slots in its environment, and what it takes none of."""
    queue = (
        '- command: \'echo "<{{ seat }}>" "<$PEGASUS_SLOTS_SEAT>" "<$PEGASUS_SLOTS_BIG_ONE>"\'\n'
        "  needs: {seat: 2}\n"
        "- echo {{ seat.count }} ${CUDA_VISIBLE_DEVICES-unset}\n"
    )
    hosts = "- hostname: node-1\n  slots: {seat: [a, b], big-one: 1}\n"
    done = pegasus.run("q", *options, hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    assert "<a,b> <a,b> <>\n" in done.stdout
    assert "] 1 unset\n" in done.stdout


def test_a_connection_breaks(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """Only the commands of a connection that breaks are lost; their slots are used again."""
    nodes = make_nodes(1)
    running = start(pegasus.on(nodes), nodes[0])
    kill(masters(running.pid)[0])
    wait_until(lambda: outcomes(pegasus)["lost"] > 0, limit=30, what="lost commands")
    (nodes[0].home / "go").touch()
    done = running.wait()
    found = outcomes(pegasus)
    assert done.status == 1
    assert found["lost"] <= LANES // 2
    assert found["exited"] == 2 * LANES - found["lost"]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_interrupted(pegasus: Pegasus, make_nodes: MakeNodes, times: int) -> None:
    """Ctrl-C drains, aborts and kills many commands of one node as it does one."""
    nodes = make_nodes(1, options={"MaxSessions": 3})
    running = start(pegasus.on(nodes), nodes[0])
    for count in range(1, times + 1):
        running.signal(signal.SIGINT)
        if count == 1:
            running.wait_for("nothing more is taken", on="stderr")
    if times == 1:
        (nodes[0].home / "go").touch()
    assert running.wait().status == 130
    assert outcomes(pegasus) == {"exited" if times == 1 else "cancelled": LANES}
    wait_until(lambda: not nodes[0].living(), limit=10, what="the end of all commands")


def test_killed(pegasus: Pegasus, make_nodes: MakeNodes, nothing_left: Traces) -> None:
    """After kill -9 no command lives for more than ten seconds; the next run uses all slots."""
    nodes = make_nodes(1)
    running = start(pegasus.on(nodes), nodes[0])
    running.signal(signal.SIGKILL)
    running.wait(afterwards=10)
    wait_until(lambda: not nodes[0].living(), limit=10, what="the end of all commands")
    assert nothing_left.wait_until_gone() == []
    for path in nodes[0].home.glob("at-*"):
        path.unlink()
    again = start(pegasus.on(nodes), nodes[0], queue=LONG)
    (nodes[0].home / "go").touch()
    done = again.wait()
    assert done.status == 0, done.stderr
