"""Blocks of guides that are lists of commands: each command is run after a run of its own.

That run has eight jobs on four sub-nodes; one of them failed. Other eight wait in the queue.
"""

from __future__ import annotations

import re
import shutil

import pytest

from tests.blocks import GUIDES, Block, read_blocks
from tests.e2e.guide_reader import Reader
from tests.e2e.runner import Pegasus

HERE = "tests/e2e/test_guide_commands.py"
PAGES = (
    "fleets.md",
    "look-at-a-run.md",
    "nodes-that-fail.md",
    "notifications.md",
    "overnight-runs.md",
    "reports.md",
)
HOSTS = "- hostname: localhost\n  gpu: [0, 1, 2, 3]\n"
QUEUE = """\
- command: echo {{ lr }}; echo {{ lr }} >&2; [ {{ lr }} != 3 ]
  lr: [1, 2, 3, 4, 5, 6, 7, 8]
"""
BLOCKS = [b for page in PAGES for b in read_blocks(GUIDES / page) if b.words == HERE]


def commands(block: Block) -> list[str]:
    """Return the lines of a block that are typed, without their prompts."""
    lines = block.text.splitlines()
    return [line.removeprefix("$ ") for line in lines if line and not line.startswith("#")]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_each_command_of_a_block(pegasus: Pegasus, block: Block) -> None:
    """Each command does what it is for: it fails where, and only where, a job does."""
    reader = Reader(pegasus)
    for command in commands(block):
        shutil.rmtree(pegasus.folder / ".pegasus", ignore_errors=True)
        before = pegasus.run("q", hosts=HOSTS, queue=QUEUE)
        assert "8 commands: 7 succeeded, 1 failed." in before.stderr
        pegasus.queue_file.write_text(QUEUE, encoding="utf-8")
        runs_jobs = command.split()[1] in {"q", "b"}
        reader.run(block, command, status=1 if runs_jobs else 0)
        for name in re.findall(r">+ *([\w.]+)", command):
            assert (pegasus.folder / name).stat().st_size > 0, block.place


def test_there_are_such_blocks() -> None:
    """Each page has one."""
    assert {block.page.name for block in BLOCKS} == set(PAGES)
