"""`pegasus add`: beside a run, several at once, in pipes, while another holds the lock."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter

import filelock
import pytest
import yaml

from tests.e2e.runner import LIMIT, Done, Pegasus, Running
from tests.nodes import wait_until

ADDERS = 20
HOSTS = "- localhost\n" * 3


def start_add(pegasus: Pegasus, *arguments: str) -> Running:
    """Start `pegasus add` without waiting for it."""
    return pegasus.start_bare("add", f"--queue-file={pegasus.queue_file}", *arguments)


def add(pegasus: Pegasus, *arguments: str, data: bytes = b"") -> Done:
    """Run `pegasus add` to its end, with some standard input."""
    done = subprocess.run(
        [*pegasus.program, "add", f"--queue-file={pegasus.queue_file}", *arguments],
        cwd=pegasus.folder,
        env=pegasus.environment,
        input=data,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_twenty_at_once_while_a_run_drains(pegasus: Pegasus) -> None:
    """Jobs that several processes add while a run takes jobs each run exactly once.

    No reader ever gets an incomplete queue file.
    """
    running = pegasus.start("q", "--daemon", hosts=HOSTS, queue="# mine\n")
    adders = [start_add(pegasus, f"echo {n} {{{{ x }}}}", "--param=x=a,b") for n in range(ADDERS)]
    expected = Counter(f"{n} {x}" for n in range(ADDERS) for x in "ab")

    def all_ran() -> bool:
        waiting = yaml.safe_load(pegasus.queue_file.read_bytes()) or []
        assert all("echo" in str(entry) for entry in waiting), waiting
        return len(re.findall(r"^\[localhost\] \d+ [ab]$", running.stdout, re.MULTILINE)) >= 40

    wait_until(all_ran, what="all jobs to run", limit=LIMIT)
    assert [adder.wait().status for adder in adders] == [0] * ADDERS
    running.signal(signal.SIGINT)
    done = running.wait()
    assert Counter(re.findall(r"^\[localhost\] (\d+ [ab])$", done.stdout, re.MULTILINE)) == expected
    assert len(yaml.safe_load(pegasus.consumed_file.read_bytes())) == 2 * ADDERS
    assert pegasus.queue_file.read_text() == "# mine\n"


def test_added_then_run(pegasus: Pegasus) -> None:
    """Jobs that are added to a queue file that does not exist run in the order of the additions."""
    assert add(pegasus, "echo {{ x }}", "--param", "x=1,2").stderr.startswith("[Pegasus] Added 2")
    assert add(pegasus, "echo first", "--top").status == 0
    done = pegasus.run("q", hosts="- localhost\n")
    assert done.stdout == "[localhost] first\n[localhost] 1\n[localhost] 2\n"


def test_commands_from_standard_input(pegasus: Pegasus) -> None:
    """``-`` reads one command a line; options may precede or follow it."""
    done = add(
        pegasus, "--top", "-", "--param=x=1", data=b"echo {{ x }}\n\nprintf '%s\\n' \"a: b\"\n"
    )
    assert (done.status, done.stdout) == (0, "")
    assert done.stderr == f"[Pegasus] Added 2 jobs at the top of {pegasus.queue_file}.\n"
    done = pegasus.run("q", hosts="- localhost\n")
    assert done.stdout == "[localhost] 1\n[localhost] a: b\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sleep", "5"], "quotes"),
        ([], "There is no command"),
        (["--tpo", "true"], "no option --tpo"),
        (["echo {{ x"], "COMMAND:1:6"),
        (["true", "--param", "x"], "--param bs=8,16"),
    ],
)
def test_what_is_refused(pegasus: Pegasus, arguments: list[str], words: str) -> None:
    """An erroneous command line gets a message with the next step, status 2, and makes no file."""
    done = add(pegasus, *arguments)
    assert done.status == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not pegasus.queue_file.exists()


def test_it_waits_for_the_lock_and_says_so(pegasus: Pegasus) -> None:
    """While another process holds the lock, it waits, reports that, and then adds."""
    pegasus.queue_file.write_text("- a\n")
    with filelock.FileLock(f"{pegasus.queue_file}.lock"):
        waiting = start_add(pegasus, "b")
        waiting.wait_for("waiting for", on="stderr")
        assert pegasus.queue_file.read_text() == "- a\n"
    assert waiting.wait().status == 0
    assert pegasus.queue_file.read_text() == "- a\n- b\n"


def test_ctrl_c_while_it_waits(pegasus: Pegasus) -> None:
    """An interrupt ends the wait; nothing is added."""
    pegasus.queue_file.write_text("- a\n")
    with filelock.FileLock(f"{pegasus.queue_file}.lock"):
        waiting = start_add(pegasus, "b")
        waiting.wait_for("waiting for", on="stderr")
        waiting.signal(signal.SIGINT)
        done = waiting.wait()
    assert done.status == 130
    assert "Traceback" not in done.stderr
    assert pegasus.queue_file.read_text() == "- a\n"
