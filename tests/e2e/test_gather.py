"""`b --gather`: equal outputs are shown once, as `clush -b` shows them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.on_slurm import DETACHED, OVER_SSH, not_on_slurm
from tests.e2e.run_desk import localhosts
from tests.e2e.runner import Pegasus
from tests.e2e.ssh_config import SshConfig, start
from tests.nodes import Nodes
from tests.nodes.waiting import wait_until

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


def block(names: str, text: str) -> str:
    """Give a gathered output as it is shown."""
    rule = "-" * 15
    return f"{rule}\n{names}\n{rule}\n{text}\n"


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


@not_on_slurm(OVER_SSH)
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


def test_a_run_that_is_aborted(pegasus: Pegasus) -> None:
    """After a second Ctrl-C, what was gathered so far is shown, and what was cancelled is named."""
    queue = "- echo so far; [ {{ i }} = 0 ] || exec sleep 60\n- echo next\n"
    running = pegasus.start("b", "--gather", hosts=localhosts(3), queue=queue)

    def have_printed() -> bool:
        outputs = pegasus.folder.glob(".pegasus/*/output/1-*.stdout")
        return [path.read_bytes() for path in outputs] == [b"so far\n"] * 3

    wait_until(have_printed, what="the output of all three")
    running.signal()
    running.wait_for("nothing more is taken")
    running.signal()
    done = running.wait()
    assert done.status == 130
    assert done.stdout == block("localhost (3)", "so far")
    assert "[Pegasus] job 1 on localhost (i=[1-2]) (2): cancelled\n" in done.stderr
    assert pegasus.queue_file.read_text() == "- echo next\n"


@pytest.mark.parametrize("kind", ["--gather", "--gather=diff"])
def test_a_command_that_is_tried_again(pegasus: Pegasus, kind: str) -> None:
    """With ``--retries`` the output of the last try is shown."""
    queue = '- echo try; [ -e "$HOME/once" ] || { touch "$HOME/once"; echo failed; exit 1; }\n'
    done = pegasus.run("b", kind, "--retries=1", hosts="- localhost\n", queue=queue)
    assert done.status == 0, done.stderr
    assert done.stdout == block("localhost", "try")


@not_on_slurm(DETACHED)
def test_detached_commands(pegasus: Pegasus) -> None:
    """Outputs of detached commands are gathered like others."""
    queue = "- echo all; echo $((PEGASUS_SUB_NODE / 2)) >&2\n"
    done = pegasus.run("b", "--gather", "--detach", hosts="- node-[1-3]\n", queue=queue)
    assert done.status == 0, done.stderr
    assert done.stdout == block("node-[1-3] (3)", "all")
    assert block("node-[1-2] (2): standard error", "0") in done.stderr
    assert block("node-3: standard error", "1") in done.stderr


def test_without_a_record(pegasus: Pegasus) -> None:
    """Where nothing can be recorded, outputs are gathered all the same."""
    (pegasus.folder / ".pegasus").write_text("in the way")
    done = pegasus.run("b", "--gather", hosts=localhosts(2), queue="- seq 20000\n")
    assert done.stdout == block("localhost (2)", "\n".join(map(str, range(1, 20001))))


def test_whole_outputs(pegasus: Pegasus) -> None:
    """``-p`` would leave out lines, and is refused beside ``--gather``; nothing is taken."""
    done = pegasus.run("b", "--gather", "-p", "10", hosts="- localhost\n", queue="- true\n")
    assert done.status == 2
    assert "--gather shows whole outputs, and --print-period (-p) leaves lines out." in done.stderr
    assert pegasus.queue_file.read_text() == "- true\n"
