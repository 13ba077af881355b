"""Every example runs unchanged, by the command that its queue file names."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e.runner import Pegasus

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example(pegasus: Pegasus, folder: Path) -> None:
    """The example's command succeeds and leaves an empty queue."""
    queue = (folder / "queue.yaml").read_text()
    command = re.match(r"# pegasus (.*)\n", queue)
    assert command is not None, f"{folder}: the first line names no command"
    hosts = (folder / "hosts.yaml").read_text()
    done = pegasus.run(*command[1].split(), hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    assert not yaml.safe_load(pegasus.queue_file.read_text())


def test_every_example_is_listed() -> None:
    """The list of examples is complete."""
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"[{folder.name}]({folder.name})" in listed for folder in FOLDERS)


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
    assert (pegasus.folder / there).read_text() == "- localhost\n"
    assert pegasus.hosts_file.exists()
    assert pegasus.queue_file.exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_ignores_what_the_commands_of_the_readme_make(tmp_path: Path) -> None:
    """A trial of Pegasus in a clone leaves nothing to commit."""
    root = EXAMPLES.parent
    made = re.search(r"pegasus init (\w+) &&", (root / "README.md").read_text())
    assert made is not None
    shutil.copy(root / ".gitignore", tmp_path)
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
