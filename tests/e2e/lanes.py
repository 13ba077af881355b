"""Lanes for tests: many sessions of one sub-node with pools, each with a command of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from pegasus.errors import NodeUnreachable
from pegasus.model import Apart, Lost, Outcome, Pool, SubNode
from pegasus.transport import OpenSession, open_ssh, session_opener
from tests.contract import Output, assignment
from tests.nodes import Process
from tests.nodes.processes import everything

LANES = 16
SUB_NODE = SubNode(0, "node-1", (), "ssh", (Pool("gpu", ids=tuple(map(str, range(LANES)))),))

TOGETHER = f"echo > ~/at-$$; until set -- ~/at-* && [ $# -ge {LANES} ]; do sleep 0.1; done"
"""A command that ends once as many run at the same time as there are lanes."""

LONG = "trap 'rm -f ~/at-$$; exit' TERM; echo > ~/at-$$; until [ -e ~/go ]; do sleep 0.1; done"
"""One that goes on until the test lets it end; ended by SIGTERM, it takes its file with it."""


@asynccontextmanager
async def opened(config: Path, *, by_clients: bool = False) -> AsyncIterator[OpenSession]:
    """Give what opens sessions."""
    async with open_ssh(config, by_clients=by_clients) as ssh:
        yield session_opener(ssh)


async def run_lane(open_session: OpenSession, command: str) -> Outcome:
    """Run one command in a lane of its own."""
    async with open_session(SUB_NODE) as session, session.open_shell() as shell:
        outcome = await shell.run(assignment(command), "run-1", Output().show, trio.Event())
        assert not isinstance(outcome, Apart)
        return outcome


async def run_lanes(open_session: OpenSession, command: str, count: int = LANES) -> list[Outcome]:
    """Run a command in each of many lanes."""
    outcomes: list[Outcome] = []

    async def run() -> None:
        try:
            outcomes.append(await run_lane(open_session, command))
        except NodeUnreachable as error:
            outcomes.append(Lost(error.words))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(run)
    return outcomes


def masters(parent: int) -> list[Process]:
    """Return the masters that a process has started."""
    found = everything()
    shells = {process.pid for process in found if process.ppid == parent}
    return [p for p in found if p.ppid in shells and p.name == "ssh" and " -M " in p.command]


async def main(config: str) -> None:
    """Run long commands in lanes until this process is killed."""
    async with opened(Path(config)) as open_session:
        await run_lanes(open_session, LONG)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        os.setsid()
        trio.run(main, sys.argv[1])
