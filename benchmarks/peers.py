"""The peers: their installation, their versions and their command lines.

All are called as in their manuals, over the same ssh configuration; the broadcasters with a
fan-out that reaches all nodes at once.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from benchmarks.ground import Ground
from tests.nodes import needs

PACKAGES = {"parallel": "parallel", "pdsh": "pdsh", "clush": "clustershell", "xargs": "findutils"}
ORIGINAL = "pegasus-ssh"  # the crate
BUILDING = 900.0  # seconds for cargo; two cores took 60
PSSH = Path(__file__).with_name("broadcast_pssh.py")


@dataclass(frozen=True, slots=True)
class Broadcaster:
    """A peer that runs one command on many nodes.

    Attributes:
        who: its name.
        argv: its call.
        env: variables that it needs.
    """

    who: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


def broadcasters(ground: Ground, count: int, command: str = "true") -> list[Broadcaster]:
    """Return the installed peers, to run a command on the first aliases."""
    names = ground.names(count)
    found = [
        pdsh("pdsh", ground.plain, names, command),
        clush("clush", ground.plain, names, command),
    ]
    here = [peer for peer in found if shutil.which(peer.argv[0])]
    if find_spec("pssh"):
        nodes = [ground.node_of(number) for number in range(1, count + 1)]
        places = [f"{node.address}:{node.port}" for node in nodes]
        who = [ground.nodes[0].user, str(ground.nodes.key)]
        argv = [sys.executable, str(PSSH), *who, command, *places]
        here.append(Broadcaster("parallel-ssh", argv))
    return here


def mastered_broadcasters(ground: Ground, count: int, command: str = "true") -> list[Broadcaster]:
    """Return those that can use control masters, which have to be open."""
    names = ground.names(count)
    found = [
        pdsh("pdsh over control masters", ground.mastered, names, command),
        clush("clush over control masters", ground.mastered, names, command),
    ]
    return [peer for peer in found if shutil.which(peer.argv[0])]


def pdsh(who: str, config: Path, names: Sequence[str], command: str) -> Broadcaster:
    """Return the command line of pdsh."""
    argv = ["pdsh", "-R", "ssh", "-S", "-f", str(len(names)), "-w", ",".join(names), command]
    return Broadcaster(who, argv, {"PDSH_SSH_ARGS_APPEND": f"-F {config}"})


def clush(who: str, config: Path, names: Sequence[str], command: str) -> Broadcaster:
    """Return the command line of clush."""
    options = ["-S", "-n", "-f", str(len(names)), "-o", f"-F {config}", "-w", ",".join(names)]
    return Broadcaster(who, ["clush", *options, command])


def gnu_parallel(ground: Ground, config: Path, count: int) -> list[str]:
    """Return a call of GNU parallel that reads commands, one a line, one at a time on each node."""
    logins = [f"1/ssh -F {config} {name}" for name in ground.names(count)]
    return ["parallel", "--will-cite", "-j1", "--sshlogin", ",".join(logins)]


def xargs(config: Path, width: int) -> list[str]:
    """Return a call of xargs that reads nodes, one a line, and runs ``true`` on each."""
    return ["xargs", "-P", str(width), "-I", "{}", "ssh", "-F", str(config), "{}", "true"]


def install() -> None:
    """Install what Debian has, as root; what cannot be installed is left out later."""
    missing = sorted({PACKAGES[name] for name in PACKAGES if shutil.which(name) is None})
    if missing and shutil.which("apt-get") and os.getuid() == 0:
        needs.install(missing)


def build_original(cache: Path) -> Path | str:
    """Build the original in Rust, or use an earlier build; a text states why there is none."""
    built = cache / "bin" / "pegasus"
    if built.exists():
        return built
    if shutil.which("cargo") is None:
        return "there is no cargo"
    where = ["--root", str(cache), "--target-dir", str(cache / "target")]
    try:
        done = subprocess.run(
            ["cargo", "install", "--quiet", ORIGINAL, *where],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=BUILDING,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "cargo does not come to an end"
    shutil.rmtree(cache / "target", ignore_errors=True)
    return built if done.returncode == 0 and built.exists() else "cargo could not build it"


def versions(original: Path | str) -> dict[str, str]:
    """Return the versions of all contestants, by name."""
    found = {"Pegasus": metadata.version("pegasus-ssh"), "Python": platform.python_version()}
    found["trio"] = metadata.version("trio")
    asked = {
        "OpenSSH": ["ssh", "-V"],
        "GNU parallel": ["parallel", "--version"],
        "xargs": ["xargs", "--version"],
        "pdsh": ["pdsh", "-V"],
        "clush": ["clush", "--version"],
    }
    found |= {name: ask(argv) for name, argv in asked.items()}
    found["parallel-ssh"] = (
        metadata.version("parallel-ssh") if find_spec("pssh") else "left out: not installed"
    )
    found["the original, in Rust"] = (
        f"left out: {original}" if isinstance(original, str) else ask([str(original), "--version"])
    )
    return found


def ask(argv: Sequence[str]) -> str:
    """Ask a program for its version."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError:
        return "left out: not installed"
    match = re.search(r"\d[\w.]*", done.stdout + done.stderr)
    return match.group() if match else "unknown"


def original_env(ground: Ground, folder: Path) -> Mapping[str, str]:
    """Make an ``ssh`` for the original with its configuration, since it has no such option."""
    ssh = folder / "bin" / "ssh"
    ssh.parent.mkdir(exist_ok=True)
    real = shlex.quote(shutil.which("ssh") or "ssh")
    ssh.write_text(f'#!/bin/sh\nexec {real} -F {ground.nodes.ssh_config} "$@"\n', encoding="utf-8")
    ssh.chmod(0o755)
    return {"PATH": f"{ssh.parent}:{os.environ.get('PATH', '')}"}
