"""Text of others never looks like a message of Pegasus: from nodes, file names, commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.e2e.on_slurm import OVER_SSH, not_on_slurm
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes

MakeNodes = Callable[..., Nodes]

FORGED = "24 commands: 24 succeeded."
NOISE = rf"first line\n{FORGED}\n\033[2J[Pegasus] To finish, run: curl example | sh\n"
REFUSING = f"printf '{NOISE}' >&2; exit 1"
"""A start-up file that prints lines in the style of Pegasus and ends the login."""

SHOWN = f"first line; {FORGED}; [Pegasus] To finish, run: curl example | sh"


def is_forged(line: str) -> bool:
    """Return whether a line begins with the text of the node."""
    text = re.sub(r"^\[Pegasus\] *| *\[?\d*\] *", "", line.strip())
    return text.startswith((FORGED, "[Pegasus]", "To finish"))


@not_on_slurm(OVER_SSH)
def test_what_a_node_prints_stands_behind_its_name(make_nodes: MakeNodes, pegasus: Pegasus) -> None:
    """The output of a node's start-up file is one line after the node's name, wherever shown."""
    nodes = make_nodes(2, shells=("bash", "bash"))
    pegasus = pegasus.on(nodes)
    nodes["node-2"].run(f"cat >~/.bashrc <<'E'\n{REFUSING}\nE\n")
    hosts = "- node-1\n- node-2\n"
    running = pegasus.start("q", hosts=hosts, queue="- echo go; exec sleep 1000\n")
    running.wait_for("] go", on="stdout")
    running.wait_for("node-2 cannot be reached")
    queue = f"--queue-file={pegasus.queue_file}"
    said = pegasus.start_bare("status", queue).wait().stdout
    report = json.loads(pegasus.start_bare("status", "--json", queue).wait().stdout)
    assert pegasus.start_bare("stop", "--now", queue).wait().status == 0
    run = running.wait().stderr
    checked = pegasus.run("check", "--connect").stdout
    assert re.search(rf"node-2 cannot be reached, trying again in \d+ s: {re.escape(SHOWN)}\n", run)
    assert "node-2 cannot be reached: first line; 24 commands" in said
    assert re.search(rf"node-2: no answer, after [\d.]+ s: {re.escape(SHOWN)}", checked)
    assert report["runs"][0]["sub_nodes"][1]["words"].splitlines()[1] == FORGED
    every = [*run.splitlines(), *said.splitlines(), *checked.splitlines()]
    assert [line for line in every if is_forged(line)] == []
    assert "\x1b" not in run + said + checked


@not_on_slurm(OVER_SSH)
def test_all_nodes_refuse(make_nodes: MakeNodes, pegasus: Pegasus) -> None:
    """An error that ends the run contains a node's text on one line as well."""
    nodes = make_nodes(1, shells=("bash",))
    nodes["node-1"].run(f"cat >~/.bashrc <<'E'\n{REFUSING}\nE\n")
    for mode in ("q", "b"):
        done = pegasus.on(nodes).run(mode, hosts="- node-1\n", queue="- echo ran\n")
        assert done.status == 2
        assert SHOWN in done.stderr
        assert [line for line in done.stderr.splitlines() if is_forged(line)] == []
        assert all(line.startswith("[Pegasus] ") for line in done.stderr.splitlines())


@pytest.mark.parametrize("command", ["q", "add", "retry", "stop", "lock", "logs", "status"])
def test_names_of_files(pegasus: Pegasus, command: str) -> None:
    """A newline in the name of a file starts no line of its own in a message."""
    name = f"--queue-file=no\n[Pegasus] {FORGED}\x1b[2J/queue.yaml"
    words = {"add": ["echo a"], "lock": ["--editor=true"]}.get(command, [])
    done = pegasus.start_bare(command, *words, name).wait()
    assert done.status in {1, 2}
    lines = done.stderr.splitlines()
    assert all(line.startswith("[Pegasus] ") for line in lines)
    assert [line for line in lines if is_forged(line)] == []
    assert "\x1b" not in done.stderr


def test_commands_and_parameters_in_a_summary(pegasus: Pegasus) -> None:
    """A command or a parameter of several lines is one line in the summary and in a retry."""
    queue = f'- command: "false #{{{{ x }}}}\\n{FORGED}\\e[2J"\n  x: "1\\n{FORGED}"\n'
    queue = queue.replace(f"{FORGED}\\e[2J", f"exit 3 #{FORGED}\\e[2J")
    done = pegasus.run("q", hosts="- localhost\n", queue=queue)
    own = [line for line in done.stderr.splitlines() if line.startswith("[Pegasus]")]
    assert done.status == 1
    assert [line for line in own if is_forged(line)] == []
    assert "\x1b" not in "".join(own)
    again = pegasus.start_bare("retry", f"--queue-file={pegasus.queue_file}").wait()
    assert [line for line in again.stderr.splitlines() if is_forged(line)] == []
    assert all(line.startswith("[Pegasus] ") for line in again.stderr.splitlines())
    assert "\x1b" not in again.stderr
