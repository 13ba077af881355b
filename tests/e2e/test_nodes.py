"""The guarantees of test nodes, of both kinds."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.nodes import Node, Nodes, NodesFault, WaysToAsk, engine, start_nodes, wait_until
from tests.nodes.run import PREFIX, guardians, home_of_runs, id_of, processes_of
from tests.nodes.shells import SHELLS

MakeNodes = Callable[..., Nodes]
ROOT = Path(__file__).resolve().parents[2]
WEIRD = bytes(range(1, 256)) + "'\"\\!$HOME `id` \u2028 \U0001f40e\n\n".encode()

# Prints its own arguments, NUL-separated, as a login shell without other effects.
PARROT = "#!/bin/sh\nprintf '%s\\0' \"$@\"\n"

# Starts nodes, prints the folder of their run, and continues until it is killed.
FOR_EVER = """
import sys, threading
from tests.nodes import start_nodes
with start_nodes(1, way=sys.argv[1], say=lambda _: None) as nodes:
    print(nodes.ssh_config.parent, flush=True)
    threading.Event().wait()
"""

SLEEPER = "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!"


def commands_on(node: Node) -> list[str]:
    """Return the command lines that run on the node."""
    return [process.command for process in node.living()]


def background(node: Node) -> int:
    """Leave a sleep on the node; return its pid on the node."""
    return int(node.run(SLEEPER))


def test_each_node_answers_by_its_name(nodes: Nodes) -> None:
    """With the ssh config of the nodes, ``ssh node-2`` suffices."""
    said = {node.name: node.ssh("echo hello; pwd").stdout.decode() for node in nodes}
    assert said == {node.name: f"hello\n{node.home}\n" for node in nodes}
    assert list(said) == ["node-1", "node-2", "node-3"]


def test_each_node_has_its_own_identity(nodes: Nodes) -> None:
    """No two nodes have the same address, host key or home."""
    keys = {line.split()[2] for line in nodes.known_hosts.read_text(encoding="utf-8").splitlines()}
    assert len(keys) == len(nodes)
    assert len({node.address for node in nodes}) == len(nodes)
    assert len({node.home for node in nodes}) == len(nodes)


def test_the_home_is_the_same_here_and_there(nodes: Nodes) -> None:
    """A file in ``node.home`` is a file in ``~`` on the node, both ways."""
    (nodes[0].home / "from-here").write_text("here\n", encoding="utf-8")
    assert nodes[0].run("cat ~/from-here; echo there > ~/from-there") == "here\n"
    assert (nodes[0].home / "from-there").read_text(encoding="utf-8") == "there\n"


def test_nothing_of_the_developer_s_account_is_seen(nodes: Nodes) -> None:
    """The account's shell reads the node's start-up files, and no others."""
    (nodes[1].home / ".bashrc").write_text("echo rc of $HOME\n", encoding="utf-8")
    try:
        assert nodes[1].ssh("echo $0").stdout.decode() == f"rc of {nodes[1].home}\nbash\n"
    finally:
        (nodes[1].home / ".bashrc").unlink()
    assert nodes[1].ssh("echo $0").stdout == b"bash\n"


def test_login_shells_are_what_was_asked_for(make_nodes: MakeNodes) -> None:
    """Each node runs commands with its own login shell, called as by sshd."""
    nodes = make_nodes(len(SHELLS), shells=tuple(SHELLS))
    called: dict[str, bytes] = {}
    for node in nodes:
        pid = "$fish_pid" if node.shell == "fish" else "$$"
        called[node.shell] = node.ssh(f"cat /proc/{pid}/cmdline; true").stdout.split(b"\0")[0]
    assert called == {name: shell.called.encode() for name, shell in SHELLS.items()}
    assert nodes["node-4"].ssh("echo $FISH_VERSION").stdout.strip()
    assert nodes["node-5"].ssh("echo $tcsh").stdout.strip()
    assert nodes["node-6"].ssh("ls -l /proc/$$/exe").stdout.strip().endswith(b"busybox")


def test_a_command_reaches_the_login_shell_byte_for_byte(
    make_nodes: MakeNodes, tmp_path: Path
) -> None:
    """The arguments of ssh are the shell's one argument after ``-c``, whatever they contain."""
    parrot = tmp_path / "parrot"
    parrot.write_text(PARROT, encoding="utf-8")
    parrot.chmod(0o755)
    tmp_path.chmod(0o755)
    node = make_nodes(1, shells=(str(parrot),))[0]
    assert node.ssh(WEIRD).stdout == b"-c\0" + WEIRD + b"\0"
    long = b"x" * 120_000
    assert node.ssh(long).stdout == b"-c\0" + long + b"\0"


