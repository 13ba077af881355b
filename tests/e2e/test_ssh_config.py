"""The user's own configuration of ssh."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.e2e.runner import Pegasus
from tests.e2e.ssh_config import SshConfig, start
from tests.nodes import Node, Nodes, wait_until

QUEUE = "# stays\n- command: echo ran {{ n }}\n  n: [1, 2]\n"


def test_aliases_ports_and_jumps(
    pegasus: Pegasus, ssh: SshConfig, make_nodes: Callable[..., Nodes]
) -> None:
    """The user's configuration of a name applies: host, port, key, jump host."""
    nodes = make_nodes(2)
    config = SshConfig(pegasus.folder, nodes)
    config.like("desk", nodes[0], ServerAliveInterval=7)
    config.like("behind", nodes[1], ProxyJump="desk")
    hosts, queue = "- behind\n- desk\n", "- echo I am $HOME\n"
    done = start(pegasus, config, "b", hosts=hosts, queue=queue).wait()
    assert done.status == 0
    said = {f"[behind] I am {nodes[1].home}", f"[desk] I am {nodes[0].home}"}
    assert set(done.stdout.splitlines()) == said
    assert nodes[0].connections() == 2  # one to work there, one to pass through
    assert nodes[1].connections() == 1


def test_no_setting_of_the_users_breaks_a_run(pegasus: Pegasus, ssh: SshConfig) -> None:
    """Settings that are useful in a terminal do not affect a run."""
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
    pegasus: Pegasus, ssh: SshConfig, make_nodes: Callable[..., Nodes]
) -> None:
    """A dead node is detected as soon as the user's own ``ServerAliveInterval`` detects it."""
    nodes = make_nodes(2)
    config = SshConfig(pegasus.folder, nodes)
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
