"""The machines of all contestants: eight sshds of the test nodes, and their ssh configurations.

The sshds are stock but for two settings. ``MaxStartups`` is raised, since sshd would refuse some
connections of peers that open all at once; and the nodes' forced command is removed, so that a
command costs what it costs on a real machine: the account's login shell alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.running import cpu_of, wait_until
from tests.nodes import Node, Nodes, start_nodes, use_default_exchange

SSHDS = 8
ALIASES = 64
OPTIONS = {"MaxStartups": "200:30:400", "ForceCommand": "none"}
HANDSHAKES = 16  # masters that are opened at once: more are not faster on two cores
CONNECTING = 60.0  # seconds for a few masters to connect; a handshake takes 0.3
SHORT = Path("/tmp")  # noqa: S108 -- the path of a socket may be a hundred bytes long


@dataclass(frozen=True, slots=True)
class Masters:
    """Open control masters, one for each of the first aliases."""

    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Return the seconds of CPU that they have used so far."""
        return sum(cpu_of(pid) for pid in self.pids)


class Ground:
    """The nodes and their ssh configurations.

    Attributes:
        nodes: the sshds.
        folder: for all files, on a short path; removed at the end.
        plain: a configuration for ssh's ``-F`` with the nodes, and with ``sub-1`` and so on for
            them in rotation: a name for each sub-node, for tools that want names to differ.
        mastered: the same, but over the control masters that `masters` opens, and not otherwise.
    """

    def __init__(self, nodes: Nodes, folder: Path) -> None:
        self.nodes = nodes
        self.folder = folder
        self.plain = folder / "plain"
        self.mastered = folder / "mastered"
        self._sockets = folder / "m"
        self._sockets.mkdir()
        given = nodes.ssh_config.read_text(encoding="utf-8")
        aliases = "".join(alias(number, self.node_of(number)) for number in range(1, ALIASES + 1))
        self.plain.write_text(aliases + given, encoding="utf-8")
        over = f"Host *\n  ControlPath {self._sockets}/%n\n  ControlMaster no\n"
        over += "  ProxyCommand false\n"
        self.mastered.write_text(over + aliases + given, encoding="utf-8")

    def node_of(self, number: int) -> Node:
        """Return the node behind the alias of that number, from 1."""
        return self.nodes[(number - 1) % SSHDS]

    def names(self, count: int) -> list[str]:
        """Return the first aliases."""
        return [f"sub-{number}" for number in range(1, count + 1)]

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Yield an empty folder for the length of a block."""
        folder = Path(tempfile.mkdtemp(prefix="w", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def masters(self, count: int) -> Iterator[Masters]:
        """Open masters for the first aliases, and close them at the end of the block."""
        with ExitStack() as stack:
            names = self.names(count)
            pids: list[int] = []
            for start in range(0, count, HANDSHAKES):
                pids += self._open(stack, names[start : start + HANDSHAKES])
            yield Masters(tuple(pids))

    def _open(self, stack: ExitStack, names: Sequence[str]) -> list[int]:
        sockets = [self._sockets / name for name in names]
        started = [stack.enter_context(self._master(name)) for name in names]

        def all_open() -> bool:
            return all(socket.exists() for socket in sockets)

        wait_until(all_open, limit=CONNECTING, what="control masters")
        return [master.pid for master in started]

    @contextmanager
    def _master(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        argv = ["ssh", "-F", str(self.plain), "-M", "-N", "-S", str(self._sockets / name), name]
        master = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield master
        finally:
            master.send_signal(signal.SIGTERM)
            master.wait()


def alias(number: int, node: Node) -> str:
    """Write the lines of an ssh configuration for one alias."""
    return f"Host sub-{number}\n  HostName {node.address}\n  Port {node.port}\n  User {node.user}\n"


@contextmanager
def open_ground() -> Iterator[Ground]:
    """Start the nodes; everything is removed at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="pgb-", dir=SHORT if os.access(SHORT, os.W_OK) else None))
    try:
        with start_nodes(SSHDS, way="local", options=OPTIONS, say=lambda _: None) as nodes:
            use_default_exchange(nodes.ssh_config)
            yield Ground(nodes, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
