"""Each folder of examples/ does what its README promises, by the command in its queue file."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.gpus import give_gpus
from tests.e2e.runner import Done, Pegasus
from tests.nodes import Nodes
from tests.nodes.fake_gpu import uuid_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
LONGEST_README = 25  # lines: one glance

DOCKER = """\
#!/bin/sh
# `docker exec NAME PROGRAM ARGUMENT...`: like Docker's, it hands over the words and adds no shell.
[ "$1" = exec ] || exit 64
export CONTAINER="$2"
shift 2
exec "$@"
"""


def run_example(pegasus: Pegasus, name: str, *options: str, on: str = "") -> Done:
    """Run an example with the command in the first line of its queue; all of its jobs succeed.

    Args:
        pegasus: where it is run.
        name: the folder.
        options: more options.
        on: a node to use instead of localhost.
    """
    queue = (EXAMPLES / name / "queue.yaml").read_text(encoding="utf-8")
    command = re.match(r"# pegasus (.*)\n", queue)
    assert command is not None, f"{name}: the first line names no command"
    hosts = (EXAMPLES / name / "hosts.yaml").read_text(encoding="utf-8")
    hosts = hosts.replace("localhost", on or "localhost")
    words = shlex.split(command[1])
    done = pegasus.run(*words, *options, hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    assert not yaml.safe_load(pegasus.queue_file.read_text(encoding="utf-8"))
    return done


def printed(done: Done) -> list[str]:
    """Return the lines that jobs printed, without their prefixes, in order."""
    return [line.partition("] ")[2] for line in done.stdout.splitlines() if " === " not in line]


def held(done: Done) -> list[str]:
    """Return the names of the sub-nodes that printed a line."""
    lines = (line for line in done.stdout.splitlines() if " === " not in line)
    return [line.partition("]")[0].removeprefix("[") for line in lines]


def rows(pegasus: Pegasus) -> list[dict[str, str]]:
    """Return the results of the newest run."""
    queue = f"--queue-file={pegasus.queue_file}"
    done = pegasus.start_bare("results", "--json", queue).wait()
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


HERE_AND_THERE = pytest.mark.parametrize("on", ["localhost", "node-1"])


@HERE_AND_THERE
def test_hello(pegasus: Pegasus, on: str) -> None:
    """The two jobs run one after the other, and know the name of their node."""
    done = run_example(pegasus, "hello", on=on)
    assert printed(done) == [f"hello from {on}", "and again"]
    assert pegasus.consumed_file.read_text(encoding="utf-8").count("command:") == 2


@HERE_AND_THERE
def test_sweep(pegasus: Pegasus, on: str) -> None:
    """Each of the eight combinations runs once, and the results have a column for each list."""
    done = run_example(pegasus, "sweep", on=on)
    trained = {re.sub(" on GPU.*", "", line) for line in printed(done)}
    assert len(trained) == len(printed(done)) == 8
    table = pegasus.start_bare("results", "--csv", f"--queue-file={pegasus.queue_file}").wait()
    results = list(csv.DictReader(io.StringIO(table.stdout)))
    names = ("param.model", "param.lr", "param.seed")
    assert len({tuple(row[name] for name in names) for row in results}) == len(results) == 8


@HERE_AND_THERE
def test_templates(pegasus: Pegasus, on: str) -> None:
    """A quoted value reaches the program unchanged, whatever is in it."""
    done = run_example(pegasus, "templates", on=on)
    assert {"<it's>", "<two  words>", "<$HOME>", "docker ps --format {{.Names}}"} <= {
        *printed(done)
    }


@HERE_AND_THERE
def test_pipeline(pegasus: Pegasus, on: str) -> None:
    """No stage begins before the one above it has ended."""
    lines = printed(run_example(pegasus, "pipeline", on=on))
    assert [line.split()[0] for line in lines] == [*["prepare"] * 3, *["train"] * 2, "report"]


@HERE_AND_THERE
def test_mixed_sizes(pegasus: Pegasus, on: str) -> None:
    """Each job holds as many slots as it needs, and the wide one is first to hold any."""
    lines = printed(run_example(pegasus, "mixed-sizes", on=on))
    widths = [re.search(r"on (\d) GPUs - ([\d,]+)", line) for line in lines]
    assert sorted(int(w[1]) for w in widths if w) == [2, 2, 2, 4]
    assert all(len(w[2].split(",")) == int(w[1]) for w in widths if w)
    assert sum("evaluate checkpoint" in line for line in lines) == 4
    slotted = [row for row in rows(pegasus) if "download" not in row["command"]]
    (wide,) = (row for row in slotted if "train on 4" in row["command"])
    assert all(row["started"] >= wide["ended"] for row in slotted if row is not wide)


@HERE_AND_THERE
def test_fleet_update(pegasus: Pegasus, on: str) -> None:
    """Each step runs on both machines before the next one, and differs by their role."""
    done = run_example(pegasus, "fleet-update", on=on)
    steps = [line[:6] for line in printed(done)]
    assert steps == ["step 1"] * 2 + ["step 2"] * 2
    assert {"step 2 - a database on this machine", "step 2 - a web server on this machine"} <= {
        *printed(done)
    }


@HERE_AND_THERE
def test_overnight(pegasus: Pegasus, on: str) -> None:
    """The jobs succeed, and the messages are in a file, the end of the run last."""
    done = run_example(pegasus, "overnight", on=on)
    assert len(printed(done)) == 4
    messages = (pegasus.folder / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(messages[-1])
    assert (last["event"], last["counts"]) == ("run_ended", {"succeeded": 4})


def test_gpus(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """Each job sees one GPU of its node, and a GPU that others use is left alone."""
    two = give_gpus(pegasus, make_nodes, nodes=2, gpus=2)
    two.gpus[0].use(0, 9000)
    done = run_example(two.pegasus, "gpus")
    seen = [
        (where.split()[0], line.split()[-1])
        for where, line in zip(held(done), printed(done), strict=True)
    ]
    assert len(seen) == 6
    assert {uuid for _, uuid in seen} <= {uuid_of(0), uuid_of(1)}
    assert ("node-1", uuid_of(0)) not in seen


def test_containers(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """A program in a container gets its words, and a shell in it gets its text, unchanged."""
    nodes = make_nodes(2)
    for node in nodes:
        docker = node.home / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text(DOCKER, encoding="utf-8")
        docker.chmod(0o755)
        (node.home / ".bashrc").write_text("PATH=$HOME/bin:$PATH\n", encoding="utf-8")
    done = run_example(pegasus.on(nodes), "containers")
    lines = printed(done)
    assert sorted(lines)[-3:] == [f"train --seed {seed}" for seed in (1, 2, 3)]
    assert "DONE" in lines
    assert any(re.fullmatch("it's in gpu[01]", line) for line in lines)


def test_many_nodes(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """Equal outputs are shown once with their nodes, and a rack can be chosen."""
    eight = pegasus.on(make_nodes(8))
    done = run_example(eight, "many-nodes")
    assert "node-[1-8] (8)\n---------------\nLinux\n" in done.stdout
    assert "node-[5-8] (4)\n---------------\nrack b\n" in done.stdout
    done = run_example(eight, "many-nodes", "--limit", "rack=b")
    assert "node-[5-8] (4)\n---------------\nLinux\n" in done.stdout
    assert "rack a" not in done.stdout


def test_every_example_is_complete() -> None:
    """Each folder is in the list and has a short README with the command of its queue file."""
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in FOLDERS:
        assert f"[{name}]({name}/README.md)" in listed
        readme = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
        assert len(readme.splitlines()) <= LONGEST_README
        queue = (EXAMPLES / name / "queue.yaml").read_text(encoding="utf-8")
        command = queue.splitlines()[0].removeprefix("# ")
        assert f"    {command}\n" in readme


def test_every_example_is_tested() -> None:
    """Each folder has a test here, or in the tests that need a Slurm cluster."""
    other = Path(__file__).resolve().parents[1] / "slurm" / "test_example.py"
    tests = Path(__file__).read_text(encoding="utf-8") + other.read_text(encoding="utf-8")
    tested = set(re.findall(r"^def test_(\w+)\(", tests, re.MULTILINE))
    assert {name.replace("-", "_") for name in FOLDERS} <= tested
