"""Each example of the guides for GPUs runs, on nodes with fake GPUs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.gpus import give_gpus, give_program
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"^```yaml\n(# (?:hosts|queue)\.yaml\n.*?)^```$", re.MULTILINE | re.DOTALL)
README = GUIDES.parents[1] / "README.md"
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README_QUEUE = next(each for each in _YAML.findall(README.read_text("utf-8")) if "needs" in each)
"""The queue of the README with jobs of several GPUs."""


def examples(guide: str) -> list[tuple[str, str]]:
    """Return each queue of a guide, with the hosts that precede it."""
    found: list[tuple[str, str]] = []
    hosts = "- hostname: [node-1, node-2]\n  slots: {gpu: nvidia}\n"
    for text in BLOCK.findall((GUIDES / guide).read_text(encoding="utf-8")):
        if text.startswith("# hosts.yaml"):
            hosts = text
        else:
            found.append((hosts, text))
    return found


@pytest.mark.parametrize("guide", ["gpus.md", "shared-machines.md", "first-this-then-that.md"])
def test_the_examples(pegasus: Pegasus, make_nodes: Callable[..., Nodes], guide: str) -> None:
    """Each queue runs to its end, and each of its commands starts."""
    two = give_gpus(pegasus, make_nodes, nodes=2, gpus=8)
    programs = ("python", "torchrun", "docker")
    for node in two.nodes:
        for name in programs:
            give_program(node, name)
    for hosts, queue in examples(guide):
        if "MIG" in hosts:
            two.gpus[0].split(0)
        done = two.pegasus.run("q", hosts=hosts, queue=queue)
        assert done.status == 0, f"{queue}\n{done.stderr}"
        assert not yaml.safe_load(two.pegasus.queue_file.read_text())
    started = [line for node in range(2) for line in two.read("started", node)]
    entries = [entry for _, queue in examples(guide) for entry in yaml.safe_load(queue)]
    assert len(started) >= len(entries)
    assert {line.split()[0] for line in started} <= set(programs)


def test_there_are_examples() -> None:
    """The examples are found."""
    assert len(examples("gpus.md")) > 5
    assert len(examples("shared-machines.md")) > 1
    assert examples("first-this-then-that.md")
    assert "needs" in README_QUEUE


def test_the_example_of_the_readme(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """The trainings get four GPUs each, and the evaluation starts after the last of them."""
    two = give_gpus(pegasus, make_nodes, nodes=2, gpus=8)
    for node in two.nodes:
        for name in ("python", "torchrun"):
            give_program(node, name)
    hosts = "- hostname: [node-1, node-2]\n  slots: {gpu: nvidia}\n"
    done = two.pegasus.run("q", hosts=hosts, queue=README_QUEUE)
    assert done.status == 0, done.stderr
    started = [line for node in range(2) for line in two.read("started", node)]
    assert sum("torchrun <--nproc-per-node> <4>" in line for line in started) == 3
    assert "Barrier passed" in done.stderr
