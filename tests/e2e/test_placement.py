"""Jobs of several widths on real nodes: who gets which slots, and what is kept for whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.gpus import GpuNodes, gated
from tests.e2e.journals import outcomes
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes, wait_until

HOLDING = """\
for slot in $(echo {{ gpu }} | tr , ' '); do mkdir ~/held-$slot || exit 9; done
sleep 0.0{{ n }}; rmdir $(printf "$HOME/held-%s " $(echo {{ gpu }} | tr , ' '))
"""
"""A command that fails if another one holds one of its slots."""


@pytest.fixture
def two(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> GpuNodes:
    """Two nodes."""
    nodes = make_nodes(2)
    return GpuNodes(pegasus.on(nodes), nodes, [])


def hosts(slots: str) -> str:
    """Write a hosts file of both nodes."""
    return f"- hostname: [node-1, node-2]\n  slots: {{gpu: {slots}}}\n"


def entry(command: str, needs: int, more: str = "") -> str:
    """Write an entry of the queue file."""
    indented = command.replace("\n", "\n    ")
    return f"- command: |\n    {indented}\n  needs: {{gpu: {needs}}}\n{more}"


def test_no_slot_is_held_twice(two: GpuNodes) -> None:
    """Jobs of three widths, each of which would fail beside another one on its slots."""
    queue = "".join(
        entry(HOLDING, needs, f"  n: [{', '.join(map(str, range(count)))}]\n")
        for needs, count in ((1, 9), (4, 2), (2, 9), (1, 9), (3, 3), (1, 5))
    )
    done = two.pegasus.run("q", hosts=hosts("0-3"), queue=queue)
    assert done.status == 0, done.stderr
    assert outcomes(two.pegasus) == {"exited": 37}


def test_what_is_kept_for_a_wide_job(two: GpuNodes) -> None:
    """A free slot is kept for a wide job, and the other node goes on with the jobs behind it."""
    queue = "".join(entry(gated(name), 1) for name in "abcd")
    queue += entry(gated("wide"), 2) + "".join(entry(gated(name), 1) for name in "ef")
    running = two.pegasus.start("q", hosts=hosts("0-1"), queue=queue)
    for name in "abcd":
        two.began(name)
    first, second = (
        [name for name in "abcd" if two.read(f"began-{name}", node)] for node in (0, 1)
    )
    assert len(first) == len(second) == 2
    two.let_end(first[0])
    kept = "needs 2 slots of gpu; node-1 is kept for it: 1 of 2 is free"
    wait_until(lambda: kept in two.status(), what="what the wide job waits for", glance=0.3)
    assert not two.has_begun("e")
    two.let_end(second[0])
    two.began("e")
    assert two.read("began-e", node=1)
    assert not two.has_begun("wide")
    two.let_end(first[1])
    two.began("wide")
    assert two.read("began-wide", node=0) == ["0,1"]
    for name in ("wide", "d", second[1], "e", "f"):
        two.let_end(name)
    assert running.wait().status == 0
