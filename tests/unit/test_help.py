"""Help texts and errors of the command line: what a user reads first."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pegasus.cli import app

WIDTH = 80

GONE = ("[default: False]", "FLOAT", "INT", "STR", "BOOL", "Unused Tokens", "unable to convert")
"""Words of a library that mean nothing to a user."""


def names() -> list[str]:
    """Give the name of every command, each once."""
    found = {app[name].name[0] for name in app if not name.startswith("-")}
    return sorted(found)


def pegasus(*words: str, width: int = WIDTH) -> subprocess.CompletedProcess[str]:
    """Run ``pegasus`` without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "pegasus", *words],
        env={"PATH": "/usr/bin:/bin", "COLUMNS": str(width)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_help() -> None:
    """It fits on one screen, groups the commands by what users do, and says how to begin."""
    text = pegasus("--help").stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    groups = [line.rstrip(":") for line in lines if re.fullmatch(r"[A-Z][a-z]+:", line)]
    assert groups == ["Run", "Steer", "Look", "Prepare", "Other"]
    assert [name for name in names() if f"  {name}" not in text] == []
    assert "pegasus init" in text


@pytest.mark.parametrize("name", names())
def test_help(name: str) -> None:
    """Each help is as wide as its terminal, has a usage, an example, and no jargon of a library."""
    done = pegasus(name, "--help")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    assert done.stdout.startswith(f"Usage: pegasus {name}")
    assert f"Example: pegasus {name[0]}" in done.stdout
    assert [word for word in GONE if word in done.stdout] == []
    narrow = pegasus(name, "--help", width=60).stdout
    assert max(map(len, narrow.splitlines())) <= 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("q extra", '"extra" is one argument too many for `pegasus q`.'),
        ("logs 1 2", '"2" is one argument too many for `pegasus logs`.'),
        ("logs abc", "Invalid value for JOB: 'abc' is not a whole number."),
        ("q --retries x", "Invalid value for --retries: 'x' is not a whole number."),
        ("q --retries 1.5", "Invalid value for --retries: '1.5' is not a whole number."),
        ("retry 1 x", "'x' is not a whole number."),
        ("q -p -1", "Invalid value for -p: '-1': it must be at least 0."),
        ("q --timeout 5x", "Invalid value for --timeout: '5x' is no length of time: write 90,"),
        ("q --color blue", "Invalid value for --color: 'blue' is not auto, always or never."),
        ("q --detach=maybe", "--detach takes no value. Leave out 'maybe'."),
        ("q --nope", "Unknown option: --nope. Did you mean --no-live?"),
        ("statsu", 'Unknown command "statsu". Did you mean "status"?'),
        ("lock --editor", "--editor needs a value."),
        ("q --timeout 1 --timeout 2", "--timeout is given twice. Give it once."),
    ],
)
def test_errors(words: str, message: str) -> None:
    """An error names what was typed and what belongs there, and says where to read more."""
    done = pegasus(*words.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("[Pegasus] ")
    assert message in done.stderr
    assert re.search(r"See `pegasus.* --help`\.$", done.stderr)
    assert [word for word in GONE if word in done.stderr] == []
