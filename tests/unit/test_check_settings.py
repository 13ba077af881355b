"""Promises of ``pegasus check`` about settings: it refuses what a run would refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.cli.settings import SETTINGS_FILE
from tests.unit.settings_desk import SettingsDesk


@pytest.fixture
def desk(tmp_path: Path) -> SettingsDesk:
    """Give a folder to work in."""
    return SettingsDesk(tmp_path)


def test_check_refuses_what_others_would(desk: SettingsDesk) -> None:
    """Each wrong value is an error for ``check``, also in a place that does not count."""
    desk.write_own("retries = 'x'\n[b]\nbatch = 0\n")
    desk.write("retries = 2\neditor = 5\n[queue]\ntimeout = '5x'\nstall = '5m'\n")
    desk.environ["PEGASUS_OPTION_DETACH"] = "maybe"
    done = desk.run("check")
    own = desk.config / "pegasus" / SETTINGS_FILE
    begins = [
        "environment: PEGASUS_OPTION_DETACH: 'maybe' is not true or false.",
        "pegasus.toml: editor: write a text in quotes",
        "pegasus.toml: Invalid value for queue.timeout: '5x' is no length of time",
        f"{own}: Invalid value for retries: 'x' is not a whole number.",
        f"{own}: Invalid value for b.batch: ",
    ]
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == len(begins), lines
    for line, begin in zip(lines, begins, strict=True):
        assert line.startswith(f"[Pegasus] {begin}")


@pytest.mark.parametrize(
    ("text", "begin", "told"),
    [
        ("notify = ' '", "--notify: the command is empty", "notify = ' ' (pegasus.toml)"),
        ("shell = '\"'", "--shell '\"': a quote in this shell is not closed", 'shell = "'),
        ("give-up = '1h'", "--give-up says how long", "give-up = 1h (pegasus.toml)"),
        ("error-aborts = true\nmax-failures = 3", "--error-aborts (-e) means", "error-"),
    ],
)
def test_check_refuses_what_a_run_would(
    desk: SettingsDesk, text: str, begin: str, told: str
) -> None:
    """Settings that a run refuses, alone or together, are an error for ``check``."""
    desk.write(text)
    done = desk.run("check")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"[Pegasus] {begin}")
    assert f" Settings: {told}" in line


@pytest.mark.parametrize(
    ("text", "name", "begin"),
    [
        ("quiet = true\n[b]\ngather = true", "broadcast", "--quiet (-q) shows no output"),
        ("retry-on = 'lost'\n[q]\nretries = 2", "broadcast", "--retry-on says after which"),
        ("[q]\ngive-up = '1h'", "queue", "--give-up says how long to wait"),
    ],
)
def test_check_says_what_one_mode_would_refuse(
    desk: SettingsDesk, text: str, name: str, begin: str
) -> None:
    """Settings that only one of the modes refuses are told, and nothing is refused."""
    desk.write(text)
    done = desk.run("check")
    assert done.returncode == 0
    assert done.stderr.startswith(f"[Pegasus] `pegasus {name}` would be refused: {begin}")
    assert done.stdout


def test_check_refuses_a_missing_configuration_of_ssh(desk: SettingsDesk) -> None:
    """A run would end at once, and so does ``check``, with or without ``--connect``."""
    desk.write("ssh-config = '/nonexistent'")
    done = desk.run("check")
    assert (done.returncode, done.stdout) == (2, "")
    assert "/nonexistent: there is no such ssh configuration file." in done.stderr


def test_settings_of_a_run_are_no_cause_of_other_faults(desk: SettingsDesk) -> None:
    """A fault of a file that ``check`` finds is told without the settings of runs."""
    desk.write("retries = 2")
    (desk.folder / "queue.yaml").write_text("- [a\n")
    done = desk.run("check")
    assert done.returncode == 2
    assert "Settings:" not in done.stdout + done.stderr


def test_check_accepts_what_is_right(desk: SettingsDesk) -> None:
    """Correct settings of other commands change nothing for ``check``, and are not told."""
    desk.write("retries = 2\nnotify = 'touch never'\n[lock]\neditor = 'touch never'\n")
    done = desk.run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (desk.folder / "never").exists()


@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("timeout = 2h", 'timeout = "2h"'),
        ("hosts-file = nope.yaml  # mine", 'hosts-file = "nope.yaml"'),
        ("retry-on = exit:137", 'retry-on = "exit:137"'),
        ("limit = [a, b]", 'limit = ["a", "b"]'),
        ("detach = yes", "detach = true"),
        ("detach = False", "detach = false"),
        ("retries: 3", "retries = 3"),
        ("stall 5m", 'stall = "5m"'),
    ],
)
def test_a_line_that_is_no_toml(desk: SettingsDesk, line: str, better: str) -> None:
    """A text without quotes or a colon instead of ``=``: the message has the line to write."""
    desk.write(f"[queue]\n{line}\n")
    assert desk.run("check").stderr == (
        "[Pegasus] pegasus.toml: line 2 is no TOML: texts stand in quotes, and = follows a name. "
        f"Write `{better}`.\n"
    )


@pytest.mark.parametrize("text", ["retries = 1\nretries = 1", "retries", "a = 'b", "[q", "a = ["])
def test_other_mistakes_in_toml(desk: SettingsDesk, text: str) -> None:
    """Where it is uncertain what was meant, the words of the parser are given."""
    desk.write(f"{text}\n")
    stderr = desk.run("check").stderr
    assert stderr.startswith("[Pegasus] pegasus.toml: this is no readable TOML file: ")
    assert stderr.endswith(". Texts stand in quotes. Correct or remove it.\n")
