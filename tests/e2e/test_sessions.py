"""The contract of sessions over real SSH, into accounts of every login shell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from pegasus.dispatch import Session, Shell
from pegasus.errors import NodeUnreachable, sole_error
from pegasus.model import Exited, Killed, Lost, Pool
from pegasus.transport import open_ssh, session_opener
from tests import contract
from tests.contract import *  # noqa: F403 -- the tests of the contract run here
from tests.launch_contract import Launches
from tests.nodes import Node, Nodes, WaysToAsk, start_nodes

SHELLS = ("bash", "dash", "zsh", "fish", "tcsh", "busybox")


@pytest.fixture(scope="module")
def shell_nodes(way: WaysToAsk) -> Iterator[Nodes]:
    """Six nodes, each with another login shell."""
    with start_nodes(len(SHELLS), way=way, shells=SHELLS, say=lambda _: None) as nodes:
        yield nodes


@asynccontextmanager
async def open_on(
    nodes: Nodes, name: str, *pools: Pool, by_clients: bool = False
) -> AsyncIterator[Session]:
    """Open a session into a node, with the nodes' own ssh configuration."""
    async with open_ssh(nodes.ssh_config, by_clients=by_clients) as ssh:
        opener = session_opener(ssh)
        async with opener(contract.node_named(name, *pools)) as session:
            yield session


@pytest.fixture(params=["mux", "clients", "lane"])
def open_session(nodes: Nodes, request: pytest.FixtureRequest) -> contract.OpenSession:
    """Open sessions into a node with bash: over the control socket, by ssh clients, in a lane."""
    by_clients, pools = request.param == "clients", [Pool("gpu")] * (request.param == "lane")
    return lambda: open_on(nodes, "node-1", *pools, by_clients=by_clients)


class TestSsh(contract.OnlyReal, Launches, contract.EndsTrees):
    """A node fulfils the whole contract."""


class TestLocalhost(contract.EndsTrees):
    """Localhost ends process trees as nodes do."""

    @pytest.fixture
    def open_session(self, nodes: Nodes) -> contract.OpenSession:
        """Open sessions on localhost."""
        return lambda: open_on(nodes, "localhost")


NASTY = (
    """printf '%s\\n' "it's" 'a "quoted" word'""",
    """printf '%s\\n' $HOME"/x" "${HOME}" '$HOME' | sed "s:$HOME:home:g" """,
    r"""printf '%s\n' a\\b 'a\b' "a\\b" \'""",
    """printf '%s\\n' hello! '!!' "!x" !""",
    "printf 'one\n\ntwo\n'",
    "cat <<'END'\nit's $HOME `x` \\n\nEND\n",
    "cat <<END\n$((1 + 2)) \\$x\nEND",
    "printf '%s\\n' 😀 é Á ä ß 漢字 '\u2028' '\u00a0'",
    "printf '%s %%s %d\\n' '%s' 7",
    "echo '{{' \"}}\" '{{{x}}}' | cat",
    "-x 2>/dev/null; echo $?",
    "printf '%s\\n' * | head -n 0; printf '%s\\n' '*' '?' '[a]' '~'",
    "echo a;echo b&&echo c||echo d # a comment",
    "(exit 3); echo $?; { echo x; echo y >&2; } 2>&1",
    "for i in 1 2 3; do printf '%s,' \"$i\"; done; echo",
    "printf '\\001\\002\\377\\000\\033[31m' | od -An -tx1",
    'set -- \'a b\' c; echo $# "$1"; echo "$0"',
    "f() { echo \"$@\"; }; f 'x  y' z; case abc in a*) echo ok;; esac",
    "printf '%s\\n' '\t tab' ' lead' 'trail ' '^' '#no' '=x' '%1' '@' ','",
    'x=`echo \'a  b\'`; echo "$x" | tr a-z A-Z; echo "$(printf \'%s\' "it\'s")"',
)


@pytest.mark.parametrize("shell", SHELLS)
async def test_nasty_commands(shell_nodes: Nodes, shell: str) -> None:
    """Twenty difficult commands do the same on localhost and for every login shell."""
    node = shell_nodes[f"node-{SHELLS.index(shell) + 1}"]
    async with open_on(shell_nodes, "localhost") as here, open_on(shell_nodes, node.name) as there:
        for command in NASTY:
            expected = await contract.run_command(here, command)
            got = await contract.run_command(there, command)
            assert got[0] == expected[0], command
            assert got[1].streams == expected[1].streams, command


