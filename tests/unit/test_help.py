"""Help texts and errors of the command line: what a user reads first."""

from __future__ import annotations

import re
import subprocess

import pytest

from pegasus.cli import app
from pegasus.cli.hints import MEANING_ALL, OTHER_COMMANDS, OTHER_OPTIONS
from tests.forked import run_forked

WIDTH = 80

GONE = ("[default: False]", "FLOAT", "INT", "STR", "BOOL", "Unused Tokens", "unable to convert")
"""Words of a library that mean nothing to a user."""


def names() -> list[str]:
    """Give the name of every command, each once."""
    found = {app[name].name[0] for name in app if not name.startswith("-")}
    return sorted(found)


def pegasus(*words: str, width: int = WIDTH) -> subprocess.CompletedProcess[str]:
    """Run ``pegasus`` without a terminal."""
    return run_forked(list(words), env={"PATH": "/usr/bin:/bin", "COLUMNS": str(width)})


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
        ("q --retry 2", "Unknown option: --retry. Did you mean --retries?"),
        ("q --dry-run", "Unknown option: --dry-run. `pegasus check` lists what would run"),
        ("q --batch 2", "Unknown option: --batch. It is an option of `pegasus broadcast`."),
        ("q --resume", "Unknown option: --resume. It is an option of `pegasus broadcast`."),
        ("q --gather", "Unknown option: --gather. It is an option of `pegasus broadcast`."),
        ("stop --retries 2", "an option of `pegasus queue` and `pegasus broadcast`."),
        ("q --gathr", "Unknown option: --gathr. Did you mean --gather of `pegasus broadcast`?"),
        ("q --xyzzy", "Unknown option: --xyzzy. See"),
        ("q -xde", "Unknown option: -xde. -x is not a recognized option."),
        ("kill 3", 'Unknown command "kill". `pegasus stop JOB` ends a running job'),
        ("rm 3", 'Unknown command "rm". `pegasus stop JOB` ends a running job'),
        ("run", 'Unknown command "run". `pegasus q` runs each job once'),
        ("help", 'Unknown command "help". `pegasus --help` lists the commands'),
        ("version", 'Unknown command "version". `pegasus --version` shows the version.'),
        ("ps", 'Unknown command "ps". `pegasus status` shows what runs'),
        ("nonsense", 'Unknown command "nonsense". See'),
        ("results 1 --run 2", 'The run is given twice: as "1" and with --run. Give it once.'),
        ("results 1 2", '"2" is one argument too many for `pegasus results`. See'),
        ("q queue.yaml", "Write `--queue-file queue.yaml` for this file."),
        ("check hosts.yaml", "Write `--hosts-file hosts.yaml` for this file."),
        ("lock a/queue.yaml", "Write `--queue-file a/queue.yaml` for this file."),
        ("logs jobs.yaml", "Write `--queue-file jobs.yaml` for this file."),
        ("check --hosts x", "Unknown option: --hosts. Did you mean --hosts-file?"),
        ("status 3", "Write `--run 3` for this run."),
        ("retry all", "Without numbers, `pegasus retry` takes all jobs that did not succeed."),
        ("stop all", "`pegasus stop` drains the run, and --now also ends all its jobs."),
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


def test_an_option_in_the_place_of_a_command() -> None:
    """``-v`` is often the version; of others it is said where they belong."""
    assert "`pegasus --version` shows the version." in pegasus("-v").stderr
    assert "Write the command first and its options after it" in pegasus("-x").stderr


def test_hints_name_what_there_is() -> None:
    """Each command and each option that a hint names exists, and none is given for what exists."""
    hints = [*OTHER_COMMANDS.values(), *OTHER_OPTIONS.values(), *MEANING_ALL.values()]
    named = {word for hint in hints for word in re.findall(r"`pegasus ([a-z]+)", hint)}
    assert named <= set(app)
    assert not set(OTHER_COMMANDS) & set(app)
    queue = [name for each in app["queue"].assemble_argument_collection() for name in each.names]
    meant = {hint for hint in OTHER_OPTIONS.values() if hint.startswith("-")}
    assert meant <= set(queue)
    assert not set(OTHER_OPTIONS) & set(queue)
