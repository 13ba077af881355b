"""Queue mode: files, the command, real nodes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import yaml

from tests.e2e.detaching import not_detached
from tests.e2e.on_slurm import OWN_ENTRIES, not_on_slurm
from tests.e2e.runner import Pegasus
from tests.nodes import Node, Nodes, wait_until

QUIZ_HOSTS = """\
- hostname: [node-1, node-2]
  laziness: 1
- hostname: node-3
  laziness: 2
"""


@not_on_slurm(OWN_ENTRIES)
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("high: [1, 2, 3, 4]", [f"{c} {h}" for c in ("run", "walk") for h in (1, 2, 3, 4)]),
        (
            "low: [1, 2]\n  high: [3, 4]",
            [f"{c} {h}" for c in ("run", "walk") for h in (3, 4, 3, 4)],
        ),
    ],
)
def test_the_quizzes(pegasus: Pegasus, params: str, expected: list[str]) -> None:
    """One plain command and two commands by four values are nine commands."""
    queue = (
        "- echo hi from {{ hostname }}\n"
        "- command:\n"
        "    - echo run {{ high }} lazy {{ laziness }}\n"
        "    - echo walk {{ high }} lazy {{ laziness }}\n"
        f"  {params}\n"
    )
    done = pegasus.run("q", hosts=QUIZ_HOSTS, queue=queue)
    assert done.status == 0, done.stderr
    lines = done.stdout.splitlines()
    said = Counter(re.sub(r"^\[.*?\] | lazy .$", "", line) for line in lines)
    hi = next(words for words in said if words.startswith("hi from node-"))
    assert said == Counter([hi, *expected])
    assert "9 commands: 9 succeeded." in done.stderr
    for line in lines:
        assert re.match(r"\[node-[12] \(laziness=1\)\]|\[node-3 \(laziness=2\)\]", line)


def test_four_sub_nodes_are_four_connections(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """Two hostnames by two containers: four SSH connections, four commands at the same time."""
    nodes = make_nodes(2)
    hosts = "- hostname: [node-1, node-2]\n  container: [gpu0, gpu1]\n"
    queue = (
        "- command: touch ~/c{{ container }}; until [ -e ~/go ]; do sleep 0.05; done\n"
        "  n: [1, 2, 3, 4]\n"
    )
    running = pegasus.on(nodes).start("q", hosts=hosts, queue=queue)
    running.wait_for("=== run", times=4)
    assert [node.connections() for node in nodes] == [2, 2]
    for node in nodes:
        wait_until(partial(_all_run_on, node))
    for node in nodes:
        node.run("touch ~/go")
    assert running.wait().status == 0


def _all_run_on(node: Node) -> bool:
    return node.run("ls ~/cgpu0 ~/cgpu1 2>/dev/null | wc -l") == "2\n"


def test_consumed_runs_again(pegasus: Pegasus) -> None:
    """``tail -n 2 consumed.yaml > queue.yaml`` runs the last one-line command again."""
    first = pegasus.run("q", hosts="- localhost", queue='- "echo one: 1"\n- "echo \'two: #2\'"\n')
    assert "two: #2" in first.stdout
    tail = pegasus.consumed_file.read_text().splitlines(keepends=True)[-2:]
    again = pegasus.run("q", queue="".join(tail))
    assert again.stdout == "[localhost] two: #2\n"


def test_values_are_the_users_own_text(pegasus: Pegasus) -> None:
    """Values appear as they were typed, never as YAML would convert them."""
    queue = "- command: echo {{ lr }}\n  lr: [1e-4, 0.10, 010, yes, 1:30, null, ~, 2020-01-01]\n"
    done = pegasus.run("q", hosts="- localhost", queue=queue)
    said = [line.removeprefix("[localhost] ") for line in done.stdout.splitlines()]
    home = pegasus.environment["HOME"]  # the shell, not YAML, expands a bare ~
    assert said == ["1e-4", "0.10", "010", "yes", "1:30", "null", home, "2020-01-01"]


def test_a_job_added_while_another_runs(pegasus: Pegasus) -> None:
    """A job that is added to the file during a run is run; a deleted one is not."""
    running = pegasus.start(
        "q",
        hosts="- localhost\n- localhost\n",
        queue=(
            "- until [ -e go ]; do sleep 0.05; done\n"
            "- until [ -e go2 ]; do sleep 0.05; done\n"
            "- echo deleted\n"
        ),
    )
    running.wait_for("=== run", times=2)
    text = pegasus.queue_file.read_text()
    assert text == "- echo deleted\n"
    pegasus.queue_file.write_text("- echo added\n")
    (pegasus.folder / "go").touch()
    running.wait_for("added", on="stdout")
    (pegasus.folder / "go2").touch()
    done = running.wait()
    assert done.status == 0
    assert "deleted" not in done.stdout


def test_four_processes_drain_one_queue(pegasus: Pegasus) -> None:
    """Four Pegasus processes drain one queue of 400 entries: each runs exactly once."""
    queue = "".join(f"- echo {number}. >> out.{{{{ who }}}}\n" for number in range(400))
    pegasus.queue_file.write_text(queue)
    starts = []
    for who in range(4):
        hosts = pegasus.folder / f"hosts-{who}.yaml"
        hosts.write_text(f"- hostname: localhost\n  who: [{who}-a, {who}-b]\n")
        starts.append(
            pegasus.start_bare(
                "q",
                f"--hosts-file={hosts}",
                f"--queue-file={pegasus.queue_file}",
            )
        )
    statuses = [running.wait(90).status for running in starts]
    assert statuses == [0] * 4
    ran = Counter(
        line for path in pegasus.folder.glob("out.*") for line in path.read_text().splitlines()
    )
    assert ran == Counter(f"{number}." for number in range(400))
    consumed = yaml.safe_load(pegasus.consumed_file.read_text())
    assert len(consumed) == 400


@not_detached("a command that kills its keeper too is lost")
def test_exit_status_0_and_1(pegasus: Pegasus) -> None:
    """The status is 0 if every job exited with 0, else 1; the summary names what failed."""
    assert pegasus.run("q", hosts="- node-1", queue="- exit 0\n").status == 0
    done = pegasus.run("q", queue="- exit 0\n- exit 255\n- kill -9 $$\n- kill -9 0\n")
    assert done.status == 1
    assert "4 commands: 1 succeeded, 1 failed, 2 killed." in done.stderr
    assert "job 2 on node-1: exit status: 255" in done.stderr
    assert "job 3 on node-1: killed by signal 9 (SIGKILL)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "hosts", "queue", "words"),
    [
        (["--no-such"], "- localhost\n", "- exit 0\n", "Unknown option"),
        ([], "[]\n", "- exit 0\n", "hosts.yaml"),
        ([], "- localhost\n", "- echo 'a: b'\n", "queue.yaml:1:3"),
        ([], "- node-that-is-not\n", "- exit 0\n", "No node can be reached, nothing was taken"),
        (["-p", "-1"], "- localhost\n", "- exit 0\n", "for -p"),
    ],
)
def test_exit_status_2(
    pegasus: Pegasus, arguments: list[str], hosts: str, queue: str, words: str
) -> None:
    """The status is 2 if the command line, a file or every node is wrong; nothing is taken."""
    done = pegasus.run("q", *arguments, hosts=hosts, queue=queue)
    assert done.status == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert pegasus.queue_file.read_text() == queue


def test_exit_status_2_after_the_good_entries(pegasus: Pegasus) -> None:
    """The entries before a bad one run; the bad one stays."""
    done = pegasus.run("q", hosts="- localhost", queue="- echo ran\n- [a, b]\n- echo later\n")
    assert done.status == 2
    assert done.stdout == "[localhost] ran\n"
    assert "queue.yaml:1:3" in done.stderr
    assert pegasus.queue_file.read_text() == "- [a, b]\n- echo later\n"


def test_exit_status_3(pegasus: Pegasus) -> None:
    """The status is 3 for a bug in Pegasus, with a report to paste."""
    program = (
        sys.executable,
        "-c",
        "import pegasus.commands.run as r; r.read_hosts = None; import pegasus.cli as c; c.main()",
    )
    done = replace(pegasus, program=program).run("q", hosts="- localhost", queue="- exit 0\n")
    assert done.status == 3
    assert "This is a bug in Pegasus" in done.stderr
    assert "TypeError" in done.stderr
    assert pegasus.queue_file.read_text() == "- exit 0\n"


def test_exit_status_130(pegasus: Pegasus) -> None:
    """The status is 130 after an interrupt."""
    running = pegasus.start("q", hosts="- localhost", queue="- sleep 0.5; echo done\n- exit 0\n")
    running.wait_for("=== run")
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.status == 130
    assert "[localhost] done" in done.stdout
    assert pegasus.queue_file.read_text() == "- exit 0\n"


def test_streams_apart(pegasus: Pegasus) -> None:
    """A job's stdout goes to stdout, its stderr to stderr, each line after its sub-node's name."""
    done = pegasus.run("q", hosts="- node-1", queue="- echo out; echo err >&2; printf last\n")
    assert done.stdout == "[node-1] out\n[node-1] last\n"
    assert "[node-1] err\n" in done.stderr


def test_a_reader_that_goes_away(pegasus: Pegasus) -> None:
    """``| head`` ends the run without an error message, as a drain does."""
    pegasus.hosts_file.write_text("- localhost\n")
    pegasus.queue_file.write_text(
        "- command: echo {{ n }}; sleep 0.2\n  n: ["
        + ", ".join(str(n) for n in range(1000))
        + "]\n"
    )
    program = " ".join([*pegasus.program, "q", *pegasus.files()])
    done = subprocess.run(
        ["sh", "-c", f"{program} 2>err | head -n 1"],
        cwd=pegasus.folder,
        env=pegasus.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == "[localhost] 0\n"
    err = (pegasus.folder / "err").read_text()
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert len(yaml.safe_load(pegasus.queue_file.read_text())) == 1


def test_background_children_do_not_hang_a_sub_node(pegasus: Pegasus) -> None:
    """A job that leaves a process in the background does not block its sub-node."""
    queue = "- sleep 3 & echo one\n- echo two\n"
    done = pegasus.run("q", hosts="- node-1", queue=queue)
    assert done.stdout == "[node-1] one\n[node-1] two\n"


def test_an_unreachable_node_beside_a_good_one(pegasus: Pegasus) -> None:
    """The good node does the work; the other is reported with ssh's own message."""
    done = pegasus.run("q", hosts="- node-that-is-not\n- node-1\n", queue="- echo hello\n")
    assert done.status == 0
    assert done.stdout == "[node-1] hello\n"
