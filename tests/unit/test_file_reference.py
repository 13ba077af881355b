"""Promises of the reference: what it shows of the two files is what they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pegasus import grid
from pegasus.demand import example_slots
from pegasus.errors import FileFault
from pegasus.findings import described
from pegasus.hosts_file import read_hosts
from pegasus.model import Pool, SubNode
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, WrittenBarrier
from pegasus.rendered import render
from tests.unit.taking import unfilled

NODE = SubNode(0, "node-1", (), "ssh", (Pool("gpu", "nvidia"), Pool("cpu", "nproc")))
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def examples(page: str) -> list[tuple[str, str]]:
    """Give each YAML block of a page with the block that follows it."""
    blocks = re.findall(
        r"^```\w+\n(.*?)^```$", (REFERENCE / page).read_text(), re.DOTALL | re.MULTILINE
    )
    return list(zip(blocks[::2], blocks[1::2], strict=True))


def queue_says(path: Path) -> str:
    """Give the commands of a queue file, filled in on NODE, or its fault."""
    texts = []
    for found in QueueFile(path).reader():
        if isinstance(found, FileFault):
            return f"{found}\n"
        if isinstance(found, WrittenBarrier):
            texts.append(f"--- barrier: {found.barrier.kind} ---")
            continue
        slots = example_slots(found.entry.demand, NODE)
        texts += [render(job, NODE, slots) for job in grid.jobs(found.entry)]
    return "".join(f"{text.rstrip()}\n" for text in texts)


def hosts_say(path: Path) -> str:
    """Give the sub-nodes of a hosts file, or its fault."""
    try:
        return "".join(f"{described(sub_node)}\n" for sub_node in read_hosts(path))
    except FileFault as fault:
        return f"{fault}\n"


def after_a_take(path: Path) -> str:
    """Give what is left of a queue file when one job is taken."""
    LockedQueue(str(path), path).take(FirstJobs([unfilled]))
    return path.read_text()


CASES = [
    *(("queue.yaml", queue_says, *example) for example in examples("queue-file.md")[:-1]),
    ("queue.yaml", after_a_take, *examples("queue-file.md")[-1]),
    *(("hosts.yaml", hosts_say, *example) for example in examples("hosts-file.md")),
]


@pytest.mark.parametrize(("name", "say", "text", "expected"), CASES)
def test_an_example_of_the_reference_is_true(
    *,
    name: str,
    say: Callable[[Path], str],
    text: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every example on the pages about the files stands for what the page says."""
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.write_text(text)
    assert say(path) == expected
