"""Promises of the command line: the options of the original, and what is said of mistakes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pegasus import __version__
from pegasus.cli.ending import run_safely
from tests.forked import run_forked


def pegasus(
    folder: Path, *words: str, hosts: str = "- localhost\n"
) -> subprocess.CompletedProcess[str]:
    """Run ``pegasus`` in a folder with a job that fails before one that does not."""
    (folder / "hosts.yaml").write_text(hosts, encoding="utf-8")
    (folder / "queue.yaml").write_text("- exit 3\n- echo second\n", encoding="utf-8")
    return run_forked(list(words), cwd=folder)


@pytest.mark.parametrize("words", [["-V"], ["--version"], ["q", "-V"]], ids=" ".join)
def test_the_version(tmp_path: Path, words: list[str]) -> None:
    """``-V`` is ``--version``, also behind a command."""
    done = pegasus(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("option", ["-i", "--ignore-errors"])
@pytest.mark.parametrize("command", ["q", "b"])
def test_ignoring_errors_is_the_default(tmp_path: Path, command: str, option: str) -> None:
    """With ``-i`` a run goes on when a job fails, as it does without; the exit status tells."""
    done = pegasus(tmp_path, command, option)
    assert done.returncode == 1, done.stderr
    assert done.stdout == "[localhost] second\n"


@pytest.mark.parametrize("options", [["-e", "-i"], ["-ie"]], ids=" ".join)
@pytest.mark.parametrize("command", ["q", "b"])
def test_both_are_refused(tmp_path: Path, command: str, options: list[str]) -> None:
    """A request for both is an error, and nothing is taken."""
    done = pegasus(tmp_path, command, *options)
    assert done.returncode == 2
    assert "--error-aborts and --ignore-errors exclude each other" in done.stderr
    assert not (tmp_path / "consumed.yaml").exists()


@pytest.mark.parametrize("command", ["q", "b"])
def test_giving_up_needs_detached_commands(tmp_path: Path, command: str) -> None:
    """``--give-up`` without ``--detach`` is an error, and nothing is taken."""
    done = pegasus(tmp_path, command, "--give-up", "2h")
    assert done.returncode == 2
    assert "Add --detach, or leave out --give-up" in done.stderr
    assert not (tmp_path / "consumed.yaml").exists()


@pytest.mark.parametrize("words", [["-d", "q"], ["-i"], ["--print-period=2", "b"]], ids=" ".join)
def test_the_command_comes_first(tmp_path: Path, words: list[str]) -> None:
    """The original took options before the command; here the message says where they stand."""
    done = pegasus(tmp_path, *words)
    assert done.returncode == 2
    assert f'"{words[0]}" is not a command' in done.stderr
    assert "pegasus COMMAND [OPTIONS]" in done.stderr


@pytest.mark.parametrize(("command", "status"), [("check", 0), ("q", 1), ("b", 1)])
def test_a_note_is_said_once_and_is_no_error(tmp_path: Path, command: str, status: int) -> None:
    """``port:`` beside ``hostname`` is only a parameter: a check and a run say so, and go on."""
    done = pegasus(tmp_path, command, hosts="- hostname: localhost\n  port: [22, 23]\n")
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert said.count('hosts.yaml:2:3: note: "port" is a parameter for templates') == 1


@pytest.mark.parametrize("value", ["", "-1", "abc", "101%", "0"])
@pytest.mark.parametrize("option", ["--batch", "--max-unreachable"])
def test_a_wrong_share_of_the_sub_nodes(tmp_path: Path, option: str, value: str) -> None:
    """A value that is no share is refused, with the option and what to write; nothing is taken."""
    done = pegasus(tmp_path, "b", f"{option}={value}")
    if (option, value) == ("--max-unreachable", "0"):
        assert done.returncode == 1, "none is a limit, too"
        return
    assert done.returncode == 2
    said = " ".join(done.stderr.replace("│", "").split())
    assert f"Invalid value for {option}: '{value}' is" in said
    assert re.search(r"write (a whole number such as 2|1 or more|100% or less)", said)
    assert not (tmp_path / "consumed.yaml").exists()


def test_a_ctrl_c_while_a_class_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    """A Ctrl-C as early as during an import is no bug: status 130, without a report."""

    class Field:
        def __set_name__(self, *_: object) -> None:
            raise KeyboardInterrupt

    def import_something() -> int:
        type("Loaded", (), {"field": Field()})
        return 0

    assert run_safely(import_something) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["results"], ["report", "-o", "-"]], ids=" ".join)
def test_a_run_is_named_with_or_without_its_option(tmp_path: Path, words: list[str]) -> None:
    """Both commands that read one run take its name either way."""
    for run in (["41"], ["--run", "41"]):
        done = pegasus(tmp_path, *words, *run)
        assert (done.returncode, done.stdout) == (2, "")
        assert "No run" in done.stderr


def test_a_barrier_is_added_without_a_command(tmp_path: Path) -> None:
    """What belongs to a command is refused beside ``--barrier``."""
    done = pegasus(tmp_path, "add", "x", "--barrier", "ended")
    assert done.returncode == 2
    assert "--barrier stands without a command and its options" in done.stderr
    assert "barrier" not in (tmp_path / "queue.yaml").read_text()


def test_a_completion_script_that_nobody_reads() -> None:
    """`pegasus completion bash | true` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-m", "pegasus", "completion", "bash"]
    done = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", ["status", "check", "add true", "logs", "lock", "wait"])
def test_a_folder_that_was_removed(words: str, tmp_path: Path) -> None:
    """A command in a folder that is gone says so."""
    script = 'mkdir "$1"; cd "$1"; rmdir "$1"; shift; exec "$@"'
    argv = ["sh", "-c", script, "sh", str(tmp_path / "gone"), sys.executable, "-m", "pegasus"]
    done = subprocess.run([*argv, *words.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("[Pegasus] The folder in which this command was started was rem")
    assert done.stderr.count("\n") == 1
