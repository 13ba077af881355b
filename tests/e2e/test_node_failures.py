"""Nodes that can't be reached, nodes that go away and come back, and sshd's own limits."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.runner import Pegasus, Running
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
"""What ssh says of each kind of failure."""


class Ssh:
    """A configuration of ssh's that is being put together.

    Attributes:
        path: of the file.
    """

    def __init__(self, folder: Path, nodes: Nodes) -> None:
        self.path = folder / "my_ssh_config"
        self._nodes = nodes
        self._blocks: list[str] = []
        self._write()

    def host(self, name: str, **settings: object) -> None:
        """Add what is said of a host; what is said first wins."""
        lines = [f"  {key} {value}" for key, value in settings.items()]
        self._blocks.append("\n".join([f"Host {name}", *lines]))
        self._write()

    def like(self, name: str, node: Node, **settings: object) -> None:
        """Add a name for a test node."""
        own = {"HostName": node.address, "Port": node.port, "User": node.user}
        self.host(name, **settings, **{k: v for k, v in own.items() if k not in settings})

    def _write(self) -> None:
        others = f'  ConnectTimeout 1\n  Include "{self._nodes.ssh_config}"'
        blocks = [*self._blocks, f"Host * !bad*\n{others}", "Host bad*\n  ConnectTimeout 1"]
        self.path.write_text("\n".join([*blocks, ""]))


@pytest.fixture
def ssh(pegasus: Pegasus) -> Ssh:
    """Ssh's configuration: the test nodes, and what the test adds."""
    return Ssh(pegasus.folder, pegasus.nodes)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a listener that lets everybody in and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a listener that does not even answer, as its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(params=list(KINDS))
def bad(request: pytest.FixtureRequest, ssh: Ssh, pegasus: Pegasus, silent: int) -> str:
    """A host called ``bad`` that can't be reached in one way or another: give what ssh says."""
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


def closed_port() -> int:
    """Give a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_key(path: Path) -> Path:
    """Make a key pair that nobody knows."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    return path


def start(pegasus: Pegasus, ssh: Ssh, mode: str, *more: str, hosts: str, queue: str) -> Running:
    """Start a run with a configuration of ssh's own."""
    pegasus.hosts_file.write_text(hosts)
    pegasus.queue_file.write_text(queue)
    return pegasus.start_bare(mode, *pegasus.files()[:2], f"--ssh-config={ssh.path}", *more)


def events(pegasus: Pegasus, *kinds: str) -> list[dict[str, Any]]:
    """Give what the journals of all runs say so far of some kinds of events."""
    found: list[dict[str, Any]] = []
    for path in sorted(pegasus.folder.glob(".pegasus/*/journal.jsonl")):
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
        found += [event for event in map(json.loads, lines) if event["event"] in kinds]
    return found


def outcomes(pegasus: Pegasus) -> Counter[str]:
    """Count how jobs ended, by kind."""
    return Counter(event["outcome"]["kind"] for event in events(pegasus, "ended"))


# At the start.


def test_a_bad_node_is_named_once_and_the_others_work(pegasus: Pegasus, ssh: Ssh, bad: str) -> None:
    """A node that can't be reached is named once, in ssh's words, and tried again and again."""
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
    assert {event["sub_node"] for event in events(pegasus, "ended")} == {1}


@MODES
def test_no_node_at_all(pegasus: Pegasus, ssh: Ssh, bad: str, mode: str) -> None:
    """Where no node can be reached the run ends with status 2, and the queue is as it was."""
    done = start(pegasus, ssh, mode, hosts="- bad\n- bad-2\n", queue=QUEUE).wait()
    assert done.status == 2
    assert re.search(bad, done.stderr)
    assert "nothing was taken" in done.stderr
    assert "Traceback" not in done.stderr
    assert pegasus.queue_file.read_text() == QUEUE
    assert not pegasus.consumed_file.exists()


