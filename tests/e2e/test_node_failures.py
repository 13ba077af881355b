"""Nodes that cannot be reached, and nodes that fail and return during a run."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.journals import events, outcomes
from tests.e2e.runner import Pegasus
from tests.e2e.ssh_config import SshConfig, closed_port, make_key, start
from tests.nodes import Node, Nodes, wait_until

MODES = pytest.mark.parametrize("mode", ["q", "b"])

QUEUE = "# stays\n- command: echo ran {{ n }}\n  n: [1, 2]\n"

KINDS = {
    "unreachable": "Connection timed out",
    "refused": "Connection refused",
    "wrong key": r"Permission denied \(publickey\)",
    "changed host key": "Host key verification failed",
    "unknown name": "Could not resolve hostname|Name or service not known",
    "silent": "timed out during banner exchange",
}
"""The message of ssh for each kind of failure."""


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a listener that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a listener that does not answer, as its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(params=list(KINDS))
def bad(request: pytest.FixtureRequest, ssh: SshConfig, pegasus: Pegasus, silent: int) -> str:
    """A host called ``bad`` that is unreachable in one of the ways; returns ssh's message."""
    node, folder = pegasus.nodes[1], pegasus.folder
    match request.param:
        case "unreachable":
            ssh.host("bad*", HostName="127.0.0.1", Port=request.getfixturevalue("deaf"))
        case "refused":
            ssh.host("bad*", HostName="127.0.0.1", Port=closed_port())
        case "wrong key":
            key = make_key(folder / "stranger")
            ssh.like("bad*", node, IdentityFile=key, IdentitiesOnly="yes", IdentityAgent="none")
        case "changed host key":
            public = make_key(folder / "other").with_suffix(".pub").read_text()
            where = node.address if node.port == 22 else f"[{node.address}]:{node.port}"
            (folder / "known").write_text(f"{where} {public}")
            ssh.like("bad*", node, UserKnownHostsFile=folder / "known")
        case "unknown name":
            ssh.host("bad*", HostName="no-such-host.invalid")
        case "silent":
            ssh.host("bad*", HostName="127.0.0.1", Port=silent)
    return KINDS[request.param]


def test_a_bad_node_is_named_once_and_the_others_work(
    pegasus: Pegasus, ssh: SshConfig, bad: str
) -> None:
    """An unreachable node is named once, with ssh's message, and tried repeatedly."""
    queue = "- until [ -e ~/go-on ]; do sleep 0.05; done\n" + QUEUE
    running = start(pegasus, ssh, "q", hosts="- bad\n- node-1\n", queue=queue)
    wait_until(lambda: len(events(pegasus, "unreachable")) >= 3, limit=30, what="three tries")
    go_on = pegasus.nodes[0].home / "go-on"
    go_on.touch()
    done = running.wait()
    go_on.unlink()
    assert done.status == 0
    assert done.stdout == "[node-1] ran 1\n[node-1] ran 2\n"
    named = re.findall(r"^\[Pegasus\] bad cannot be reached.*$", done.stderr, re.MULTILINE)
    assert len(named) == 1
    assert re.search(bad, done.stderr)
    assert done.stderr.count("ssh-keygen -R") == (bad == KINDS["changed host key"])
    assert done.stderr.count("type `ssh-add`") == (bad == KINDS["wrong key"])
    assert {event["sub_node"] for event in events(pegasus, "ended")} == {1}


@MODES
def test_no_node_at_all(pegasus: Pegasus, ssh: SshConfig, bad: str, mode: str) -> None:
    """Where no node is reachable the run ends with status 2 and an unchanged queue."""
    done = start(pegasus, ssh, mode, hosts="- bad\n- bad-2\n", queue=QUEUE).wait()
    assert done.status == 2
    assert re.search(bad, done.stderr)
    assert "nothing was taken" in done.stderr
    assert "Traceback" not in done.stderr
    assert pegasus.queue_file.read_text() == QUEUE
    assert not pegasus.consumed_file.exists()


