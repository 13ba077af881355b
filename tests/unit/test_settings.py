"""Promises of settings: which value counts, what is told, and what is an error."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from pegasus.cli import app
from pegasus.cli.settings import SETTABLE, SETTINGS_FILE
from tests.unit.settings_desk import SettingsDesk

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text("utf-8")


UNKNOWN = "no such option can be set, and there is no such command."


@pytest.fixture
def desk(tmp_path: Path) -> SettingsDesk:
    """Give a folder to work in."""
    return SettingsDesk(tmp_path)


def test_the_order_of_the_places(desk: SettingsDesk) -> None:
    """The environment comes before the file of the folder, and this before that of the user."""
    desk.write_own("retries = 4\nstall = '4m'\ntimeout = '4m'\n")
    desk.write("retries = 3\nstall = '3m'\n")
    desk.environ["PEGASUS_OPTION_RETRIES"] = "2"
    own = desk.config / "pegasus" / SETTINGS_FILE
    assert desk.told("q") == (
        f"retries = 2 (PEGASUS_OPTION_RETRIES); stall = 3m (pegasus.toml); timeout = 4m ({own})."
    )


def test_the_command_line_comes_first(desk: SettingsDesk) -> None:
    """What stands on the command line counts, and is not told; so do false and ``-i``."""
    desk.write("retries = 3\ndetach = true\nerror-aborts = true\n")
    assert desk.told("q", "--retries", "1", "--detach=false", "-i") == ""


def test_one_command_comes_before_all(desk: SettingsDesk) -> None:
    """A value for one command comes first, also under the short name of the command."""
    desk.write("retries = 1\n[queue]\nretries = 2\n[broadcast]\nretries = 3\n")
    assert desk.told("q") == "retries = 2 (pegasus.toml)."
    assert desk.told("b") == "retries = 3 (pegasus.toml)."


def test_a_setting_has_its_effect(desk: SettingsDesk) -> None:
    """A job is tried again as often as the file says, and a list counts as several options."""
    (desk.folder / "queue.yaml").write_text("- exit 3\n")
    desk.write("retries = 1\nretry-on = ['exit:3', 'lost']\nno-live = true\n")
    assert desk.run("q").stderr.count("=== run") == 2


def test_the_record_has_what_is_set(desk: SettingsDesk) -> None:
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


def test_what_a_run_sets_is_not_added_to_the_queue(desk: SettingsDesk) -> None:
    """``shell`` and ``chdir`` are those of runs, and cannot be set for new jobs."""
    desk.write("shell = 'bash -lc'\n")
    assert desk.told("add", "a") == ""
    assert desk.told("q") == "shell = bash -lc (pegasus.toml)."
    desk.write("[add]\nchdir = 'work'\n")
    done = desk.run("add", "b")
    assert done.returncode == 2
    assert "pegasus.toml: add.chdir: no such option can be set for `pegasus add`" in done.stderr


def test_other_commands_tell_it_too(desk: SettingsDesk) -> None:
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
        ("[queu]\nretries = 3", f'queu.retries: {UNKNOWN} Is "queue" meant?'),
        ("[ad]\nmax-unreachable = 3", f'ad.max-unreachable: {UNKNOWN} Is "add" meant?'),
        ("[queu]", f'queu: {UNKNOWN} Is "queue" meant?'),
        ("[hosts]\nfile = 'x'", f'hosts.file: {UNKNOWN} Is "hosts-file" meant?'),
        ("[xyz]\nfoo = 'x'", f"xyz.foo: {UNKNOWN} Settings have the names of `pegasus q --help`."),
        ("[q]\nbatch = 3", "q.batch: no such option can be set for `pegasus q`."),
        ("[q]\nretries = 'x'", "Invalid value for q.retries: 'x' is not a whole number."),
        ("[q]\nstall = 1\n[queue]\nstall = 1", "q.stall and queue.stall mean the same. Leave"),
        ("detach = 'maybe'", "detach: 'maybe' is not true or false. Write one of these."),
        ("detach = ''", "detach: '' is not true or false. Write one of these."),
        ("hosts-file = 5", "hosts-file: write a text in quotes, not 5."),
        ("ssh-config = false", "ssh-config: write a text in quotes, not false."),
        ("notify = true", "notify: write a text in quotes, not true."),
        ("limit = ['a', 7]", "limit: write a text in quotes, not a, 7."),
        ("[retries]\nx = 1", "retries: write a text, a number, true, false, or a list."),
        ("retries = 'x'", "Invalid value for retries: 'x' is not a whole number."),
        ("retries = -1", "Invalid value for retries: '-1': it must be at least 0."),
        ("retries = [1, 2]", "retries: this option has one value, and a list is given. Write"),
        ("timeout = '5x'", "Invalid value for timeout: '5x' is no length of time"),
        ("retries = 1979-05-27", "retries: write a text, a number, true, false, or a list."),
        ("retry-on = []", "retry-on: write a text, a number, true, false, or a list."),
        ("[queue.retries]\nx = 1", "queue.retries: write a text, a number"),
        ("retries = [", "this is no readable TOML file: "),
    ],
)
def test_an_error_names_file_and_key(desk: SettingsDesk, text: str, said: str) -> None:
    """What is wrong in a file is one message with the file and the key; nothing is taken."""
    desk.write(text)
    done = desk.run("q")
    assert done.returncode == 2
    assert done.stderr.startswith(f"[Pegasus] pegasus.toml: {said}")
    assert done.stderr.count("\n") == 1
    assert not (desk.folder / "consumed.yaml").exists()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("QUEU_RETRIES", "QUEUE_RETRIES"), ("RETIRES", "RETRIES"), ("LOK_EDITOR", "LOCK_EDITOR")],
)
def test_the_variable_that_is_meant(desk: SettingsDesk, name: str, meant: str) -> None:
    """Where a similar variable is an option, the error has its whole name."""
    desk.environ[f"PEGASUS_OPTION_{name}"] = "1"
    assert desk.run("q").stderr.endswith(f'{UNKNOWN} Is "PEGASUS_OPTION_{meant}" meant?\n')


@pytest.mark.parametrize(
    ("name", "meant"), [("RETRY", "PEGASUS_OPTION_RETRIES"), ("Q_RETRY", "retries")]
)
def test_the_variable_of_another_word(desk: SettingsDesk, name: str, meant: str) -> None:
    """A word for an option is understood, also where it is the name of a command."""
    desk.environ[f"PEGASUS_OPTION_{name}"] = "1"
    assert desk.run("q").stderr.endswith(f' Is "{meant}" meant?\n')


@pytest.mark.parametrize("value", ["maybe", ""])
def test_a_variable_is_true_or_false(desk: SettingsDesk, value: str) -> None:
    """An option without a value on the command line has one in a variable; the error gives it."""
    desk.environ["PEGASUS_OPTION_DETACH"] = value
    assert desk.run("q").stderr == (
        f"[Pegasus] environment: PEGASUS_OPTION_DETACH: {value!r} is not true or false. "
        "Write one of these.\n"
    )


def test_other_values_beside_true_and_false(desk: SettingsDesk) -> None:
    """An option that has further values names them as well."""
    desk.write("gather = 'x'\n")
    said = "gather: 'x' is not true, false or diff. Write one of these.\n"
    assert desk.run("b").stderr == f"[Pegasus] pegasus.toml: {said}"


@pytest.mark.parametrize("name", ["RETIRES", "QUEUE_RETIRES", "QUEUE_", "", "QUEUE_BATCH"])
def test_an_unknown_variable(desk: SettingsDesk, name: str) -> None:
    """A variable with the prefix that is no option is an error, with its name."""
    desk.environ[f"PEGASUS_OPTION_{name}"] = "1"
    done = desk.run("q")
    assert done.returncode == 2
    assert done.stderr.startswith(f"[Pegasus] environment: PEGASUS_OPTION_{name}: no such option")


@pytest.mark.parametrize(
    ("name", "command"),
    [("queue", "q"), ("q", "queue"), ("broadcast", "b"), ("b", "broadcast"), ("lock", "l")],
)
def test_commands_have_two_names(desk: SettingsDesk, name: str, command: str) -> None:
    """A command may have its name or its alias in a file and in a variable; it is the same."""
    desk.environ["EDITOR"] = "true"
    desk.write(f"[{name}]\nqueue-file = 'other.yaml'\n")
    (desk.folder / "other.yaml").write_text("")
    assert desk.told(command) == "queue-file = other.yaml (pegasus.toml)."
    variable = f"PEGASUS_OPTION_{name.upper()}_QUEUE_FILE"
    desk.environ[variable] = "other.yaml"
    assert desk.told(command) == f"queue-file = other.yaml ({variable})."


def test_an_option_is_the_same_in_each_command() -> None:
    """``check`` tries a value with one of the commands that have the option."""
    names = {app[name].name[0] for name in app if not name.startswith("-")}
    found: dict[str, set[object]] = {}
    for name in sorted(names):
        for each in app[name].assemble_argument_collection():
            kind = (repr(each.hint), each.parameter.converter)
            found.setdefault(each.name, set()).add(kind)
    assert [name for name in SETTABLE if len(found[f"--{name}"]) != 1] == []


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("limit = 'foo'", "--limit foo: ", "limit = foo (pegasus.toml)"),
        ("notify = ''", "--notify: the command is empty", "notify = '' (pegasus.toml)"),
        ('shell = "bash \'"', "--shell ", "shell = bash ' (pegasus.toml)"),
        ("retry-on = 'lost'", "--retry-on says after", "retry-on = lost (pegasus.toml)"),
        ("retries = 1\nretry-on = '('", "--retry-on", "retries = 1 (pegasus.toml); retry-on = ("),
        ("queue-file = 'x.yaml'", "x.yaml: there is no", "queue-file = x.yaml (pegasus.toml)"),
        ("hosts-file = 'x.yaml'", "x.yaml:1:1: there is", "hosts-file = x.yaml (pegasus.toml)"),
        ("print-period = 2\n[b]\ngather = true", "--gather", "gather = true (pegasus.toml); pr"),
    ],
)
def test_a_refused_run_names_its_settings(
    desk: SettingsDesk, text: str, error: str, told: str
) -> None:
    """An error that may be about a setting is followed by the settings, with their places."""
    desk.write(text)
    done = desk.run("b")
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first.startswith(f"[Pegasus] {error}")
    assert second.startswith(f"[Pegasus] Settings: {told}")


def test_only_settings_that_may_be_the_cause(desk: SettingsDesk) -> None:
    """Settings of the looks, and a command line that is wrong itself, do not name settings."""
    desk.write("color = 'never'\nno-live = true\n")
    (desk.folder / "hosts.yaml").unlink()
    assert desk.run("q").stderr.count("\n") == 1
    desk.write("stall = '5m'\n")
    assert "Settings" not in desk.run("q", "--retries", "x").stderr


@pytest.mark.parametrize("command", ["q", "b", "lock", "retry"])
def test_settings_are_told_once(desk: SettingsDesk, command: str) -> None:
    """What was told before an error is not told again after it."""
    desk.write("queue-file = 'other.yaml'\n")
    (desk.folder / "other.yaml").write_text("- {\n")
    desk.environ["EDITOR"] = "false"
    done = desk.run(command)
    assert done.returncode == 2
    assert done.stderr.count("Settings: ") == 1
    assert done.stderr.startswith("[Pegasus] Settings: queue-file = other.yaml")


def test_a_file_that_cannot_be_read(desk: SettingsDesk) -> None:
    """What is there under the name of a file of settings, and cannot be read, is an error."""
    path = desk.folder / SETTINGS_FILE
    said = {}
    path.mkdir()
    said["folder"] = desk.run("q").stderr
    path.rmdir()
    os.mkfifo(path)
    said["pipe"] = desk.run("q").stderr
    path.unlink()
    path.symlink_to("nothing")
    said["link"] = desk.run("q").stderr
    path.unlink()
    path.symlink_to(SETTINGS_FILE)
    said["circle"] = desk.run("q").stderr
    path.unlink()
    path.write_bytes(b"notify = '\xe9'\n")
    said["latin"] = desk.run("q").stderr
    where = "[Pegasus] pegasus.toml:"
    assert said["folder"] == f"{where} this is no ordinary file. Remove or rename it.\n"
    assert said["pipe"] == said["folder"]
    assert said["link"] == f"{where} this link leads to nothing. Correct or remove it.\n"
    assert said["circle"].startswith(f"{where} this cannot be read: ")
    assert said["latin"] == f"{where} this is not UTF-8. Save it as UTF-8.\n"
    assert not (desk.folder / "consumed.yaml").exists()


def test_a_home_without_settings(desk: SettingsDesk) -> None:
    """A folder for settings that is missing, or no folder, has no settings: nothing is wrong."""
    desk.config.write_text("")
    assert desk.run("q").returncode == 0


def test_variables_of_jobs_are_no_settings(desk: SettingsDesk) -> None:
    """A ``pegasus`` in a job or a notifier takes nothing from the variables of these."""
    names = ("QUEUE_FILE", "RUN", "JOB", "SUB_NODE", "TEXT", "RETRIES", "QUEUE_RETRIES")
    desk.environ |= {f"PEGASUS_{name}": "7" for name in names}
    done = desk.run("q")
    assert (done.returncode, done.stdout) == (0, "[localhost] hello\n")
    assert "Settings" not in done.stderr


def test_help_is_there_in_spite_of_errors(desk: SettingsDesk) -> None:
    """The help page does not need a correct file."""
    desk.write("retries = [")
    assert desk.run("q", "--help").returncode == 0
    assert desk.run("--version").returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_a_stranger(desk: SettingsDesk) -> None:
    """A file that another user has put into the folder is refused: it can name commands to run."""
    desk.write("notify = 'touch stolen'\n")
    os.chown(desk.folder / SETTINGS_FILE, 12345, 12345)
    done = desk.run("q")
    assert done.returncode == 2
    assert done.stderr.startswith("[Pegasus] pegasus.toml: another user wrote this file")


def test_the_example_of_the_reference(desk: SettingsDesk) -> None:
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
