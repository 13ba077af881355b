"""`b --gather`: equal outputs are shown once, as `clush -b` shows them."""

from __future__ import annotations

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
ROOMY = {"MaxStartups": 1000, "MaxSessions": 100}

SCRIPT = (
    "n=NAME; n=${n#cn}; echo all alike; echo; seq 3; "
    f"case $n in {'|'.join(map(str, ODD))}) echo \"odd $n\";; esac; printf 'the end'"
)
"""A job whose last line has no newline; NAME is the host."""

FAILING = (
    "n=NAME; n=${n#cn}; echo out; [ $n -gt 2 ] || exit $n; [ $n -ne 5 ] || { echo e; exit 1; }"
)


@pytest.fixture
def many(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> SshConfig:
    """64 names of three nodes."""
    nodes = make_nodes(3, options=ROOMY)
    config = SshConfig(pegasus.folder, nodes)
    for number in range(1, MANY + 1):
        config.like(f"cn{number}", nodes[number % 3])
    return config


def clush(config: SshConfig, hosts: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with ``clush -b``."""
    options = ["-o", f"-F {config.path}", "-f", "16", "--color=never"]
    return subprocess.run(
        [CLUSH, "-b", "-w", hosts, *options, command.replace("NAME", "%h")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("count", "command"), [(MANY, SCRIPT), (6, FAILING)])
def test_the_same_as_clush(pegasus: Pegasus, many: SshConfig, count: int, command: str) -> None:
    """Gathered output is what ``clush -b`` prints, byte by byte; failures are named by status."""
    expected = clush(many, f"cn[1-{count}]", command)
    job = command.replace("NAME", "{{ hostname }}").replace("${n#cn}", "${n#cn}")
    running = start(
        *(pegasus, many, "b", "--gather"), hosts=f"- cn[1-{count}]\n", queue=f"- |\n  {job}\n"
    )
    done = running.wait(120)
    assert done.stdout == expected.stdout
    assert expected.stdout.count("all alike" if count == MANY else "out") == (
        4 if count == MANY else 4
    )
    assert "=== done" not in done.stderr
