"""`b --gather`: equal outputs are shown once, as `clush -b` shows them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.runner import Pegasus
from tests.e2e.ssh_config import SshConfig, start
from tests.nodes import Nodes

MANY = 64
ODD = (7, 23, 41)
"""The sub-nodes whose output differs; each of them differs from the others, too."""

CLUSH = Path(sys.executable).parent / "clush"
ROOMY = {"MaxStartups": 1000, "MaxSessions": 100, "AcceptEnv": "NUMBER"}

SCRIPT = (
    "echo all alike; echo; seq 3; "
    f'case $NUMBER in {"|".join(map(str, ODD))}) echo "odd $NUMBER";; esac; printf "the end"'
)
"""A job whose last line has no newline."""

FAILING = "[ $NUMBER -ne 1 ] || exit 9; echo $((NUMBER / 4)); [ $NUMBER -lt 4 ] || exit 4"
"""A job that prints nothing on the first sub-node, and fails on some."""


@pytest.fixture
def many(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> SshConfig:
    """64 names of three nodes; jobs know them by a variable of their environment."""
    nodes = make_nodes(3, options=ROOMY)
    config = SshConfig(pegasus.folder, nodes)
    for number in range(1, MANY + 1):
        config.like(f"cn{number}", nodes[number % 3], SetEnv=f"NUMBER={number}")
    return config


def clush(config: SshConfig, hosts: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with ``clush -b``."""
    options = ["-o", f"-F {config.path}", "-f", "16", "--color=never"]
    return subprocess.run(
        [CLUSH, "-b", "-w", hosts, *options, command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("count", "command"), [(MANY, SCRIPT), (6, FAILING)])
def test_the_same_as_clush(pegasus: Pegasus, many: SshConfig, count: int, command: str) -> None:
    """Gathered output is what ``clush -b`` prints, byte by byte; failures are named by status."""
    expected = clush(many, f"cn[1-{count}]", command)
    running = start(
        *(pegasus, many, "b", "--gather"), hosts=f"- cn[1-{count}]\n", queue=f"- |\n  {command}\n"
    )
    done = running.wait(120)
    assert done.stdout == expected.stdout, done.stderr
    named = re.findall(
        r"^clush: (\S+)(?: \(\d+\))?: exited with exit code (\d+)$", expected.stderr, re.MULTILINE
    )
    said = re.findall(
        r"^\[Pegasus\] job 1 on (\S+)(?: \(\d+\))?: exit status: (\d+)$", done.stderr, re.MULTILINE
    )
    assert said == sorted(named, key=lambda each: int(each[1]))
    assert len(said) == (0 if command == SCRIPT else 2)
