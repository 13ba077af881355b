"""Nodes whose SSH server is dropbear, as on small systems: the contract, and the ends of jobs.

Its commands share the process group of their connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from pegasus.dispatch import Session
from pegasus.model import Killed, SubNode
from pegasus.transport import open_ssh, session_opener
from pegasus.transport.shell import KILL_GRACE
from tests import contract
from tests.contract import *  # noqa: F403 -- the tests of the contract run here
from tests.e2e.detaching import not_detached
from tests.e2e.runner import Pegasus
from tests.launch_contract import Launches
from tests.nodes import Nodes, start_nodes, wait_until
from tests.nodes.dropbear import why_not

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

SHELLS = ("bash", "dash", "zsh", "fish", "tcsh")
"""Dropbear refuses a login with a shell that is not in /etc/shells."""


@pytest.fixture(scope="module")
def dropbears() -> Iterator[Nodes]:
    """Nodes with dropbear, each with another login shell."""
    with start_nodes(len(SHELLS), shells=SHELLS, server="dropbear", say=lambda _: None) as nodes:
        yield nodes


@pytest.fixture
def open_session(dropbears: Nodes) -> contract.OpenSession:
    """Open sessions into a node with dropbear."""
    return lambda: open_on(dropbears, "node-1")


@asynccontextmanager
async def open_on(nodes: Nodes, name: str) -> AsyncIterator[Session]:
    """Open a session into one of the nodes."""
    async with (
        open_ssh(nodes.ssh_config) as ssh,
        session_opener(ssh)(SubNode(0, name)) as session,
    ):
        yield session


class TestDropbear(contract.OnlyReal, Launches, contract.EndsTrees):
    """A node with dropbear fulfils the whole contract."""


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_group_of_its_own(dropbears: Nodes, shell: str) -> None:
    """A job's process group is that of its shell, not that of the connection, in every shell."""
    look = "read -r l </proc/self/stat; set -- ${l##*) }; ps -o comm= -p $3; kill -TERM 0; sleep 9"
    async with open_on(dropbears, f"node-{SHELLS.index(shell) + 1}") as session:
        for _ in range(2):  # over the same connection
            outcome, output = await contract.run_command(session, look)
            assert (outcome, output.stdout) == (Killed(15), b"sh\n")


BEHIND = """\
- |
  echo $$ >~/pid
  (trap '' TERM; while :; do sleep 0.1; done) &
  echo $! >>~/pid
  echo started
  wait
- grep -s '^State:.[^Z]' $(sed 's:.*:/proc/&/status:' ~/pid); echo second
"""


def test_no_job_beside_the_one_before(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """A job that is ended has its ten seconds, and the next one starts when nothing is left."""
    nodes = make_nodes(1, server="dropbear")
    queue = f'- date +%s >~/began\n{BEHIND}- echo "$(($(date +%s) - $(cat ~/began)))" seconds\n'
    done = pegasus.on(nodes).run("q", "--timeout=1s", queue=queue)
    assert "=== done (timed out after 1 s) ===" in done.stderr
    assert "1 timed out" in done.stderr
    started, second, seconds = done.stdout.splitlines()
    assert (started, second) == ("[node-1] started", "[node-1] second")
    assert int(seconds.split()[1]) >= KILL_GRACE
    assert nodes[0].connections() == 1


@not_detached("detached commands outlive Pegasus")
def test_sigkill_of_pegasus(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """``kill -9`` of Pegasus leaves no command on a node with dropbear."""
    nodes = make_nodes(1, server="dropbear")
    running = pegasus.on(nodes).start("q", queue=BEHIND)
    running.wait_for("started", on="stdout")
    running.kill()
    wait_until(lambda: not nodes[0].living(), limit=10.0, what="the commands to end")
