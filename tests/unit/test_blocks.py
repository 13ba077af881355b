"""Each code block of the README, the tutorial and the guides is run by a test, or says why not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pegasus.cli import app
from pegasus.errors import FileFault
from pegasus.hosts_file import read_hosts
from pegasus.queue_file import QueueFile
from tests.blocks import GUIDES, ROOT, Block, read_blocks

PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", *sorted(GUIDES.glob("*.md"))]
BLOCKS = [block for page in PAGES for block in read_blocks(page)]
SHELLS = ("sh", "console")
NOT_OURS = "for the original"
"""Words of the reason of a block that is no valid file here."""

EACH = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)


def commands(block: Block) -> list[list[str]]:
    """Return the words of each call of ``pegasus`` in a block of a shell."""
    text = block.text
    if block.language == "console":
        lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
        text = "\n".join(lines)
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.commenters = ""
    lexer.whitespace_split = True
    found: list[list[str]] = []
    call: list[str] | None = None
    for word in lexer:
        if set(word) <= set("();<>|&") or word == "#":
            call = None
        elif call is not None:
            call.append(word)
        elif word == "pegasus":
            call = []
            found.append(call)
    return found


@EACH
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    """A comment right above names the test that runs the block, or says why none does."""
    how = "write <!-- run by: tests/... --> or <!-- not run: REASON --> in the line above it"
    assert block.kind, f"{block.place}: {how}"
    if block.kind == "run by":
        test = ROOT / block.words
        assert test.is_file(), f"{block.place}: there is no {block.words}"
        assert block.page.name in test.read_text(encoding="utf-8"), (
            f"{block.place}: {block.words} does not name {block.page.name}"
        )


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language in SHELLS], ids=lambda block: block.place
)
def test_a_command_is_one_that_pegasus_has(block: Block) -> None:
    """The command line accepts each command with its options, also where the block is not run."""
    for words in commands(block):
        app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    "block",
    [b for b in BLOCKS if b.language == "yaml" and NOT_OURS not in b.words],
    ids=lambda block: block.place,
)
def test_a_file_is_valid(block: Block, tmp_path: Path) -> None:
    """A block of YAML is a valid queue file or a valid hosts file."""
    path = tmp_path / "file.yaml"
    path.write_text(block.text.replace("slurm: {}", "slurm: {nodes: 1}"), encoding="utf-8")
    faults = [entry for entry in QueueFile(path).reader() if isinstance(entry, FileFault)]
    if faults:
        assert read_hosts(path), f"{block.place}: {faults[0]}"


def test_the_blocks_are_found() -> None:
    """A fence that begins in a page belongs to a block that is found."""
    for page in PAGES:
        fences = re.findall(r"^ *```\w+$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == len(read_blocks(page)), page.name