def test_a_broadcast_needs_every_node(pegasus: Pegasus, ssh: SshConfig, bad: str) -> None:
    """In a broadcast one unreachable node suffices: status 2, nothing taken."""
    done = start(pegasus, ssh, "b", hosts="- node-1\n- bad\n- node-3\n", queue=QUEUE).wait()
    assert done.status == 2
    assert re.search(bad, done.stderr)
    assert "bad cannot be reached, and a broadcast needs every sub-node" in done.stderr
    assert done.stdout == ""
    assert pegasus.queue_file.read_text() == QUEUE
    assert not pegasus.consumed_file.exists()


def test_a_node_that_comes_up_late_joins(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """A node that is down at the start works as soon as it is up."""
    nodes = make_nodes(2)
    nodes[1].kill()
    queue = "- until [ -e ~/go-on ]; do sleep 0.05; done\n- 'echo from {{ hostname }}'\n"
    config, hosts = SshConfig(pegasus.folder, nodes), "- node-1\n- node-2\n"
    running = start(pegasus, config, "q", hosts=hosts, queue=queue)
    running.wait_for("node-2 cannot be reached")
    running.wait_for("=== run")
    nodes[1].start()
    assert "[node-2] from node-2" in running.wait_for("from node-2", on="stdout")
    (nodes[0].home / "go-on").touch()
    assert running.wait().status == 0


def hurt_by_kill(node: Node) -> None:
    """Take a node down and start it again at once."""
    node.kill()
    node.start()


@not_detached("detached commands outlive their connection")
@pytest.mark.parametrize("hurt", [hurt_by_kill, Node.kill_sessions], ids=["node", "sshd"])
def test_what_ran_there_is_lost_and_the_node_works_again(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], hurt: Callable[[Node], None]
) -> None:
    """A job whose connection broke is lost: reported, recorded, and not run again; status 1.

    The node is connected to again and gets the next job.
    """
    nodes = make_nodes(1)
    queue = "- echo begun >> ~/notes; exec sleep 600\n- echo next\n"
    running = pegasus.on(nodes).start("q", queue=queue)
    running.wait_for("=== run")
    notes = nodes[0].home / "notes"
    wait_until(notes.exists, what="the job to begin")
    hurt(nodes[0])
    done = running.wait()
    assert done.status == 1
    assert "=== done (lost: " in done.stderr
    assert "2 commands: 1 succeeded, 1 lost." in done.stderr
    assert done.stdout == "[node-1] next\n"
    assert outcomes(pegasus) == {"lost": 1, "exited": 1}
    assert notes.read_text() == "begun\n"
    wait_until(lambda: not nodes[0].living(), what="the lost command to end")


@not_detached("a run waits for its detached commands")
def test_a_run_ends_whose_last_node_is_gone_for_good(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """When no work is left, the run waits for no node: the job is lost, and the run is over."""
    nodes = make_nodes(1)
    running = pegasus.on(nodes).start("q", queue="- echo on; exec sleep 600\n")
    running.wait_for("] on", on="stdout")  # a job that has not begun would be tried again
    nodes[0].kill()
    done = running.wait()
    assert done.status == 1
    assert "1 command: 1 lost." in done.stderr


@not_detached("a keeper that dies last records what was killed before it")
def test_a_broadcast_goes_on_when_the_node_is_back(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """In a broadcast a node that went down misses only the step during which it went down."""
    nodes = make_nodes(2)
    queue = (
        "- echo {{ hostname }} >> ~/notes; until [ -e ~/go-on ]; do sleep 0.05; done\n- echo 2\n"
    )
    running = pegasus.on(nodes).start("b", queue=queue)
    running.wait_for("=== run", times=2)
    for node in nodes:
        wait_until((node.home / "notes").exists, what="the jobs to begin")
    hurt_by_kill(nodes[1])
    for node in nodes:
        (node.home / "go-on").touch()
    done = running.wait()
    assert done.status == 1
    assert sorted(done.stdout.splitlines()) == ["[node-1] 2", "[node-2] 2"]
    assert outcomes(pegasus) == {"exited": 3, "lost": 1}
    assert [(node.home / "notes").read_text() for node in nodes] == ["node-1\n", "node-2\n"]
