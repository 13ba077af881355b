"""The check that nothing is left behind finds what is left, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.leftovers import MARK, Traces
from tests.nodes import Nodes, wait_until
from tests.nodes.processes import look

AT_ONCE = 0.0  # seconds: one check
SHORTLY = 0.3


@contextmanager
def child(*command: str, mark: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with a mark in its environment, by default the test's own."""
    environment = {**os.environ, MARK: mark} if mark else dict(os.environ)
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def traces(nothing_left: Traces) -> Traces:
    """The traces that the check of this test will examine."""
    return nothing_left


def test_a_clean_test_passes_at_once(traces: Traces) -> None:
    """Where nothing is left, the check does not wait."""
    assert traces.wait_until_gone(AT_ONCE) == []


def test_a_process_that_lives_on_is_found(traces: Traces) -> None:
    """A child that inherited the mark is named with its command, until it has ended."""
    with child("sleep", "1000") as process:
        (words,) = traces.wait_until_gone(SHORTLY)
        assert words == f"process {process.pid}: sleep 1000"
        process.kill()
        assert traces.wait_until_gone() == []  # a zombie does not count


def test_a_grandchild_is_found(traces: Traces) -> None:
    """The mark is inherited, independent of the parent and the session."""
    with child("sh", "-c", "setsid sleep 1000 & exec true") as process:
        process.wait()
        (words,) = traces.wait_until_gone(SHORTLY)
        assert words.endswith("sleep 1000")
        traces.clear_away()
        assert traces.wait_until_gone() == []


def test_the_processes_of_others_are_ignored(traces: Traces) -> None:
    """A process with another test's mark, or with none, is ignored."""
    with child("sleep", "1000", mark="another"):
        assert traces.wait_until_gone(AT_ONCE) == []


def test_a_socket_folder_that_is_left_is_found(traces: Traces) -> None:
    """A new ``pgs-*`` folder is named, an earlier one is not."""
    folder = traces.runtime / "pgs-left"
    folder.mkdir()
    assert traces.wait_until_gone(SHORTLY) == [f"folder {folder}"]
    assert replace(traces, before=traces.socket_folders()).left() == []
    folder.rmdir()


def test_a_socket_folder_beside_those_of_others_is_found(traces: Traces, tmp_path: Path) -> None:
    """In the shared folder, a new one counts, unless a running process names it."""
    traces = replace(traces, shared=tmp_path)
    folder = tmp_path / "pgs-shared"
    folder.mkdir()
    assert traces.left() == [f"folder {folder}"]
    with child("sh", "-c", f": {folder}; sleep 1000; :", mark="another") as process:
        wait_until(lambda: not traces.left(), limit=5, what="the process to name it")
        os.killpg(process.pid, signal.SIGKILL)
    assert traces.left() == [f"folder {folder}"]
    folder.rmdir()


@pytest.mark.parametrize("name", [".queue.yaml.x7.tmp", "queue.yaml.take", "queue.yaml.take.2"])
def test_a_temporary_file_that_is_left_is_found(traces: Traces, tmp_path: Path, name: str) -> None:
    """Temporary files are named, anywhere in the test's folder."""
    (tmp_path / "deep").mkdir()
    file = tmp_path / "deep" / name
    file.touch()
    assert traces.wait_until_gone(SHORTLY) == [f"file {file}"]
    file.unlink()


def test_a_command_left_on_a_node_is_found(traces: Traces, nodes: Nodes) -> None:
    """A command that still runs on a shared node is named with its node."""
    nodes[1].run("sleep 1000 >/dev/null 2>&1 </dev/null &")
    (words,) = traces.wait_until_gone(SHORTLY)
    assert words.startswith("on node-2, process ")
    assert words.endswith(": sleep 1000")
    traces.clear_away()
    assert traces.wait_until_gone() == []


LEAKY = """
import subprocess
from tests.e2e.leftovers import Traces

Traces.wait_until_gone.__defaults__ = (0.1,)

def test_that_is_clean():
    subprocess.run(["sleep", "0"])

def test_that_leaks():
    with open("pid", "w") as file:
        print(subprocess.Popen(["sleep", "1000"]).pid, file=file)
"""


def test_a_test_that_leaks_fails(tmp_path: Path) -> None:
    """The check runs after each test by itself, and removes what it finds."""
    (tmp_path / "test_leaky.py").write_text(LEAKY, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.e2e.conftest", "--rootdir=.", "-W", "ignore"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    words = " ".join(done.stdout.split())
    assert f"Failed: left behind: E process {pid}: sleep 1000" in words
    assert "2 passed, 1 error" in done.stdout
    leaked = look(pid)
    assert leaked is None or not leaked.alive