def test_a_broadcast_needs_every_node(pegasus: Pegasus, ssh: Ssh, bad: str) -> None:
    """In a broadcast one node that can't be reached is enough: status 2, nothing taken."""
    done = start(pegasus, ssh, "b", hosts="- node-1\n- bad\n- node-3\n", queue=QUEUE).wait()
    assert done.status == 2
    assert re.search(bad, done.stderr)
    assert "bad can't be reached, and a broadcast needs every sub-node" in done.stderr
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
    config, hosts = Ssh(pegasus.folder, nodes), "- node-1\n- node-2\n"
    running = start(pegasus, config, "q", hosts=hosts, queue=queue)
    running.wait_for("node-2 cannot be reached")
    running.wait_for("=== run")
    nodes[1].start()
    assert "[node-2] from node-2" in running.wait_for("from node-2", on="stdout")
    (nodes[0].home / "go-on").touch()
    assert running.wait().status == 0


# In the middle of a run.


def hurt_by_kill(node: Node) -> None:
    """Let a node go down, and come up at once."""
    node.kill()
    node.start()


@pytest.mark.parametrize("hurt", [hurt_by_kill, Node.kill_sessions], ids=["node", "sshd"])
def test_what_ran_there_is_lost_and_the_node_works_again(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], hurt: Callable[[Node], None]
) -> None:
    """A job whose connection broke is lost: said, recorded, and not run again; status 1.

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


def test_a_run_ends_whose_last_node_is_gone_for_good(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """When nothing is left to do, no node is waited for: the job is lost, and the run is over."""
    nodes = make_nodes(1)
    running = pegasus.on(nodes).start("q", queue="- echo on; exec sleep 600\n")
    running.wait_for("] on", on="stdout")  # a job that has not begun would be tried again
    nodes[0].kill()
    done = running.wait()
    assert done.status == 1
    assert "1 command: 1 lost." in done.stderr


def test_a_broadcast_goes_on_when_the_node_is_back(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """In a broadcast a node that went down misses no step but the one that it went down in."""
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


# Limits.

STOCK = {"MaxStartups": "10:30:100", "MaxSessions": 10}


def test_forty_sub_nodes_on_one_host(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """Forty sub-nodes on one host all connect, within what a stock sshd allows."""
    nodes = make_nodes(1, options=STOCK)
    numbers = ", ".join(map(str, range(40)))
    hosts = f"- hostname: node-1\n  gpu: [{numbers}]\n"
    # The first forty end when there are forty of them at the same time.
    queue = (
        "- command: 'echo {{ n }} >> ~/notes; touch ~/at-{{ gpu }}; "
        "until set -- ~/at-* && [ $# -ge 40 ]; do sleep 0.3; done'\n"
        f"  n: [{', '.join(map(str, range(80)))}]\n"
    )
    done = pegasus.on(nodes).run("q", "-p", "0", hosts=hosts, queue=queue, limit=90)
    assert done.status == 0
    assert "80 commands: 80 succeeded." in done.stderr
    notes = (nodes[0].home / "notes").read_text().split()
    assert sorted(map(int, notes)) == list(range(80))
    assert len({event["sub_node"] for event in events(pegasus, "connected")}) == 40
    assert "past MaxStartups" not in nodes[0].log()


@pytest.mark.parametrize("where", ["localhost", "nodes"])
def test_a_low_limit_of_open_files(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], where: str
) -> None:
    """With more sub-nodes than open files allow, those that there is room for do all the work.

    The others are told of, with what to do; nothing is lost and nothing is a traceback.
    """
    nodes = make_nodes(2, options={"MaxStartups": 1000})
    limit, count = (256, 80) if where == "localhost" else (192, 32)
    names = "localhost" if where == "localhost" else "[node-1, node-2]"
    numbers = ", ".join(str(i) for i in range(count if where == "localhost" else count // 2))
    queue = (
        f"- command: echo ran {{{{ n }}}}; sleep 0.2\n  n: [{', '.join(map(str, range(100)))}]\n"
    )
    pegasus.hosts_file.write_text(f"- hostname: {names}\n  place: [{numbers}]\n")
    pegasus.queue_file.write_text(queue)
    config = f"--ssh-config={nodes.ssh_config}"
    words = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *pegasus.program]
    done = subprocess.run(
        [*words, "q", *pegasus.files()[:2], config],
        cwd=pegasus.folder,
        env=pegasus.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert "Traceback" not in done.stderr
    assert "Raise the limit of open files" in done.stderr
    assert done.returncode == 0, done.stderr
    ran = Counter(re.findall(r"ran (\d+)$", done.stdout, re.MULTILINE))
    assert ran == Counter(map(str, range(100)))


# The user's own configuration of ssh.


def test_aliases_ports_and_jumps(
    pegasus: Pegasus, ssh: Ssh, make_nodes: Callable[..., Nodes]
) -> None:
    """What the user's configuration says of a name holds: host, port, key, the way there."""
    nodes = make_nodes(2)
    config = Ssh(pegasus.folder, nodes)
    config.like("desk", nodes[0], ServerAliveInterval=7)
    config.like("behind", nodes[1], ProxyJump="desk")
    hosts, queue = "- behind\n- desk\n", "- echo I am $HOME\n"
    done = start(pegasus, config, "b", hosts=hosts, queue=queue).wait()
    assert done.status == 0
    said = {f"[behind] I am {nodes[1].home}", f"[desk] I am {nodes[0].home}"}
    assert set(done.stdout.splitlines()) == said
    assert nodes[0].connections() == 2  # one to work there, one to pass through
    assert nodes[1].connections() == 1