def test_there_are_twenty_nasty_commands() -> None:
    """The list has twenty commands."""
    assert len(NASTY) == 20


@pytest.mark.parametrize("shell", SHELLS)
async def test_outcomes_for_every_login_shell(shell_nodes: Nodes, shell: str) -> None:
    """Exit statuses and signals are distinguished, whatever the login shell."""
    name = f"node-{SHELLS.index(shell) + 1}"
    async with open_on(shell_nodes, name) as session:
        for status in (0, 137, 255):
            assert (await contract.run_command(session, f"exit {status}"))[0] == Exited(status)
        for number in (9, 15):
            assert (await contract.run_command(session, f"kill -{number} $$"))[0] == Killed(number)


async def test_noisy_start_up_files(make_nodes: Any) -> None:
    """The output of an account's start-up files is not taken for a command's output."""
    nodes: Nodes = make_nodes(1, shells=("bash",))
    node: Node = nodes["node-1"]
    node.run("printf 'echo noise; echo more noise >&2; printf x\\n' > ~/.bashrc")
    async with open_on(nodes, "node-1") as session:
        outcome, output = await contract.run_command(session, "echo hello; echo err >&2")
    assert (outcome, output.stdout, output.stderr) == (Exited(0), b"hello\n", b"err\n")


async def test_a_connection_that_breaks(make_nodes: Any) -> None:
    """A command whose connection breaks is lost, which is neither an exit status nor a signal."""
    nodes: Nodes = make_nodes(1)
    output = contract.Output()
    with trio.fail_after(contract.LIMIT):
        async with (
            open_on(nodes, "node-1") as session,
            session.open_shell() as shell,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_kill_sessions_when, shell, nodes["node-1"])
            outcome = await shell.run(
                contract.assignment("sleep 60"), "run-1", output.show, trio.Event()
            )
    assert isinstance(outcome, Lost)


async def _kill_sessions_when(shell: Shell, node: Node) -> None:
    await shell.wait_begun()
    await trio.to_thread.run_sync(node.kill_sessions)


async def test_a_node_that_is_not_there(make_nodes: Any) -> None:
    """A node that refuses connections is unreachable, with ssh's own message."""
    nodes: Nodes = make_nodes(1)
    nodes["node-1"].kill()
    with pytest.raises(NodeUnreachable, match=r"Connection refused|No route to host"), sole_error():
        async with open_on(nodes, "node-1"):
            pass


@asynccontextmanager
async def open_with(config: Path, name: str = "node-1") -> AsyncIterator[Session]:
    """Open a session into a node with an ssh configuration of the test."""
    async with (
        open_ssh(config) as ssh,
        session_opener(ssh)(contract.node_named(name)) as session,
    ):
        yield session


async def test_a_wrong_key(make_nodes: Any, tmp_path: Path) -> None:
    """A node that does not accept our key is unreachable, with ssh's own message, and at once."""
    nodes: Nodes = make_nodes(1)
    config = tmp_path / "config"
    text = nodes.ssh_config.read_text()
    config.write_text(
        f"Host *\n  IdentityFile /dev/null\n  IdentityAgent none\n{text}".replace(
            str(nodes.key), "/dev/null"
        )
    )
    with pytest.raises(NodeUnreachable, match="Permission denied"), sole_error():
        async with open_with(config):
            pass


SPOILERS = """\
Host *
  RemoteCommand echo spoiled
  RequestTTY force
  PermitLocalCommand yes
  LocalCommand echo spoiled
  ControlMaster auto
  ControlPath /tmp/pegasus-no-such-%n
  ControlPersist yes
  VisualHostKey yes
  LogLevel QUIET
  StdinNull yes
  ForkAfterAuthentication yes
  EscapeChar ~
"""


async def test_a_hostile_ssh_configuration(nodes: Nodes, tmp_path: Path) -> None:
    """Settings that would break a run are overridden; the rest of the configuration is kept."""
    config = tmp_path / "config"
    config.write_text(SPOILERS + nodes.ssh_config.read_text())
    async with open_with(config) as session:
        outcome, output = await contract.run_command(session, "echo hello; cat; echo e >&2")
    assert (outcome, output.stdout, output.stderr) == (Exited(0), b"hello\n", b"e\n")


async def test_addresses(nodes: Nodes) -> None:
    """A node may be named by an alias, by user@alias, and by an ssh:// address."""
    for name in ("node-1", "root@node-1", "ssh://root@node-1", "ssh://node-1/"):
        async with open_on(nodes, name) as session:
            assert (await contract.run_command(session, "exit 0"))[0] == Exited(0)
