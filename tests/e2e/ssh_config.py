"""An ssh configuration for one test, and keys and ports that no node accepts."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from tests.e2e.runner import Pegasus, Running
from tests.nodes import Node, Nodes


class SshConfig:
    """An ssh configuration to which a test adds hosts.

    Attributes:
        path: of the file.
    """

    def __init__(self, folder: Path, nodes: Nodes) -> None:
        self.path = folder / "my_ssh_config"
        self._nodes = nodes
        self._blocks: list[str] = []
        self._write()

    def host(self, name: str, **settings: object) -> None:
        """Add settings of a host; the first setting has precedence."""
        lines = [f"  {key} {value}" for key, value in settings.items()]
        self._blocks.append("\n".join([f"Host {name}", *lines]))
        self._write()

    def like(self, name: str, node: Node, **settings: object) -> None:
        """Add another name of a test node."""
        own = {"HostName": node.address, "Port": node.port, "User": node.user}
        self.host(name, **settings, **{k: v for k, v in own.items() if k not in settings})

    def _write(self) -> None:
        # Only hosts that must fail have a short limit: a jump on a loaded machine needs over 1 s.
        others = f'Host * !bad*\n  Include "{self._nodes.ssh_config}"'
        blocks = [*self._blocks, others, "Host bad*\n  ConnectTimeout 1"]
        self.path.write_text("\n".join([*blocks, ""]))


def closed_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_key(path: Path) -> Path:
    """Make a key pair that no node accepts."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    return path


def start(
    pegasus: Pegasus, ssh: SshConfig, mode: str, *more: str, hosts: str, queue: str
) -> Running:
    """Start a run with this ssh configuration."""
    pegasus.hosts_file.write_text(hosts)
    pegasus.queue_file.write_text(queue)
    return pegasus.start_bare(mode, *pegasus.files()[:2], f"--ssh-config={ssh.path}", *more)
