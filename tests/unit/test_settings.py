"""Promises of settings: which value counts, what is told, and what is an error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pegasus.cli import app
from pegasus.cli.settings import SETTABLE, SETTINGS_FILE

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text("utf-8")
LIMIT = 60.0  # seconds for a command; it takes one on an idle machine


class Desk:
    """A folder with a queue of one job, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder / "work", folder / "config"
        self.folder.mkdir()
        self.environ = {"XDG_CONFIG_HOME": str(self.config)}
        (self.folder / "hosts.yaml").write_text("- localhost\n")
        (self.folder / "queue.yaml").write_text("- echo hello\n")

    def write(self, text: str) -> None:
        (self.folder / SETTINGS_FILE).write_text(text)

    def write_own(self, text: str) -> None:
        (self.config / "pegasus").mkdir(parents=True)
        (self.config / "pegasus" / SETTINGS_FILE).write_text(text)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pegasus", *words],
            cwd=self.folder,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    def told(self, *words: str) -> str:
        """Run a command, and give what it says about settings."""
        return "".join(
            re.findall(r"^\[Pegasus\] Settings: (.*)\n", self.run(*words).stderr, re.MULTILINE)
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a folder to work in."""
    return Desk(tmp_path)


def test_the_order_of_the_places(desk: Desk) -> None:
    """The environment comes before the file of the folder, and this before that of the user."""
    desk.write_own("retries = 4\nstall = '4m'\ntimeout = '4m'\n")
    desk.write("retries = 3\nstall = '3m'\n")
    desk.environ["PEGASUS_OPTION_RETRIES"] = "2"
    own = desk.config / "pegasus" / SETTINGS_FILE
    assert desk.told("q") == (
        f"retries = 2 (PEGASUS_OPTION_RETRIES); stall = 3m (pegasus.toml); timeout = 4m ({own})."
    )


def test_the_command_line_comes_first(desk: Desk) -> None:
    """What stands on the command line counts, and is not told; so do false and ``-i``."""
    desk.write("retries = 3\ndetach = true\nerror-aborts = true\n")
    assert desk.told("q", "--retries", "1", "--detach=false", "-i") == ""


def test_one_command_comes_before_all(desk: Desk) -> None:
    """A value for one command comes first, also under the short name of the command."""
    desk.write("retries = 1\n[queue]\nretries = 2\n[broadcast]\nretries = 3\n")
    assert desk.told("q") == "retries = 2 (pegasus.toml)."
    assert desk.told("b") == "retries = 3 (pegasus.toml)."


def test_a_setting_has_its_effect(desk: Desk) -> None:
    """A job is tried again as often as the file says, and a list counts as several options."""
    (desk.folder / "queue.yaml").write_text("- exit 3\n")
    desk.write("retries = 1\nretry-on = ['exit:3', 'lost']\nno-live = true\n")
    assert desk.run("q").stderr.count("=== run") == 2


def test_the_record_has_what_is_set(desk: Desk) -> None:
    """Whoever reads the record of a run sees that its meaning was changed by a file, and by which.

    No file can change what becomes of a queue without this note.
    """
    desk.write("queue-file = 'other.yaml'\nerror-aborts = true\n")
    (desk.folder / "other.yaml").write_text("- exit 3\n- echo never\n")
    words = "queue-file = other.yaml (pegasus.toml); error-aborts = true (pegasus.toml)."
    done = desk.run("q")
    assert words in done.stderr
    assert "never" not in done.stdout
    (journal,) = desk.folder.glob(".pegasus/*/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [each for each in events if words in str(each)]


def test_other_commands_tell_it_too(desk: Desk) -> None:
    """Another command says on standard error that it has another queue file than usual."""
    desk.write("queue-file = 'other.yaml'\ncolor = 'never'\n")
    assert desk.told("add", "echo") == "queue-file = other.yaml (pegasus.toml)."
    assert (desk.folder / "other.yaml").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retires = 2", 'retires: no such option can be set. Is "retries" meant?'),
        ("now = true", "now: no such option can be set."),
        ("[queue]\nbatch = 3", "queue.batch: no such option can be set for `pegasus queue`."),
        ("[qeue]\nretries = 3", "qeue.retries: no such option can be set, and there is no such"),
        ("[q]\nretries = 3", "q.retries: no such option can be set, and there is no such"),
        ("retries = 'x'", "Invalid value for retries: 'x' is not a whole number."),
        ("retries = -1", "Invalid value for retries: '-1': it must be at least 0."),
        ("retries = [1, 2]", "retries: this option has one value, no list."),
        ("timeout = '5x'", "Invalid value for timeout: '5x' is no length of time"),
        ("retries = 1979-05-27", "retries: write a text, a number, true, false, or a list."),
        ("retry-on = []", "retry-on: write a text, a number, true, false, or a list."),
        ("[queue.retries]\nx = 1", "queue.retries: write a text, a number"),
        ("retries = [", "this is no readable TOML file: "),
    ],
)
def test_an_error_names_file_and_key(desk: Desk, text: str, said: str) -> None:
    """What is wrong in a file is one message with the file and the key; nothing is taken."""
    desk.write(text)
    done = desk.run("q")
    assert done.returncode == 2
    assert done.stderr.startswith(f"[Pegasus] pegasus.toml: {said}")
    assert done.stderr.count("\n") == 1
    assert not (desk.folder / "consumed.yaml").exists()


@pytest.mark.parametrize("name", ["RETIRES", "QUEUE_RETIRES", "QUEUE_", "", "QUEUE_BATCH"])
def test_an_unknown_variable(desk: Desk, name: str) -> None:
    """A variable with the prefix that is no option is an error, with its name."""
    desk.environ[f"PEGASUS_OPTION_{name}"] = "1"
    done = desk.run("q")
    assert done.returncode == 2
    assert done.stderr.startswith(f"[Pegasus] environment: PEGASUS_OPTION_{name}: no such option")


def test_variables_of_jobs_are_no_settings(desk: Desk) -> None:
    """A ``pegasus`` in a job or a notifier takes nothing from the variables of these."""
    names = ("QUEUE_FILE", "RUN", "JOB", "SUB_NODE", "TEXT", "RETRIES", "QUEUE_RETRIES")
    desk.environ |= {f"PEGASUS_{name}": "7" for name in names}
    done = desk.run("q")
    assert (done.returncode, done.stdout) == (0, "[localhost] hello\n")
    assert "Settings" not in done.stderr


def test_help_is_there_in_spite_of_errors(desk: Desk) -> None:
    """The help page does not need a correct file."""
    desk.write("retries = [")
    assert desk.run("q", "--help").returncode == 0
    assert desk.run("--version").returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_a_stranger(desk: Desk) -> None:
    """A file that another user has put into the folder is refused: it can name commands to run."""
    desk.write("notify = 'touch stolen'\n")
    os.chown(desk.folder / SETTINGS_FILE, 12345, 12345)
    done = desk.run("q")
    assert done.returncode == 2
    assert done.stderr.startswith("[Pegasus] pegasus.toml: another user wrote this file")


def test_the_example_of_the_reference(desk: Desk) -> None:
    """The reference shows a file, and what a run notes with it."""
    text, shown = re.findall(r"^```(?:toml|text)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    desk.write(text)
    (desk.folder / "cluster.ssh").write_text("")
    done = desk.run("q")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(shown)


def test_what_can_be_set_is_listed() -> None:
    """The reference lists each option that can be set; each one exists in some command."""
    listed = PAGE.partition("## What can be set")[2].partition("[Commands]")[0]
    assert set(re.findall("`([a-z-]+)`", listed)) == SETTABLE
    commands = {name for name in app if not name.startswith("-")}
    options = {
        name
        for command in commands
        for argument in app[command].assemble_argument_collection()
        for name in argument.names
    }
    assert {f"--{name}" for name in SETTABLE} <= options
