"""``python meter.py REPORT COMMAND...``: run a command, and report its duration and cost.

The report is JSON: the exit status, when it began and ended in seconds since the epoch, and the
seconds of CPU that it used, with all its descendants.

Rule 1: it imports next to nothing, and its own cost is not counted.
Rule 2: it adopts processes that its command leaves behind (such as a control
master in the background), counts them as well, and ends them.
Rule 3: it ends when its parent does, however that ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
REAP_LIMIT = 3.0  # seconds for the processes left behind to end by themselves
TERM_GRACE = 5.0  # seconds for the command to end after SIGTERM


class EndRequested(Exception):
    """The parent asked this process to end."""


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, and end with the parent."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def descendants(of: int) -> set[int]:
    """Return the pids of all living descendants of a process."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                rest = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents[int(folder.name)] = int(rest[1])
    found = {of}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {of}


def on_sigterm(_number: int, _frame: object) -> None:
    """Handle SIGTERM."""
    raise EndRequested


def start(command: list[str]) -> int:
    """Start the command in a session of its own; return its pid."""
    usual = [signal.SIGINT, signal.SIGTERM, signal.SIGPIPE]
    pid = os.posix_spawnp(command[0], command, os.environ, setsid=True, setsigdef=usual)
    signal.signal(signal.SIGINT, lambda *_: os.kill(pid, signal.SIGINT))
    return pid


def reap(until: float) -> bool:
    """Wait for what the command left behind; return whether all of it has ended."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                if time.monotonic() > until:
                    return False
                time.sleep(0.002)
        except ChildProcessError:
            return True


def end(pid: int) -> None:
    """End the command with SIGTERM at first, since its own clean-up is the most complete."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    reap(time.monotonic() + TERM_GRACE)


def kill_all() -> None:
    """Kill what still runs."""
    while left := descendants(os.getpid()):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap(time.monotonic() + 0.05)


def measure(command: list[str]) -> Iterator[tuple[str, float]]:
    """Run the command to its end, and return the content of the report."""
    yield "began", time.time()
    pid = start(command)
    try:
        _, status = os.waitpid(pid, 0)
        yield "ended", time.time()
        yield "status", os.waitstatus_to_exitcode(status)
        reap(time.monotonic() + REAP_LIMIT)
    except EndRequested:
        end(pid)
    kill_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield "cpu", used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and write the report."""
    adopt_orphans()
    signal.signal(signal.SIGTERM, on_sigterm)
    report = dict(measure(sys.argv[2:]))
    Path(sys.argv[1]).write_text(json.dumps(report), encoding="ascii")


if __name__ == "__main__":
    main()
