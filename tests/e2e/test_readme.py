"""The first screen of the README: its two files give the output that it shows."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.runner import Pegasus

README = Path(__file__).parents[2] / "README.md"
FIRST_SCREEN = 40  # lines

BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def plain(line: str) -> str:
    """Replace what differs from run to run: times, the name of the run, and which GPU is free."""
    line = re.sub(r"\d+-\d{8}-\d{6}-\d+", "RUN", line)
    line = re.sub(r"after [\d.]+ s", "after N s", line)
    line = re.sub(r" --queue-file \S+", "", line)
    return re.sub(r"gpu(=| )\d", r"gpu\1N", line).strip()


def test_the_first_screen(pegasus: Pegasus) -> None:
    """Files, command and output stand in the first forty lines, and the output is real."""
    (_, hosts), (_, queue), (_, shown) = BLOCK.findall(README.read_text(encoding="utf-8"))[:3]
    first = "".join(README.read_text(encoding="utf-8").splitlines(keepends=True)[:FIRST_SCREEN])
    assert shown in first
    assert "live-screen.svg" in first
    command, *lines = shown.splitlines()
    assert command == "$ pegasus q"
    done = pegasus.run("q", hosts=hosts, queue=queue)
    assert done.status == 1
    printed = f"{done.stdout}{done.stderr}".replace(f"{pegasus.folder}/", "")
    real = {plain(line) for line in printed.splitlines()}
    told = [plain(line) for line in lines if line.strip() != "…"]
    assert [line for line in told if line not in real] == []


def test_where_a_command_runs() -> None:
    """The README says where and how a command runs, and that no files are copied."""
    text = " ".join(README.read_text(encoding="utf-8").split())
    for words in ("in your home directory on the node", "under `sh -c`", "copies no files"):
        assert words in text
