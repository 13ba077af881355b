"""Nodes with fake GPUs, for tests of the whole program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.runner import LIMIT, Pegasus
from tests.nodes import Node, Nodes, wait_until
from tests.nodes.fake_gpu import FakeGpus, Gpu

SEEN = """\
printf '%s|%s|%s|%s|%s\\n' '{{ gpu }}' '{{ gpu.count }}' "$PEGASUS_SLOTS_GPU" \
"$CUDA_VISIBLE_DEVICES" "$CUDA_DEVICE_ORDER" >>~/seen-NAME"""
"""A command that notes which slots it has, in five forms."""

GATED = "echo {{ gpu }} >~/began-NAME; until [ -e ~/go-NAME ]; do sleep 0.05; done"
"""A command that notes the slots it has, and runs until a test lets it end."""

ARGUMENTS = """\
#!/bin/sh
line=$(printf '%s' "${0##*/}"; printf ' <%s>' "$@"; printf ' %s' "$CUDA_VISIBLE_DEVICES")
printf '%s\\n' "$line" >>"$HOME/started"  # in one piece: several programs write at once
"""
"""A program that notes its name, its arguments and its GPUs."""


@dataclass(frozen=True, slots=True)
class GpuNodes:
    """Nodes with GPUs.

    Attributes:
        pegasus: knows these nodes.
        nodes: the nodes.
        gpus: of each node.
    """

    pegasus: Pegasus
    nodes: Nodes
    gpus: list[FakeGpus]

    def node(self, number: int) -> Node:
        """Return a node by its number, from 0."""
        return self.nodes[number]

    def read(self, name: str, node: int = 0) -> list[str]:
        """Return the lines of a file in the home of a node; none where it is not there."""
        try:
            return (self.nodes[node].home / name).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def began(self, name: str) -> str:
        """Wait until a gated command has begun, on whichever node; return its slots."""
        lines = wait_until(
            lambda: next(
                (found for i in range(len(self.nodes)) if (found := self._began(name, i))), []
            ),
            limit=LIMIT,
            what=f"{name} to begin",
        )
        return lines[0]

    def _began(self, name: str, node: int) -> list[str]:
        return self.read(f"began-{name}", node)

    def has_begun(self, name: str) -> bool:
        """Return whether a gated command has begun."""
        return any(self._began(name, node) for node in range(len(self.nodes)))

    def let_end(self, name: str) -> None:
        """Let a gated command end."""
        for node in self.nodes:
            (node.home / f"go-{name}").touch()

    def status(self) -> str:
        """Return what ``pegasus status`` shows."""
        return (
            self.pegasus.start_bare("status", f"--queue-file={self.pegasus.queue_file}")
            .wait()
            .stdout
        )


def gated(name: str) -> str:
    """Return a command that runs until the test lets it end."""
    return GATED.replace("NAME", name)


def give_gpus(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], nodes: int, gpus: int
) -> GpuNodes:
    """Start nodes whose fake programs are first in the PATH of each command."""
    started = make_nodes(nodes)
    fakes = []
    for node in started:
        programs = Path(node.home) / "bin"
        (node.home / ".bashrc").write_text("PATH=$HOME/bin:$PATH\n", encoding="utf-8")
        fakes.append(FakeGpus(programs, [Gpu() for _ in range(gpus)]))
    return GpuNodes(pegasus.on(started), started, fakes)


def give_program(node: Node, name: str) -> None:
    """Give a node a program that notes how it was started, in ``~/started``."""
    program = node.home / "bin" / name
    program.write_text(ARGUMENTS, encoding="utf-8")
    program.chmod(0o755)
