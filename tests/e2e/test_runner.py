"""The runner of the end-to-end tests, with small programs in place of pegasus."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.runner import Pegasus

ECHO = "import os, sys; print(*sys.argv[1:], os.getcwd(), sep='\\n'); sys.exit(3)"
OBEDIENT = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit("drained"))
print("taken 1", flush=True)
print("taken 2", file=sys.stderr, flush=True)
print("taken", end="", flush=True)
while True: time.sleep(1)
"""


def playing(pegasus: Pegasus, program: str) -> Pegasus:
    """Return a pegasus that is another program."""
    return replace(pegasus, program=(sys.executable, "-c", program))


@not_detached("the runner adds an option")
def test_it_gets_the_test_s_own_files(pegasus: Pegasus, tmp_path: Path) -> None:
    """The subcommand comes first, then the files, then the test's own arguments."""
    done = playing(pegasus, ECHO).run("q", "-e", queue="- echo hello\n")
    assert done.status == 3
    assert done.stdout.splitlines() == [
        "q",
        f"--hosts-file={tmp_path}/hosts.yaml",
        f"--queue-file={tmp_path}/queue.yaml",
        f"--ssh-config={pegasus.nodes.ssh_config}",
        "-e",
        str(tmp_path),
    ]
    assert pegasus.hosts_file.read_text(encoding="utf-8") == "- node-1\n- node-2\n- node-3\n"
    assert pegasus.queue_file.read_text(encoding="utf-8") == "- echo hello\n"


def test_files_that_are_there_stay_as_they_are(pegasus: Pegasus) -> None:
    """Files are only written where their text is given."""
    pegasus.hosts_file.write_text("- localhost\n", encoding="utf-8")
    playing(pegasus, "").run("q")
    assert pegasus.hosts_file.read_text(encoding="utf-8") == "- localhost\n"
    assert not pegasus.queue_file.exists()


def test_nothing_of_the_developer_s_environment_is_seen(
    pegasus: Pegasus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command has an empty home, and no variables but those that it needs."""
    monkeypatch.setenv("EDITOR", "emacs")
    program = "import os; print(*os.environ); print(os.listdir(os.environ['HOME']))"
    names, home = playing(pegasus, program).run("q").stdout.splitlines()
    assert "EDITOR" not in names.split()
    assert {"PATH", "PEGASUS_TEST", "XDG_RUNTIME_DIR"} <= set(names.split())
    assert home == "[]"


def test_lines_can_be_waited_for_and_the_process_signalled(pegasus: Pegasus) -> None:
    """A running process can be waited for by texts, interrupted, and waited for to its end."""
    running = playing(pegasus, OBEDIENT).start("q")
    assert running.wait_for("taken 1") == "taken 1"
    assert running.wait_for("taken", on="stderr") == "taken 2"
    assert running.wait_for("taken", on="stdout", times=2) == "taken"  # without its newline so far
    assert running.status is None
    running.signal(signal.SIGINT)
    done = running.wait()
    assert (done.status, done.err) == (1, b"taken 2\ndrained\n")


def test_what_does_not_come_is_said_with_all_that_came(pegasus: Pegasus) -> None:
    """A wait ends at its limit, or at once when the process has ended."""
    running = playing(pegasus, OBEDIENT).start("q")
    with pytest.raises(AssertionError, match=r"no 'taken 3': not within 0\.5 s\n--- stdout\ntaken"):
        running.wait_for("taken 3", limit=0.5)
    with pytest.raises(AssertionError, match="still running"):
        running.wait(limit=0.1)
    running.signal(signal.SIGKILL)
    with pytest.raises(AssertionError, match="ended, exit status -9"):
        running.wait_for("taken 3")
    assert running.wait().status == -9


def test_outputs_held_by_somebody_else_are_a_failure(pegasus: Pegasus) -> None:
    """A process that leaves its outputs to another one does not count as ended."""
    leaving = "import subprocess; subprocess.Popen(['sleep', '2'])"
    with pytest.raises(AssertionError, match="its outputs are still held"):
        playing(pegasus, leaving).start("q").wait(afterwards=0.3)


def test_large_and_odd_output_arrives_whole(pegasus: Pegasus) -> None:
    """Outputs are read continuously, and kept as bytes."""
    program = "import sys; sys.stdout.buffer.write(b'\\xff' * 3_000_000)"
    done = playing(pegasus, program).run("q")
    assert done.out == b"\xff" * 3_000_000
    assert done.stdout.startswith("\\xff\\xff")
