"""Start-up files of an account that prevent commands from starting: named and quoted."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes

BLOCKING = {
    "another shell": "echo Welcome; exec bash -i\n",
    "a question": "printf 'Which project? '; read answer; read answer\n",
    "a menu": "echo Choose:; select x in red green; do :; done\n",
    "a wait": "echo Mounting >&2; while :; do sleep 0.2; done\n",
}
PRINTED = {"another shell": "Welcome", "a question": "Which project?", "a menu": "1) red; 2) green"}


QUESTION = not_detached("the answers would be the scripts: the shell ends, and is reported as such")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[QUESTION] if kind == "a question" else []) for kind in BLOCKING],
)
def test_start_up_files_that_block(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], kind: str
) -> None:
    """After five seconds Pegasus reports what it waits for, what was printed, and what to try."""
    nodes = make_nodes(1, shells=("bash",))
    (nodes[0].home / ".bashrc").write_text(BLOCKING[kind])
    for _ in range(TRIES):
        said = notes_of(pegasus.on(nodes))
        for line in said:
            assert re.match(r"\[Pegasus\] node-1: waiting for a shell; after 5 seconds ", line)
            assert line.endswith(". Try `ssh node-1 echo ok` by hand.")
            assert "\x1b" not in line
        assert len(set(said)) == len(said)  # two sub-nodes of one node report it once
        if any(PRINTED.get(kind, "Mounting") in line for line in said):
            return
    raise AssertionError(f"{PRINTED.get(kind)} is in none of {said}")


TRIES = 4
"""Runs until the node was quick enough to print everything in five seconds."""


def notes_of(pegasus: Pegasus) -> list[str]:
    """Return what a run reports about the start-up files; then interrupt it."""
    hosts = "- hostname: node-1\n  i: [1, 2]\n"
    running = pegasus.start("q", hosts=hosts, queue="- exit 0\n")
    running.wait_for("echo ok` by hand.", on="stderr")
    running.signal(signal.SIGTERM)
    running.signal(signal.SIGINT)
    done = running.wait()
    assert pegasus.queue_file.read_text() == "- exit 0\n"
    return [line for line in done.stderr.splitlines() if "waiting for a shell" in line]


def test_start_up_files_that_take_long(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """Start-up files that end in the end only delay the job."""
    nodes = make_nodes(1, shells=("bash",))
    wait = "until [ -e ~/go ]; do sleep 0.1; done"
    (nodes[0].home / ".bashrc").write_text(f"echo Mounting; {wait}\n")
    running = pegasus.on(nodes).start("q", queue="- echo hello\n")
    running.wait_for("have printed Mounting", on="stderr")
    (nodes[0].home / "go").touch()
    done = running.wait()
    assert (done.status, done.stdout) == (0, "[node-1] hello\n"), done.stderr


def test_start_up_files_that_end_the_shell(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """An account whose start-up files end its shell is unreachable; one line has their output."""
    nodes = make_nodes(1, shells=("bash",))
    (nodes[0].home / ".bashrc").write_text("echo closed; echo for today >&2; exit 1\n")
    done = pegasus.on(nodes).run("q", queue="- exit 0\n")
    assert done.status == 2
    (line,) = (line for line in done.stderr.splitlines() if "cannot be reached" in line)
    assert "closed" in line
    assert "for today" in line
    assert "Try `ssh node-1 echo ok` by hand." in done.stderr