def test_no_setting_of_the_users_breaks_a_run(pegasus: Pegasus, ssh: Ssh) -> None:
    """Settings that are good for a person at a terminal do no harm here."""
    touched = pegasus.folder / "touched"
    ssh.host(
        "node-*",
        ControlMaster="auto",
        ControlPath=pegasus.folder / "cm-%C",
        ControlPersist="yes",
        RemoteCommand="echo remote",
        RequestTTY="force",
        PermitLocalCommand="yes",
        LocalCommand=f"touch {touched}",
        LocalForward="1 localhost:1",
        ExitOnForwardFailure="yes",
        VisualHostKey="yes",
        LogLevel="QUIET",
        ForwardX11="yes",
        ServerAliveInterval="9",
        BatchMode="no",
        SessionType="none",
        StdinNull="yes",
        ForkAfterAuthentication="yes",
        EscapeChar="a",
        TCPKeepAlive="no",
        Compression="yes",
    )
    done = start(pegasus, ssh, "q", hosts="- node-1\n- node-2\n", queue=QUEUE).wait()
    assert done.status == 0, done.stderr
    said = sorted(line.partition("] ")[2] for line in done.stdout.splitlines())
    assert said == ["ran 1", "ran 2"]
    assert not touched.exists()
    assert not list(pegasus.folder.glob("cm-*"))


def test_the_users_own_keep_alive_holds(
    pegasus: Pegasus, ssh: Ssh, make_nodes: Callable[..., Nodes]
) -> None:
    """A dead node is noticed as soon as the user's own ``ServerAliveInterval`` notices it."""
    nodes = make_nodes(2)
    config = Ssh(pegasus.folder, nodes)
    config.host("node-*", ServerAliveInterval=1, ServerAliveCountMax=1)
    running = start(pegasus, config, "q", hosts="- node-1\n", queue="- sleep 600\n- echo next\n")
    running.wait_for("=== run")
    nodes[0].pause()
    running.wait_for("=== done (lost: ", limit=20)
    nodes[0].resume()
    running.wait_for("] next", on="stdout")
    assert running.wait().status == 1
    wait_until(partial(_nothing_lives, nodes[0]), what="the lost command to end")


def _nothing_lives(node: Node) -> bool:
    return not node.living()
