"""What the tests of gathered output share: a broadcast that happens as the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from pegasus.events import Ended, Listener, Printed, Returned, RunEnded, Started, Taken
from pegasus.gather import GatherKind, open_gathered
from pegasus.model import Assignment, Command, Exited, Job, Outcome, StepOrigin, Stream, SubNode
from pegasus.screen import open_screen
from tests.unit.screens import pipe

SUCCESS = Exited(0)


def nodes(count: int) -> tuple[SubNode, ...]:
    """Give the sub-nodes ``node-1``, ``node-2`` and so on."""
    return tuple(SubNode(i, f"node-{i + 1}") for i in range(count))


@dataclass
class Broadcast:
    """A broadcast, told to a listener; sub-nodes are meant by their numbers."""

    listener: Listener
    sub_nodes: Sequence[SubNode]
    number: int = 0

    def take(self, command: str = "true", origin: StepOrigin | None = None) -> None:
        self.number += 1
        self.listener.tell(Taken(self.number, Job(command), origin))

    def start(self, *at: int) -> None:
        for each in at or range(len(self.sub_nodes)):
            self.listener.tell(Started(self.assignment(each)))

    async def print(self, at: int, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        await self.listener.show(Printed(self.assignment(at), stream, data))

    def end(self, at: int, outcome: Outcome = SUCCESS, *, again: bool = False) -> None:
        self.listener.tell(Ended(self.assignment(at), outcome, 1.0, again))

    def give_back(self, at: int) -> None:
        self.listener.tell(Returned(self.assignment(at), "its connection broke"))

    def end_run(self) -> None:
        self.listener.tell(RunEnded(0, "done"))

    async def step(self, *outputs: bytes, stream: Stream = Stream.STDOUT) -> None:
        """Run a step that prints these outputs, one on each sub-node, and succeeds."""
        self.take()
        self.start()
        for at, data in enumerate(outputs):
            await self.print(at, data, stream)
            self.end(at)

    def assignment(self, at: int) -> Assignment:
        job = Job("true")
        return Assignment(self.number, job, self.sub_nodes[at], Command(job.command))


@dataclass
class Shown:
    """What was shown when the run is over."""

    out: bytes = b""
    err: bytes = b""
    said: list[str] = field(default_factory=list)


@asynccontextmanager
async def broadcast(
    sub_nodes: Sequence[SubNode] | int, shown: Shown, *, kind: GatherKind = True
) -> AsyncIterator[Broadcast]:
    """A broadcast whose outputs are gathered; at the end ``shown`` has what was shown."""
    every = nodes(sub_nodes) if isinstance(sub_nodes, int) else sub_nodes
    with pipe() as stdout, pipe() as stderr:
        async with (
            open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen,
            open_gathered(kind, screen, every, trio.Event()) as listener,
        ):
            yield Broadcast(listener, every)
        shown.out, shown.err = stdout.text(), stderr.text()
    lines = shown.err.decode().splitlines()
    shown.said = [line.removeprefix("[Pegasus] ") for line in lines if line.startswith("[Pegasus]")]


def block(names: str, text: str) -> bytes:
    """Give a gathered output as it is shown."""
    rule = "-" * 15
    return f"{rule}\n{names}\n{rule}\n{text}\n".encode()
