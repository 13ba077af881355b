"""Many commands at once on one sub-node, over shared connections to real sshds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from pegasus.dispatch import open_asker
from pegasus.errors import NodeUnreachable
from pegasus.model import Exited, Lost
from pegasus.transport import OpenSession
from tests.contract import LIMIT
from tests.e2e.lanes import (
    LANES,
    LONG,
    SUB_NODE,
    TOGETHER,
    masters,
    opened,
    run_lane,
    run_lanes,
)
from tests.nodes import Node, Nodes, wait_until
from tests.nodes.processes import everything, kill

ENDING = 10.0
"""Seconds within which the commands of a killed Pegasus end."""

MakeNodes = Callable[..., Nodes]


def arrived(node: Node) -> int:
    """Count the commands that have begun."""
    return len(list(node.home.glob("at-*")))


async def wait_until_all_run(node: Node) -> None:
    """Wait until all commands run."""
    while arrived(node) < LANES:
        await trio.sleep(0.02)


async def wait_closed(node: Node) -> None:
    """Wait until no connection to a node is open."""
    while node.sshds():
        await trio.sleep(0.02)


@pytest.mark.parametrize("way", ["mux", "clients"])
@pytest.mark.parametrize(("sessions", "connections"), [(10, 2), (3, 6), (1, 16)])
async def test_sixteen_at_once(
    make_nodes: MakeNodes, sessions: int, connections: int, way: str
) -> None:
    """Sixteen commands run at once, whatever MaxSessions is, over as few connections as it takes.

    When the last one has ended, no connection is left.
    """
    nodes = make_nodes(1, options={"MaxSessions": sessions})
    with trio.fail_after(3 * LIMIT):
        async with opened(nodes.ssh_config, by_clients=way == "clients") as open_session:
            assert await run_lanes(open_session, TOGETHER) == [Exited(0)] * LANES
            await wait_closed(nodes[0])
            if way == "mux":
                assert nodes[0].connections() == connections
            else:
                assert connections <= nodes[0].connections() <= LANES + 2
            # What was learned is known from now on.
            before = nodes[0].connections()
            assert await run_lanes(open_session, "exit 3", 1) == [Exited(3)]
            assert nodes[0].connections() == before + 1
    assert [p for p in everything() if p.ppid == os.getpid() and p.name in {"sh", "ssh"}] == []


async def test_a_killed_master(make_nodes: MakeNodes) -> None:
    """A connection that breaks is the end of its own commands only, and its lanes connect again."""
    nodes = make_nodes(1)
    outcomes = []
    with trio.fail_after(2 * LIMIT):
        async with opened(nodes.ssh_config) as open_session, trio.open_nursery() as nursery:

            async def run() -> None:
                outcomes.extend(await run_lanes(open_session, LONG))

            nursery.start_soon(run)
            await wait_until_all_run(nodes[0])
            kill(masters(os.getpid())[0])
            assert await run_lanes(open_session, "exit 4", 3) == [Exited(4)] * 3
            (nodes[0].home / "go").touch()
    lost = [outcome for outcome in outcomes if isinstance(outcome, Lost)]
    assert len(lost) == LANES // 2
    assert outcomes.count(Exited(0)) == LANES // 2


@pytest.mark.parametrize("whose", ["the first lane", "all"])
async def test_cancelled(make_nodes: MakeNodes, whose: str) -> None:
    """A lane that is cancelled ends its own command, as it should, and no other's.

    It may have opened the connection. Where all are cancelled at once, all commands get SIGTERM.
    """
    nodes = make_nodes(1)
    ended = 1 if whose == "the first lane" else LANES
    with trio.fail_after(2 * LIMIT):
        async with opened(nodes.ssh_config) as open_session, trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def cancelled(count: int) -> None:
                with scope:
                    await run_lanes(open_session, LONG, count)

            nursery.start_soon(cancelled, ended)
            await trio.testing.wait_all_tasks_blocked()
            if ended < LANES:
                nursery.start_soon(run_lanes, open_session, LONG, LANES - ended)
            await wait_until_all_run(nodes[0])
            scope.cancel()
            while arrived(nodes[0]) > LANES - ended:
                await trio.sleep(0.02)
            (nodes[0].home / "go").touch()
    assert arrived(nodes[0]) == LANES - ended


async def test_cancelled_with_all_of_ssh(make_nodes: MakeNodes) -> None:
    """An abort, which cancels connections and lanes at once, ends each command with SIGTERM."""
    nodes = make_nodes(1, options={"MaxSessions": 3})
    with trio.fail_after(2 * LIMIT), trio.CancelScope() as scope:
        async with opened(nodes.ssh_config) as open_session, trio.open_nursery() as nursery:
            nursery.start_soon(run_lanes, open_session, LONG)
            await wait_until_all_run(nodes[0])
            scope.cancel()
    assert arrived(nodes[0]) == 0
    assert masters(os.getpid()) == []


async def test_cancelled_while_it_connects(make_nodes: MakeNodes) -> None:
    """A lane that is cancelled while its connection is being opened leaves it to the others."""
    nodes = make_nodes(1)
    with trio.fail_after(LIMIT):
        async with opened(nodes.ssh_config) as open_session, trio.open_nursery() as nursery:
            nursery.start_soon(run_lane, open_session, "exit 0")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert nursery.cancel_scope.cancelled_caught
        async with opened(nodes.ssh_config) as open_session:
            scope = trio.CancelScope()
            outcomes = []

            async def first() -> None:
                with scope:
                    await run_lane(open_session, "exit 0")

            async def second() -> None:
                outcomes.append(await run_lane(open_session, "exit 5"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(first)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(second)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
    assert outcomes == [Exited(5)]
    assert masters(os.getpid()) == []


def test_a_killed_pegasus(make_nodes: MakeNodes) -> None:
    """After kill -9 nothing is left after ten seconds: no command, no connection, no folder."""
    nodes = make_nodes(1)
    words = [sys.executable, "-m", "tests.e2e.lanes", str(nodes.ssh_config)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2]) as process:
        wait_until(lambda: arrived(nodes[0]) == LANES, limit=LIMIT, what="sixteen commands")
        (found,) = {p.command.split(" -S ")[1].split()[0] for p in masters(process.pid)[:1]}
        process.kill()
    wait_until(lambda: not nodes[0].living(), limit=ENDING, what="the end of all commands")
    wait_until(lambda: not nodes[0].sshds(), limit=ENDING, what="the end of all connections")
    wait_until(lambda: not Path(found).parent.exists(), limit=ENDING, what="no folder of sockets")


async def test_a_question_to_a_full_node(make_nodes: MakeNodes) -> None:
    """A node is asked while it runs as many commands as its connection takes."""
    nodes = make_nodes(1, options={"MaxSessions": 1})
    with trio.fail_after(LIMIT):
        async with (
            opened(nodes.ssh_config) as open_session,
            open_session(SUB_NODE) as session,
            session.open_shell(),
            open_asker(session) as asker,
        ):
            for _ in range(2):
                assert (await asker.ask("echo here", LIMIT)).stdout == b"here\n"
            assert nodes[0].connections() == 2


async def test_no_sessions(make_nodes: MakeNodes) -> None:
    """Where a node takes no session at all, or no connection, each lane gets the words of ssh."""
    nodes = make_nodes(1, options={"MaxSessions": 0})
    with trio.fail_after(LIMIT):
        async with opened(nodes.ssh_config) as open_session:
            outcomes = await run_lanes(open_session, "exit 0", 3)
            assert all("refused by peer" in str(outcome) for outcome in outcomes)


async def test_a_node_that_is_away(make_nodes: MakeNodes, tmp_path: Path) -> None:
    """Many lanes try a node that cannot be reached as often as a few would."""
    nodes = make_nodes(1)
    tries, config = tmp_path / "tries", tmp_path / "config"
    connect = f"sh -c 'echo >> {tries}; echo Nobody is there, not found >&2; exit 1'"
    config.write_text(f"Host *\n  ProxyCommand {connect}\n{nodes.ssh_config.read_text()}")
    tried: list[int] = []

    async def reconnect(open_session: OpenSession) -> None:
        for _ in range(3):
            with pytest.raises(NodeUnreachable, match="Nobody is there"):
                await run_lane(open_session, "exit 0")
        tried.append(len(tries.read_text().splitlines()))

    with trio.fail_after(LIMIT):
        async with opened(config) as open_session, trio.open_nursery() as nursery:
            for _ in range(LANES):
                nursery.start_soon(reconnect, open_session)
        assert tried[-1] <= 6  # sixteen lanes, each of which was told three times
