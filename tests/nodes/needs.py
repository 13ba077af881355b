"""``python -m tests.nodes.needs``: install all that test nodes need.

As root on Debian and derived systems, missing packages are installed with
apt-get; elsewhere a message names them, and the exit status is 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.nodes.shells import SHELLS, find

PROGRAMS = {  # program: Debian package
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "dropbear": "dropbear-bin",
    "dropbearconvert": "dropbear-bin",
    "ps": "procps",
    "ip": "iproute2",
    "tmux": "tmux",
    **{shell.program: shell.package for shell in SHELLS.values()},
}
POLICY = Path("/usr/sbin/policy-rc.d")  # read by Debian's packages before they start a daemon


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """Return the missing packages, determined by the programs."""
    return sorted({package for name, package in programs.items() if find(name) is None})


@contextmanager
def no_daemons() -> Iterator[None]:
    """Prevent that openssh-server starts the machine's own sshd when it is installed."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install(packages: list[str]) -> bool:
    """Install packages with apt-get, with updated lists if the present ones are too old."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def apt_get(*arguments: str) -> bool:
        command = ["apt-get", "-q", "-y", *arguments]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
        return done.returncode == 0

    wanted = ("install", "--no-install-recommends", *packages)
    with no_daemons():
        return apt_get(*wanted) or (apt_get("update") and apt_get(*wanted))


def main(programs: Mapping[str, str] = PROGRAMS, what: str = "test nodes") -> int:
    """Install or name what is missing for a part of the tests; return the exit status."""
    packages = missing_packages(programs)
    if not packages:
        return 0
    names = " ".join(packages)
    if find("apt-get") is None:
        print(f"{what} need what Debian has in these packages: {names}", file=sys.stderr)
        return 1
    if os.getuid() != 0:
        print(f"{what} need `sudo apt-get install {names}`", file=sys.stderr)
        return 1
    print(f"{what} need {names}: installing them with apt-get", file=sys.stderr)
    if install(packages) and not missing_packages(programs):
        return 0
    left = " ".join(missing_packages(programs))
    print(f"apt-get could not install {left}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
