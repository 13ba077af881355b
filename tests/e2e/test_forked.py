"""A forked pegasus is like a new one: most of the tests start forked ones."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.runner import FORK, LIMIT, Pegasus, Running, umask
from tests.forked import ARGUMENTS, can_fork, start_forked

SAME_LINES = ("SigPnd", "SigBlk", "SigIgn", "SigCgt", "ShdPnd", "Umask", "NoNewPrivs")
"""Lines of ``/proc/PID/status``. SigQ counts signals of all processes of the user."""

WAITS = "Waiting for jobs in the queue (--daemon)"


@dataclass(frozen=True)
class Seen:
    """What other processes see of a process; the numbers of sockets and pipes are left out."""

    command: list[bytes]
    name: str
    environment: set[bytes]
    folder: Path
    session: int
    leads: bool
    open_files: int
    signals: list[str]


def seen(running: Running) -> Seen:
    """Look at a process."""
    proc = Path(f"/proc/{running.pid}")
    status = (proc / "status").read_text().splitlines()
    return Seen(
        (proc / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")[1:],
        (proc / "comm").read_text(),
        set((proc / "environ").read_bytes().rstrip(b"\0").split(b"\0")),
        (proc / "cwd").resolve(),
        os.getsid(running.pid) - running.pid,
        os.getpgid(running.pid) == running.pid,
        len(list((proc / "fd").iterdir())),
        [line for line in status if line.startswith(SAME_LINES)],
    )


@pytest.fixture(params=["new", "forked"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How Pegasus is started."""
    monkeypatch.delenv(FORK, raising=False)
    if request.param == "forked":
        monkeypatch.setenv(FORK, "1")
    return str(request.param)


def waiting(pegasus: Pegasus) -> Running:
    """Start a run that waits for jobs."""
    running = pegasus.start("q", "--daemon", hosts="- localhost\n", queue="[]\n")
    running.wait_for(WAITS)
    return running


@pytest.mark.parametrize("mask", [0o022, 0o007])
def test_a_forked_process_is_like_a_new_one(
    pegasus: Pegasus, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    """Command line, name, environment, folder, session, open files, signals, umask are the same."""
    looks = []
    for fork in (False, True):
        monkeypatch.setenv(FORK, "1") if fork else monkeypatch.delenv(FORK, raising=False)
        with umask(mask):
            running = waiting(pegasus)
        looks.append(seen(running))
        running.signal(signal.SIGINT)
        assert running.wait().status == 130
    new, forked = looks
    assert forked == new


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_the_status_of_a_process_that_was_killed(pegasus: Pegasus, number: signal.Signals) -> None:
    """It is minus the number of the signal."""
    running = waiting(pegasus)
    assert running.status is None
    running.signal(number)
    assert running.wait().status == -number
    assert running.status == -number
    running.signal(number)  # nothing is sent to a process that has ended


@pytest.mark.usefixtures("how")
def test_outputs_and_status(pegasus: Pegasus) -> None:
    """The outputs are complete, and the status is that of the program."""
    done = pegasus.start_bare("--help").wait()
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: pegasus ")
    done = pegasus.start_bare("no-such-command").wait()
    assert (done.status, done.stdout) == (2, "")


def test_many_at_once(pegasus: Pegasus) -> None:
    """Each process has its own outputs and its own end, in any order."""
    argv, env = [*pegasus.program, "--help"], pegasus.environment
    long = pegasus.folder / "long"
    long.mkdir()
    kept = [start_forked([*argv[:-1], "q", "-d"], cwd=long, env=env) for _ in range(2)]
    short = [start_forked(argv, cwd=pegasus.folder, env=env) for _ in range(4)]
    for process in reversed(short):
        assert process.stdout
        assert process.stdout.read().startswith(b"Usage: pegasus")
        assert process.wait(LIMIT) == 0
    for process in kept:
        assert process.wait(LIMIT) == 2  # there is no hosts file
    for process in (*kept, *short):
        for pipe in (process.stdout, process.stderr):
            assert pipe
            pipe.close()


def test_what_is_not_forked(pegasus: Pegasus) -> None:
    """What Python reads at its start, or has no room, needs a new process; a bad folder fails."""
    argv, env = list(pegasus.program), pegasus.environment
    assert can_fork(argv, env)
    assert not can_fork(argv, {**env, "PYTHONOPTIMIZE": "1"})
    assert not can_fork(argv, {**env, "LC_ALL": "C"})
    assert not can_fork([*argv, "x" * ARGUMENTS], env)
    with pytest.raises(OSError, match="cannot be started in"):
        start_forked(argv, cwd=pegasus.folder / "none", env=env)
    process = start_forked([*argv, "q", "-d"], cwd=pegasus.folder, env=env)
    assert process.wait(LIMIT) == 2
    for pipe in (process.stdout, process.stderr):
        assert pipe
        pipe.close()


def test_the_wait_has_a_limit(pegasus: Pegasus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that still runs is reported, and can be waited for again."""
    monkeypatch.setenv(FORK, "1")
    running = waiting(pegasus)
    process = start_forked(
        [*pegasus.program, "wait", *pegasus.files()[1:2]],
        cwd=pegasus.folder,
        env=pegasus.environment,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    process.kill()
    process.wait(LIMIT)
    for pipe in (process.stdout, process.stderr):
        assert pipe
        pipe.close()
