"""Starts test nodes, and chooses their kind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, TypeAlias

from tests.nodes import engine
from tests.nodes.access import make_key, write_ssh_config
from tests.nodes.docker import start_docker
from tests.nodes.dropbear import start_one_dropbear
from tests.nodes.errors import NodesFault
from tests.nodes.local import start_local
from tests.nodes.node import Node, Nodes, Plan, Server, Way
from tests.nodes.run import Run, sweep
from tests.nodes.shells import shell_named

WaysToAsk: TypeAlias = Literal["auto", "docker", "local"]


def say_on_stderr(words: str) -> None:
    """Write which kind was chosen, unless the caller asked for another place."""
    print(words, file=sys.stderr)


@contextmanager
def start_nodes(
    count: int = 3,
    *,
    way: WaysToAsk = "auto",
    shells: Sequence[str] = ("bash",),
    options: Mapping[str, str | int] | None = None,
    server: Server = "openssh",
    say: Callable[[str], object] = say_on_stderr,
) -> Iterator[Nodes]:
    """Start nodes, and remove them with all their processes at the end of the block.

    Args:
        count: how many.
        way: ``docker``, ``local``, or ``auto``: Docker if that works, else local.
        shells: their login shells, in rotation: bash, dash, zsh, fish, tcsh, busybox, or
            the absolute path of a program of the test.
        options: lines for ``sshd_config``; other settings are those of a stock sshd.
        server: what listens; dropbear does on local nodes only, takes root and no options.
        say: called with one line that states which kind was chosen, and why.

    Raises:
        NodesFault: they cannot be started; the message names what is missing.
    """
    for shell in shells:
        shell_named(shell)
    sweep()
    lines = tuple((name, str(value)) for name, value in (options or {}).items())
    with ExitStack() as stack:
        if server == "dropbear":
            nodes = start_dropbears(stack, [shells[i % len(shells)] for i in range(count)])
            say(nodes.why)
            yield nodes
            return
        nodes = choose(stack, way, [shells[i % len(shells)] for i in range(count)], lines)
        say(nodes.why)
        yield nodes


def choose(
    stack: ExitStack, way: WaysToAsk, shells: list[str], options: tuple[tuple[str, str], ...]
) -> Nodes:
    """Start nodes of the kind that was asked for, or the first kind that works."""
    if way != "auto":
        return start_one_way(stack, way, f"nodes: {way}, as asked", shells, options)
    try:
        with ExitStack() as attempt:
            version = engine.require()
            why = f"nodes: docker, as engine {version} answers"
            nodes = start_one_way(attempt, "docker", why, shells, options)
            stack.push(attempt.pop_all())
            return nodes
    except NodesFault as fault:
        why = f"nodes: local, as Docker can't be used: {fault}"
        return start_one_way(stack, "local", why, shells, options)


def start_dropbears(stack: ExitStack, shells: list[str]) -> Nodes:
    """Start local nodes with dropbear."""
    run = stack.enter_context(Run.begin())
    public_key = make_key(run.folder / "key")
    nodes: list[Node] = []
    host_keys: dict[str, str] = {}
    for number, shell in enumerate(shells, start=1):
        plan = Plan(f"node-{number}", shell, run.folder / f"node-{number}", ())
        node, host_keys[plan.name] = start_one_dropbear(
            run, plan, public_key, f"127.0.0.{number + 1}"
        )
        nodes.append(node)
    write_ssh_config(run.folder, nodes, host_keys)
    why = "nodes: local, as dropbear is asked for"
    return Nodes(nodes, way="local", why=why, folder=run.folder)


def start_one_way(
    stack: ExitStack, way: Way, why: str, shells: list[str], options: tuple[tuple[str, str], ...]
) -> Nodes:
    """Start the nodes; each started one is on the stack, also if a later one fails."""
    run = stack.enter_context(Run.begin())
    public_key = make_key(run.folder / "key")
    plans = [
        Plan(f"node-{number}", shell, run.folder / f"node-{number}", options)
        for number, shell in enumerate(shells, start=1)
    ]
    starter = start_docker if way == "docker" else start_local
    nodes, host_keys = starter(run, plans, public_key)
    write_ssh_config(run.folder, nodes, host_keys)
    return Nodes(nodes, way=way, why=why, folder=run.folder)
