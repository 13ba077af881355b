"""How Pegasus starts: what a command does not need is not loaded. Promised without a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pegasus import __version__

HEAVY = {
    "trio",
    "cyclopts",
    "rich",
    "yaml",
    "filelock",
    "chevron",
    "jinja2",
    "jmespath",
    "textcase",
}
"""What takes long to load."""


def start(*words: str, at: Path) -> subprocess.CompletedProcess[str]:
    """Run ``pegasus``, with a line on standard error for each module that is loaded."""
    argv = [sys.executable, "-X", "importtime", "-m", "pegasus", *words]
    return subprocess.run(argv, cwd=at, capture_output=True, text=True, check=True)


def loaded(started: subprocess.CompletedProcess[str]) -> set[str]:
    """Give the names of the modules that were loaded."""
    lines = started.stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_the_version_is_told_at_the_door(tmp_path: Path) -> None:
    """`pegasus --version` loads nothing of Pegasus but the number."""
    started = start("--version", at=tmp_path)
    assert started.stdout == f"{__version__}\n"
    modules = loaded(started)
    assert "pegasus" in modules
    assert not {name for name in modules if name.startswith("pegasus.")}
    assert not modules & HEAVY


@pytest.mark.parametrize("words", [["--version", "--version"], ["q", "--version"]])
def test_the_version_beside_other_words(words: list[str], tmp_path: Path) -> None:
    """Wherever it stands, `--version` gives the same."""
    assert start(*words, at=tmp_path).stdout == f"{__version__}\n"


@pytest.mark.parametrize("words", ["status", "logs", "results", "report -o -"])
def test_looking_needs_no_trio(words: str, tmp_path: Path) -> None:
    """The commands that read a run read files: the way to run anything is not loaded."""
    (tmp_path / "queue.yaml").write_text("- echo one\n", encoding="utf-8")
    (tmp_path / "hosts.yaml").write_text("- localhost\n", encoding="utf-8")
    start("queue", at=tmp_path)
    started = start(*words.split(), at=tmp_path)
    assert "echo one" in started.stdout
    assert ("jinja2" in loaded(started)) == ("report" in words)
    assert "trio" not in loaded(started)
    rooms = {"dispatch", "transport", "screen", "process", "record.recording"}
    assert not loaded(started) & {f"pegasus.{room}" for room in rooms}


@pytest.mark.parametrize(
    "words", [["status", "--json"], ["queue"], ["check"], ["add", "true"]], ids=" ".join
)
def test_help_is_loaded_for_help(words: list[str], tmp_path: Path) -> None:
    """What only lays out help and errors is not loaded by a command that runs."""
    (tmp_path / "queue.yaml").write_text("- true\n", encoding="utf-8")
    (tmp_path / "hosts.yaml").write_text("- localhost\n", encoding="utf-8")
    modules = loaded(start(*words, at=tmp_path))
    assert "cyclopts" in modules
    assert not modules & {"cyclopts.help", "rich.markdown", "docstring_parser", "jinja2"}


def test_localhost_needs_no_ssh(tmp_path: Path) -> None:
    """A run on localhost starts no ssh, whether there is one or not."""
    (tmp_path / "queue.yaml").write_text("- true\n", encoding="utf-8")
    (tmp_path / "hosts.yaml").write_text("- localhost\n", encoding="utf-8")
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\necho >{tmp_path}/asked\n", encoding="utf-8")
    ssh.chmod(0o755)
    path = f"{ssh.parent}:/usr/bin:/bin"
    argv = [sys.executable, "-m", "pegasus", "queue"]
    subprocess.run(argv, cwd=tmp_path, env={"PATH": path}, capture_output=True, check=True)
    assert not (tmp_path / "asked").exists()
