"""Follows docs/tutorial.md with an installed Pegasus: its commands, in its order, on localhost."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.blocks import ROOT, Block, read_blocks
from tests.packaging.clean import Clean
from tests.packaging.steps import PackagingFault

TUTORIAL = ROOT / "docs" / "tutorial.md"


def follow_tutorial(clean: Clean, program: Sequence[str | Path]) -> int:
    """Do what the tutorial says, and return how many blocks of it that were.

    Raises:
        PackagingFault: a command failed, or did not print what the tutorial shows.
    """
    wrapper = clean.folder / "typed" / "pegasus"
    wrapper.parent.mkdir()
    words = shlex.join(map(str, program))
    wrapper.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    reader = replace(clean, first_on_path=wrapper.parent)
    folder, queue = clean.folder, ""
    blocks = [block for block in read_blocks(TUTORIAL) if block.kind == "run by"]
    for block in blocks:
        if block.language == "console":
            folder = _type(reader, block, folder)
        elif "hostname:" in block.text:
            (folder / "hosts.yaml").write_text(block.text, encoding="utf-8")
            _run_queue(reader, folder, queue, on=re.findall(r"\w+(?=[,\]])", block.text))
        else:
            queue = block.text
            _run_queue(reader, folder, queue, on=[])
    return len(blocks)


def _run_queue(reader: Clean, folder: Path, queue: str, on: Sequence[str]) -> None:
    """Run a queue, and look for lines of sub-nodes with these values of a parameter."""
    (folder / "queue.yaml").write_text(queue, encoding="utf-8")
    printed = reader.run(["pegasus", "q"], folder)
    if missing := [value for value in on if f"={value})] " not in printed]:
        raise PackagingFault(f"nothing ran on the sub-nodes {', '.join(missing)}:\n{printed}")


def _type(reader: Clean, block: Block, folder: Path) -> Path:
    """Type the commands of a block, and return the folder in which they end."""
    commands = re.findall(r"^\$ (.*)$", block.text, re.MULTILINE)
    printed = reader.run(["sh", "-ec", "\n".join([*commands, "pwd"])], folder)
    shown = re.split(r"^(?:\$ .*| *…)\n", block.text, flags=re.MULTILINE)
    expected = ".*".join(map(re.escape, shown))
    if not re.search(expected, printed, re.DOTALL):
        raise PackagingFault(f"{block.place}: its commands printed something else:\n{printed}")
    return Path(os.path.normpath(printed.splitlines()[-1]))