def test_a_shell_that_is_not_there_is_named() -> None:
    """A request for an unknown or missing shell raises an error with the next step."""
    with (
        pytest.raises(NodesFault, match="no shell is called 'ksh'"),
        start_nodes(1, shells=["ksh"]),
    ):
        pass
    with (
        pytest.raises(NodesFault, match="/no/such is not installed"),
        start_nodes(1, way="local", shells=["/no/such"]),
    ):
        pass


def test_connections_are_counted(nodes: Nodes) -> None:
    """Every authenticated connection counts; a refused one does not."""
    before = nodes[0].connections()
    nodes[0].run("true")
    nodes[0].ssh("true")
    refused = nodes[0].ssh("true", options=("IdentityFile=/dev/null", "User=nobody-known"))
    assert refused.returncode == 255
    assert nodes[0].connections() == before + 2


def test_options_reach_sshd(make_nodes: MakeNodes) -> None:
    """Lines for sshd_config may be given, and precede those of the fixture."""
    node = make_nodes(1, options={"SetEnv": "COLOUR=blue", "LogLevel": "VERBOSE"})[0]
    assert node.run("echo $COLOUR $HOME") == f"blue {node.home}\n"
    assert "Starting session" in node.log()


def test_an_sshd_that_does_not_start_says_why(way: WaysToAsk) -> None:
    """An error in the options raises a message with sshd's own text."""
    fault = pytest.raises(NodesFault, match="Bad configuration option")
    with fault, start_nodes(1, way="local" if way == "auto" else way, options={"NoSuch": "yes"}):
        pass


def test_processes_are_those_of_the_node(make_nodes: MakeNodes) -> None:
    """A command is listed with its pid on the node, on its node only, until it ends."""
    one, two = make_nodes(2)
    pid = background(one)
    (sleeper,) = one.living()
    assert (sleeper.pid, sleeper.command) == (pid, "sleep 1000")
    assert not two.living()
    one.end_commands()
    assert not one.living()


def test_a_zombie_is_told_apart(make_nodes: MakeNodes) -> None:
    """A process that ended without being reaped is listed as dead."""
    node = make_nodes(1)[0]
    # The shell's child ends; the sleep that replaced the shell never reaps it.
    node.run("sh -c 'true & exec sleep 1000' >/dev/null 2>&1 </dev/null &")

    def zombies() -> list[str]:
        return [p.state for p in node.processes() if not p.alive]

    assert wait_until(zombies, limit=5, what="a zombie") == ["Z"]
    wait_until(lambda: commands_on(node) == ["sleep 1000"], limit=5, what="the shell's new program")


def test_a_paused_node_does_not_answer_until_it_is_resumed(make_nodes: MakeNodes) -> None:
    """While a node is paused, a connection hangs; afterwards everything continues."""
    node = make_nodes(1)[0]
    background(node)
    node.pause()
    with pytest.raises(subprocess.TimeoutExpired):
        node.ssh("true", limit=1)
    assert len(node.living()) == 1
    node.resume()
    assert node.run("echo back") == "back\n"
    assert commands_on(node) == ["sleep 1000"]


def test_a_killed_node_comes_back_as_the_same(make_nodes: MakeNodes) -> None:
    """A kill ends every command; the start restores address, host key and home."""
    node = make_nodes(1)[0]
    node.run("echo kept > ~/file")
    background(node)
    node.kill()
    assert not node.processes()
    assert node.ssh("true", limit=20).returncode == 255
    node.start()
    assert node.run("cat ~/file") == "kept\n"  # the host key is checked strictly
    assert not node.living()
    node.kill()
    node.start()
    assert node.connections() == 3


def test_killed_sessions_leave_commands_and_sshd_alive(make_nodes: MakeNodes) -> None:
    """The connection breaks, its commands continue, and a new connection works."""
    node = make_nodes(1)[0]
    with subprocess.Popen(
        ["ssh", "-F", str(node.ssh_config), node.name, "sleep 1000"], stderr=subprocess.DEVNULL
    ) as client:
        wait_until(lambda: commands_on(node) == ["sleep 1000"], limit=10, what="the command")
        assert node.sshds()
        node.kill_sessions()
        assert client.wait(10) == 255
    assert commands_on(node) == ["sleep 1000"]
    assert node.run("echo new") == "new\n"


