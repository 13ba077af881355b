"""The starter files of ``pegasus init``, and what a trial in a clone leaves."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.runner import Pegasus

ROOT = Path(__file__).resolve().parents[2]


def test_the_starter_files(pegasus: Pegasus) -> None:
    """``pegasus init`` writes files that run at once on localhost, and never overwrites a file."""
    assert pegasus.start_bare("init", "try").wait().status == 0
    there = pegasus.folder / "try"
    files = [f"--hosts-file={there / 'hosts.yaml'}", f"--queue-file={there / 'queue.yaml'}"]
    done = pegasus.start_bare("q", *files).wait()
    assert done.status == 0
    assert "Hello from localhost!" in done.stdout
    assert "5 commands: 5 succeeded." in done.stderr
    before = (there / "queue.yaml").read_text()
    again = pegasus.start_bare("init", "try").wait()
    assert again.status == 2
    assert "are there already; nothing was written" in again.stderr
    assert (there / "queue.yaml").read_text() == before


@pytest.mark.parametrize("there", ["hosts.yaml", "queue.yaml"])
def test_a_starter_file_that_is_missing(pegasus: Pegasus, there: str) -> None:
    """``pegasus init`` leaves a file as it is, and writes the other one."""
    (pegasus.folder / there).write_text("- localhost\n")
    done = pegasus.start_bare("init").wait()
    assert done.status == 0
    assert there not in done.stderr
    assert done.stderr.endswith("Now: pegasus q\n")
    assert (pegasus.folder / there).read_text() == "- localhost\n"
    assert pegasus.hosts_file.exists()
    assert pegasus.queue_file.exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_ignores_what_the_commands_of_the_readme_make(tmp_path: Path) -> None:
    """A trial of Pegasus in a clone leaves nothing to commit."""
    made = re.search(r"pegasus init (\w+) &&", (ROOT / "README.md").read_text())
    assert made is not None
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    names = [
        ".venv/bin/pegasus",
        f"{made[1]}/queue.yaml",
        "build/lib/x.py",
        "src/pegasus.egg-info/x",
    ]
    names += [f"examples/hello/{name}" for name in ("consumed.yaml", "queue.yaml.lock")]
    shown = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", *names],
        check=False,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == names
