"""Access to nodes: keys, and an ssh config that uses none of the developer's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.nodes.errors import NodesFault
from tests.nodes.node import Node, Plan
from tests.nodes.shells import shell_named

QUICK_EXCHANGE = "  KexAlgorithms ^curve25519-sha256"
"""A line of ``ssh_config``; see ``write_ssh_config``."""


def make_key(path: Path) -> str:
    """Make a key pair; return its public half, in one line."""
    try:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    except FileNotFoundError:
        raise NodesFault("there is no ssh-keygen: `apt-get install openssh-client`") from None
    except subprocess.CalledProcessError as error:
        raise NodesFault(f"ssh-keygen: {error.stderr.decode(errors='replace')}") from None
    return path.with_suffix(".pub").read_text(encoding="utf-8").strip()


def furnish(plan: Plan, public_key: str) -> str:
    """Make the folder of a node with the files of both kinds; return its public host key."""
    plan.folder.mkdir()
    plan.home.mkdir()
    (plan.folder / "authorized_keys").write_text(public_key + "\n", encoding="utf-8")
    plan.log.touch()
    plan.log.chmod(0o666)  # sshd may be root in a container; the user of the tests reads it
    return make_key(plan.folder / "host_key")


def login_shell(plan: Plan) -> Path:
    """Return the path of a node's login shell, whose last part is the name that it is called by.

    Busybox acts by its name, so it gets a link of that name in the node's folder.
    """
    shell = shell_named(plan.shell)
    path = shell.path()
    if path.name == shell.called:
        return path
    link = plan.folder / shell.called
    if not link.is_symlink():
        link.symlink_to(path)
    return link


def write_ssh_config(folder: Path, nodes: Iterable[Node], host_keys: dict[str, str]) -> None:
    """Write ``ssh_config`` and ``known_hosts`` for the nodes, whose host keys go by name.

    Each of some thousand connections of the end-to-end tests begins with an exchange of keys. With
    OpenSSH's default, sntrup761, an ``ssh`` takes 95 ms of processor time, with curve25519 13 ms.
    Benchmarks use what users have: see ``use_default_exchange``.
    """
    blocks: list[str] = []
    known: list[str] = []
    for node in nodes:
        blocks += [
            f"Host {node.name}",
            f"  HostName {node.address}",
            f"  Port {node.port}",
            f"  User {node.user}",
        ]
        where = node.address if node.port == 22 else f"[{node.address}]:{node.port}"
        known.append(f"{where} {host_keys[node.name]}")
    blocks += [
        "Host *",
        f'  IdentityFile "{folder}/key"',
        "  IdentitiesOnly yes",
        "  IdentityAgent none",
        f'  UserKnownHostsFile "{folder}/known_hosts"',
        "  GlobalKnownHostsFile /dev/null",
        "  UpdateHostKeys no",
        QUICK_EXCHANGE,
        "  PasswordAuthentication no",
        "  KbdInteractiveAuthentication no",
    ]
    (folder / "known_hosts").write_text("\n".join([*known, ""]), encoding="utf-8")
    (folder / "ssh_config").write_text("\n".join([*blocks, ""]), encoding="utf-8")


def use_default_exchange(ssh_config: Path) -> None:
    """Let connections exchange keys as OpenSSH does by default, for benchmarks.

    Args:
        ssh_config: see ``write_ssh_config``.
    """
    text = ssh_config.read_text(encoding="utf-8")
    ssh_config.write_text(text.replace(QUICK_EXCHANGE, ""), encoding="utf-8")
