"""Connections to many, busy or strict hosts: within sshd's limits, with few messages."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.journals import events, outcomes
from tests.e2e.runner import Pegasus, Running
from tests.e2e.ssh_config import SshConfig, make_key, start
from tests.nodes import Node, Nodes, wait_until
from tests.nodes.proxy import Proxy

MakeNodes = Callable[..., Nodes]
STRICT = {"MaxStartups": "10:100:10"}
"""Refuses each connection beyond the ten that a stock sshd certainly accepts."""

WIDTH = 16
BAD = f"- hostname: bad\n  gpu: [{', '.join(map(str, range(WIDTH)))}]\n"
BANNER = "****\nAuthorised use only. Access is denied to all others.\n****\n"
CANNOT = re.compile(
    r"^\[Pegasus\] (\S+) cannot be reached, (?:trying again in \d+ s|giving up): (.*)$",
    re.MULTILINE,
)


def patient(pegasus: Pegasus, nodes: Nodes) -> SshConfig:
    """Return a configuration for nodes that may be busy: these tests accept slow answers."""
    config = SshConfig(pegasus.folder, nodes)
    config.host("*", ConnectTimeout=20)
    return config


def spellings(config: SshConfig, node: Node) -> list[str]:
    """Return four names of one node, each of several sub-nodes."""
    config.like("other-name", node)
    names = ["node-1", f"{node.user}@node-1", f"ssh://{node.user}@{node.address}:{node.port}"]
    return [f"hostname: {name}\n  place: [1, 2, 3, 4, 5]" for name in [*names, "other-name"]]


def aliases(config: SshConfig, node: Node) -> list[str]:
    """Return twenty names of one node."""
    config.like("alias-*", node)
    return [f"alias-{number}" for number in range(20)]


@pytest.mark.parametrize("names", [spellings, aliases])
def test_however_a_host_is_spelled(
    pegasus: Pegasus, make_nodes: MakeNodes, names: Callable[[SshConfig, Node], list[str]]
) -> None:
    """Connections are counted for each sshd: none is refused."""
    nodes = make_nodes(1, options=STRICT)
    config = patient(pegasus, nodes)
    hosts = "".join(f"- {name}\n" for name in names(config, nodes[0]))
    done = start(pegasus, config, "b", hosts=hosts, queue="- echo hello\n").wait()
    assert done.status == 0, done.stderr
    assert len(done.stdout.splitlines()) == 20
    assert "past MaxStartups" not in nodes[0].log()


@pytest.mark.parametrize("setting", ["ProxyJump", "ProxyCommand"])
def test_behind_one_gateway(pegasus: Pegasus, make_nodes: MakeNodes, setting: str) -> None:
    """Connections are counted for the gateway as well, for all nodes behind it."""
    nodes = make_nodes(4, options=STRICT)
    config = patient(pegasus, nodes)
    gateway, *others = nodes
    config.like("gateway", gateway)
    by_command = f"ssh -F {nodes.ssh_config} -W %h:%p {gateway.name}"
    through = {setting: "gateway" if setting == "ProxyJump" else by_command}
    for node in others:
        config.like(f"behind-{node.name}-*", node, **through)
    hosts = "".join(f"- behind-{node.name}-{n}\n" for node in others for n in range(4))
    done = start(pegasus, config, "b", hosts=hosts, queue="- echo hello\n").wait()
    assert done.status == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12
    assert gateway.connections() == 12
    assert not [node for node in nodes if "past MaxStartups" in node.log()]


@pytest.mark.parametrize("mode", ["q", "b"])
def test_others_who_log_in(pegasus: Pegasus, make_nodes: MakeNodes, mode: str) -> None:
    """While others use the capacity of sshd, Pegasus reports that it tries again, and does so."""
    nodes = make_nodes(2, options={"MaxStartups": "3:100:3"})
    with ExitStack() as others:
        for _ in range(3):
            address = (nodes[0].address, nodes[0].port)
            other = others.enter_context(socket.create_connection(address))
            assert other.recv(4) == b"SSH-"
        hosts = "- hostname: node-1\n  place: [1, 2]\n" + ("- node-2\n" if mode == "b" else "")
        running = pegasus.on(nodes).start(mode, hosts=hosts, queue="- echo hello\n")
        running.wait_for("node-1 closes connections before login, trying again for up to 30 s: ")
        assert running.status is None
    done = running.wait()
    assert done.status == 0, done.stderr
    assert len(done.stdout.splitlines()) == (3 if mode == "b" else 1)
    assert "cannot be reached" not in done.stderr


def with_a_key_that_is_not_known(pegasus: Pegasus, nodes: Nodes, proxy: Proxy) -> SshConfig:
    """Make ``bad`` lead to the first node through a proxy, with a key that the node refuses."""
    config, node = patient(pegasus, nodes), nodes[0]
    key = make_key(pegasus.folder / "stranger")
    config.like(
        "bad",
        node,
        HostName="127.0.0.1",
        Port=proxy.port,
        UserKnownHostsFile=pegasus.folder / "known",
        IdentityFile=key,
        IdentitiesOnly="yes",
        IdentityAgent="none",
    )
    return config


def test_a_wrong_key_on_many_sub_nodes(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """One sub-node tries for all of a host; the first reason is reported once, and kept.

    An sshd that penalises this address for what failed resets all connections for some time: that
    does not hide the reason. When the key is known and the time is over, all sub-nodes connect.
    """
    nodes = make_nodes(2)
    with Proxy(nodes[0].address, nodes[0].port) as proxy:
        config = with_a_key_that_is_not_known(pegasus, nodes, proxy)
        proxy.refuse_after(8)
        running = start(
            pegasus,
            config,
            "q",
            hosts=f"{BAD}- node-2\n",
            queue="- until [ -e ~/go-on ]; do sleep 0.05; done\n",
        )
        running.wait_for("cannot be reached")
        wait_until(lambda: least_told(pegasus, WIDTH) >= 4, limit=40, what="four rounds")
        assert CANNOT.findall(running.stderr) == [
            ("bad", f"{nodes[0].user}@127.0.0.1: Permission denied (publickey).")
        ]
        assert "reset" not in running.stderr
        assert proxy.seen <= 8 + 4 + 2
        known = pegasus.folder / "stranger.pub"
        keys = nodes[0].home.parent / "authorized_keys"
        keys.write_text(keys.read_text() + known.read_text())
        proxy.pass_on()
        wait_until(lambda: len(connected(pegasus)) == WIDTH + 1, limit=60, what="all to connect")
        (nodes[1].home / "go-on").touch()
        (nodes[0].home / "go-on").touch()
        assert running.wait().status == 0
    assert running.stderr.count("bad is connected now") == 1


def least_told(pegasus: Pegasus, width: int) -> int:
    """Return the lowest number of reports to the first sub-nodes that they cannot connect."""
    told = [event["sub_node"] for event in events(pegasus, "unreachable")]
    return min(told.count(number) for number in range(width))


def connected(pegasus: Pegasus) -> set[int]:
    """Return the numbers of the connected sub-nodes."""
    return {event["sub_node"] for event in events(pegasus, "connected")}


@pytest.mark.parametrize(
    ("mode", "others", "verdict"),
    [
        ("q", "", "No node can be reached, nothing was taken."),
        ("b", "- node-2\n", "cannot be reached, and a broadcast needs every sub-node"),
    ],
)
def test_those_that_wait_count(
    pegasus: Pegasus, make_nodes: MakeNodes, mode: str, others: str, verdict: str
) -> None:
    """Sub-nodes for which another one tries count as unreachable as well: status 2."""
    nodes, queue = make_nodes(2), "- echo hello\n"
    with Proxy(nodes[0].address, nodes[0].port) as proxy:
        config = with_a_key_that_is_not_known(pegasus, nodes, proxy)
        done = start(pegasus, config, mode, hosts=BAD + others, queue=queue).wait()
    assert done.status == 2
    assert verdict in done.stderr
    assert "Permission denied (publickey)." in done.stderr
    assert len(CANNOT.findall(done.stderr)) == 1
    assert proxy.seen <= 8
    assert pegasus.queue_file.read_text() == queue


# Messages of ssh and of the node.


def chatty(pegasus: Pegasus, make_nodes: MakeNodes, how: str) -> tuple[SshConfig, Nodes, Path]:
    """Return nodes that print much at each connection, and a folder of programs."""
    programs = pegasus.folder / "programs"
    nodes = make_nodes(1)
    config, node = patient(pegasus, nodes), nodes[0]
    programs.mkdir()
    if how == "banner":
        (node.home / "banner").write_text(BANNER)
        settings = node.home.parent / "sshd_config"
        settings.write_text(f"Banner {node.home}/banner\n{settings.read_text()}")
        node.kill()
        node.start()
        assert BANNER in node.ssh("true").stderr.decode()
    elif how == "warnings":
        wrapper = programs / "ssh"
        wrapper.write_text(
            "#!/bin/sh\n"
            'echo "** WARNING: connection is not using a post-quantum key exchange." >&2\n'
            'echo "** This session may be vulnerable to Authorised attacks." >&2\n'
            'echo "** The server may need to be upgraded." >&2\n'
            f'exec {shutil.which("ssh")} "$@"\n'
        )
        wrapper.chmod(0o755)
    elif how == "proxy":
        relay = f"ssh -F {nodes.ssh_config} -W {node.address}:{node.port} node-1"
        gateway = programs / "gateway"
        gateway.write_text(f"#!/bin/sh\necho 'Authorised: denied to others' >&2\nexec {relay}\n")
        gateway.chmod(0o755)
        config.host("node-1 bad", ProxyCommand=gateway)
    return config, nodes, programs


def start_chatty(
    pegasus: Pegasus, config: SshConfig, programs: Path, queue: str, host: str = "node-1"
) -> Running:
    """Start a run that finds its programs in a folder of the test first."""
    pegasus.hosts_file.write_text(f"- {host}\n")
    pegasus.queue_file.write_text(queue)
    path = f"{programs}:{pegasus.environment.get('PATH', os.defpath)}"
    files = [*pegasus.files()[:2], f"--ssh-config={config.path}"]
    return pegasus.start_bare("q", *files, environment={"PATH": path})


CHATTY = pytest.mark.parametrize("how", ["banner", "warnings", "proxy"])


@CHATTY
def test_what_is_said_of_a_loss(pegasus: Pegasus, make_nodes: MakeNodes, how: str) -> None:
    """The message about a loss contains what was printed after the connection, without banners."""
    config, nodes, programs = chatty(pegasus, make_nodes, how)
    queue = "- touch ~/begun; exec sleep 600\n- echo next\n"
    running = start_chatty(pegasus, config, programs, queue)
    wait_until((nodes[0].home / "begun").exists, what="the job to begin")
    nodes[0].kill_sessions()
    done = running.wait()
    assert done.status == 1
    assert outcomes(pegasus) == {"lost": 1, "exited": 1}
    assert "=== done (lost: " in done.stderr
    lost = next(event["outcome"] for event in events(pegasus, "ended"))
    assert lost["words"]
    for words in (done.stderr, str(events(pegasus, "ended", "unreachable"))):
        assert "Authorised" not in words
        assert "**" not in words
        assert "WARNING" not in words


@CHATTY
def test_what_is_said_of_a_refusal(pegasus: Pegasus, make_nodes: MakeNodes, how: str) -> None:
    """The message about a refusal is the last message of ssh."""
    config, nodes, programs = chatty(pegasus, make_nodes, how)
    key = make_key(pegasus.folder / "stranger")
    own = {"IdentityFile": key, "IdentitiesOnly": "yes", "IdentityAgent": "none"}
    config.like("bad", nodes[0], UserKnownHostsFile=pegasus.folder / "known", **own)
    done = start_chatty(pegasus, config, programs, "- echo hello\n", "bad").wait()
    assert done.status == 2
    who = f"{nodes[0].user}@{nodes[0].address}"
    assert CANNOT.findall(done.stderr) == [("bad", f"{who}: Permission denied (publickey).")]
    assert "Authorised" not in done.stderr


def test_what_is_said_of_another_host_key(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """The message about a changed host key names the line of the old one, on one line."""
    nodes = make_nodes(1)
    config, node, known = patient(pegasus, nodes), nodes[0], pegasus.folder / "known"
    public = make_key(pegasus.folder / "other").with_suffix(".pub").read_text()
    where = node.address if node.port == 22 else f"[{node.address}]:{node.port}"
    known.write_text(f"{where} {public}")
    config.like("node-1", node, UserKnownHostsFile=known)
    done = start(pegasus, config, "q", hosts="- node-1\n", queue="- echo hello\n").wait()
    assert done.status == 2
    ((_, words),) = CANNOT.findall(done.stderr)
    assert words.startswith("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!; ")
    assert f"Offending ED25519 key in {known}:1" in words
    assert words.endswith("Host key verification failed.")
    assert "@@" not in done.stderr


# The folder of the control sockets.


@pytest.mark.parametrize("removed", ["folder", "configuration", "place"])
def test_a_folder_that_is_removed(
    pegasus: Pegasus, make_nodes: MakeNodes, runtime_folder: Path, removed: str
) -> None:
    """Pegasus makes a new folder of control sockets after a clean-up removed it.

    The same holds for all of XDG_RUNTIME_DIR, as at the end of a login.
    """
    nodes = make_nodes(1)
    running = pegasus.on(nodes).start("q", "--daemon", hosts="- node-1\n", queue="- echo first\n")
    running.wait_for("] first", on="stdout")
    running.wait_for("=== done")
    (folder,) = runtime_folder.glob("pgs-*")
    match removed:
        case "folder":
            shutil.rmtree(folder)
        case "configuration":
            (folder / "config").unlink()
        case "place":
            shutil.rmtree(runtime_folder)
    nodes[0].kill_sessions()
    running.wait_for("was removed during the run. Pegasus goes on with /")
    with pegasus.queue_file.open("a") as queue:
        queue.write("- echo second\n")
    running.wait_for("] second", on="stdout")
    runtime_folder.mkdir(exist_ok=True)
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.status == 130
    made = re.search(r"Pegasus goes on with (\S+)\.$", done.stderr, re.MULTILINE)
    assert made
    assert not Path(made[1]).exists()