def test_a_cut_off_node_is_silent_until_it_is_healed(make_nodes: MakeNodes) -> None:
    """Connections are neither refused nor ended, packets are lost; the address stays."""
    nodes = make_nodes(1)
    node = nodes[0]
    if not nodes.can_cut:
        with pytest.raises(NotImplementedError, match="PEGASUS_TEST_NODES=docker"):
            node.cut()
        return
    background(node)
    node.cut()
    with pytest.raises(subprocess.TimeoutExpired):
        node.ssh("true", limit=1)
    assert len(node.living()) == 1
    node.heal()
    assert node.run("echo back") == "back\n"


@cache
def have_engine() -> bool:
    """Return whether a Docker engine answers."""
    try:
        engine.require()
    except NodesFault:
        return False
    return True


def labelled(label: str) -> list[str]:
    """Return the ids of the containers, networks and images that have a label."""
    if not have_engine():
        return []
    return [
        found
        for listing, _ in engine.KINDS
        for found in engine.docker(*listing, "-q", f"--filter=label={label}").split()
    ]


def remains(folder: Path) -> list[str]:
    """Return what is left of a run of nodes on this machine and in its engine."""
    words = [str(folder)] if folder.exists() else []
    words += [process.command for process in processes_of(folder) if process.alive]
    return words + labelled(f"{engine.RUN}={id_of(folder)}")


def test_nothing_is_left_when_the_block_ends(way: WaysToAsk) -> None:
    """Containers, networks, sshds, commands that ignore SIGTERM, and folders are removed."""
    with start_nodes(2, way=way, say=lambda _: None) as nodes:
        folder = nodes.ssh_config.parent
        nodes[0].run(f"trap '' TERM HUP; setsid {SLEEPER}")
        nodes[1].pause()
        assert remains(folder)
    assert not remains(folder)


@contextmanager
def nodes_of_another(way: WaysToAsk) -> Iterator[tuple[subprocess.Popen[bytes], Path, str]]:
    """Start nodes in another process; yield it, the folder of its run, and its label."""
    command = [sys.executable, "-c", FOR_EVER, way]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        try:
            assert owner.stdout
            folder = Path(owner.stdout.readline().decode().strip())
            label = f"{engine.OWNER}={(folder / 'owner').read_text(encoding='ascii')}"
            assert remains(folder)
            yield owner, folder, label
        finally:
            owner.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_tests_are_killed(way: WaysToAsk, number: signal.Signals) -> None:
    """However the process that started nodes ends, its guardian removes them and the image."""
    with nodes_of_another(way) as (owner, folder, label):
        owner.send_signal(number)
        owner.wait(30)
    wait_until(
        lambda: not remains(folder) and not labelled(label), limit=30, what="the guardian to end"
    )


def test_what_a_killed_guardian_left_is_swept_by_the_next_start(way: WaysToAsk) -> None:
    """Where both the owner and the guardian were killed, the next run of nodes cleans up."""
    with nodes_of_another(way) as (owner, folder, label):
        runs = [run for run in home_of_runs().glob(f"{PREFIX}*") if belongs_to(run, folder)]
        for guardian in [process for run in runs for process in guardians(run)]:
            guardian.signal(signal.SIGKILL)
        owner.kill()
    assert remains(folder)
    with start_nodes(1, way=way, say=lambda _: None):
        # Other tests start nodes and sweep as well; of two sweeps that meet, one does the rest.
        wait_until(lambda: not remains(folder) and not labelled(label), what="the sweep")


@pytest.mark.skipif(not have_engine(), reason="needs Docker")
@pytest.mark.parametrize("kind", ["container", "network"])
def test_concurrent_removals_do_no_harm(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guardian and any number of sweeps may remove one run at the same time."""
    docker = engine.docker
    met: list[str] = []

    def quicker(*arguments: str) -> str:
        if arguments[:2] == (kind, "rm") and not met:
            met.append(docker(*arguments))
        return docker(*arguments)

    with start_nodes(1, way="docker", say=lambda _: None) as nodes:
        run = id_of(nodes.ssh_config.parent)
        monkeypatch.setattr(engine, "docker", quicker)
        engine.remove_labelled(run)
        assert met
        assert not labelled(f"{engine.RUN}={run}")


def belongs_to(run: Path, other: Path) -> bool:
    """Return whether two runs, of nodes and of their image, have the same owner."""
    try:
        return (run / "owner").read_bytes() == (other / "owner").read_bytes()
    except OSError:
        return False
