"""Commands under the meter: to their end, or for the length of a block."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

METER = Path(__file__).with_name("meter.py")
LIMIT = 400.0  # seconds that any one command may take; the longest takes one minute
ENDING = 20.0  # seconds for the meter to end its command and all that belongs to it
GLANCE = 0.005  # seconds between two checks of a condition


class Failed(Exception):
    """A contestant could not do the work and is left out; the message states why."""


@dataclass(frozen=True, slots=True)
class Metered:
    """A command that ran to its end.

    Attributes:
        began: when it was started, in seconds since the epoch.
        ended: when its own process ended, likewise.
        cpu: seconds of CPU that it and all its descendants used.
        status: its exit status; negative for a signal.
    """

    began: float
    ended: float
    cpu: float
    status: int

    @property
    def seconds(self) -> float:
        """Its duration in seconds."""
        return self.ended - self.began


class Running:
    """A command that runs under the meter."""

    def __init__(self, meter: subprocess.Popen[bytes], report: Path) -> None:
        self._meter = meter
        self._report = report

    @property
    def meter(self) -> int:
        """The pid of the meter, which is the ancestor of the command and all its processes."""
        return self._meter.pid

    def interrupt(self) -> None:
        """Send the command a SIGINT, as Ctrl-C does."""
        self._meter.send_signal(signal.SIGINT)

    def has_ended(self) -> bool:
        """Return whether it has ended."""
        return self._meter.poll() is not None

    def wait(self, limit: float = LIMIT) -> Metered:
        """Wait for its end.

        Raises:
            Failed: it takes too long.
        """
        try:
            self._meter.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {limit:g} s") from None
        report = json.loads(self._report.read_text(encoding="ascii"))
        return Metered(
            report["began"], report.get("ended", 0.0), report["cpu"], report.get("status", -1)
        )

    def end(self) -> None:
        """End it with all its processes; does nothing if it has ended."""
        if not self.has_ended():
            self._meter.terminate()
            self._meter.wait(ENDING)


@contextmanager
def running(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
) -> Iterator[Running]:
    """Start a command under the meter, and end it at the end of the block.

    Args:
        argv: the command.
        cwd: where it runs.
        env: variables beside those of this process.
        stdin: its input; nothing unless given.
        stdout: its output, discarded unless given; likewise `stderr`.
        stderr: its errors.
    """
    with tempfile.TemporaryDirectory(prefix="metered-") as folder:
        report = Path(folder, "report")
        meter = subprocess.Popen(
            [sys.executable, "-S", "-E", str(METER), str(report), *argv],
            cwd=cwd,
            env={**surroundings(), **(env or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
        )
        run = Running(meter, report)
        try:
            yield run
        finally:
            run.end()


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    limit: float = LIMIT,
) -> Metered:
    """Run a command to its end; discard its output.

    Raises:
        Failed: it did not succeed.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        with running(argv, cwd=cwd, env=env, stdin=given, stderr=errors) as started:
            done = started.wait(limit)
        if done.status != 0:
            raise Failed(f"exit status {done.status}: {last_words(errors)}")
        return done


def last_words(errors: IO[bytes]) -> str:
    """Return the last line that a command wrote to its standard error."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"


def surroundings() -> dict[str, str]:
    """Return the environment of all contestants: this one, without their settings."""
    ours = ("PEGASUS_", "PARALLEL", "PDSH_", "DSHPATH", "WCOLL", "CLUSTERSHELL_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def wait_until(
    condition: Callable[[], bool], *, limit: float, what: str, glance: float = GLANCE
) -> None:
    """Wait until a condition holds.

    Raises:
        Failed: it did not within the limit.
    """
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"after {limit:g} s still waiting for {what}")
        time.sleep(glance)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that the threads of one living process have used so far."""
    used = 0
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            used += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return used / 1e9
