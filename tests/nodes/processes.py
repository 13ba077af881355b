"""The processes of this machine from /proc, and to what they belong.

Rule 1: a zombie is dead. It is listed, with its state, because tests distinguish it.
Rule 2: a signal goes to one process that was just identified, never to a group or to all.
Rule 3: most end-to-end tests look at all processes, and again until what they wait for is so. So a
look is cheap, and one look serves several questions.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.nodes.waiting import wait_until

PROC = Path("/proc")
ENDING = 10.0  # seconds for SIGKILLed processes to end; a loaded machine took 2


@dataclass(frozen=True, slots=True)
class Process:
    """One process at the time of the query.

    Attributes:
        pid: its number on the node itself (the value of ``$$`` there).
        ppid: its parent's number, likewise; 0 if the parent lives outside the node.
        state: the letter of ``/proc/PID/stat``: R, S, D, T (stopped), Z (zombie) ...
        command: its command line, arguments joined by spaces; ``[name]`` for a zombie.
        name: the short name that the kernel keeps.
        session: the number of its session on this machine.
        host_pid: its number on this machine.
        born: when it began, in clock ticks since boot; with ``host_pid`` it is unique.
    """

    pid: int
    ppid: int
    state: str
    command: str
    name: str
    session: int
    host_pid: int
    born: int

    @property
    def alive(self) -> bool:
        """Whether it still runs: zombies do not."""
        return self.state not in "ZX"

    @property
    def is_sshd(self) -> bool:
        """Whether it is sshd or one of its helper programs."""
        return self.name in {"sshd", "sshd-session", "sshd-auth", "dropbear"}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process; does nothing if it has ended."""
        now = look(self.host_pid)
        if now is not None and now.born == self.born and self.host_pid > 1:
            with suppress(ProcessLookupError):
                os.kill(self.host_pid, number)


def look(pid: int) -> Process | None:
    """Return one process of this machine, or None if there is none."""
    try:
        stat = _read(pid, "stat").decode(errors="replace")
        words = _read(pid, "cmdline")
    except OSError:
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()  # fields[0] is the third of proc(5): the state
    command = words.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return Process(
        pid=pid,
        ppid=int(fields[1]),
        state=fields[0],
        command=command or f"[{name}]",
        name=name,
        session=int(fields[3]),
        host_pid=pid,
        born=int(fields[19]),
    )


def everything() -> list[Process]:
    """Return all processes that are visible on this machine."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())
    return [process for pid in pids if (process := look(pid)) is not None]


def has_in_environment(pid: int, marker: str) -> bool:
    """Return whether a process was started with an environment that contains ``marker``.

    The marker is ``NAME=value``; the text after the value is ignored, so the marker may be the
    beginning of a longer one. The environment of other users' processes is not readable.
    """
    try:
        environment = _read(pid, "environ")
    except OSError:
        return False
    return b"\0" + marker.encode() in b"\0" + environment


def _read(pid: int, name: str) -> bytes:
    """Read a file of /proc, without the buffers of Python, which cost more than the file."""
    descriptor = os.open(f"{PROC}/{pid}/{name}", os.O_RDONLY)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def has_open(process: Process, folder: Path) -> bool:
    """Return whether a process works in a folder or holds a file open whose path begins with it."""
    place = PROC / str(process.host_pid)
    with suppress(OSError):
        for link in (place / "cwd", *(place / "fd").iterdir()):
            with suppress(OSError):
                if str(link.readlink()).startswith(str(folder)):
                    return True
    return False


def belonging(
    seeds: Callable[[Process], bool], among: Sequence[Process] | None = None
) -> list[Process]:
    """Return the seeds, all their descendants, and the processes of their sessions.

    Args:
        seeds: whether a process is one.
        among: what `everything` has returned; None to ask it now.

    A process that gave itself both an empty environment and a session of its own, and whose
    parent is gone, cannot be identified: tests must not make one.
    """
    processes = everything() if among is None else among
    mine = os.getsid(0)
    found = {process.host_pid for process in processes if seeds(process)}
    while True:
        sessions = {p.session for p in processes if p.host_pid in found} - {mine, 0}
        more = {p.host_pid for p in processes if p.ppid in found or p.session in sessions}
        if more <= found:
            return [process for process in processes if process.host_pid in found]
        found |= more


def kill(process: Process) -> None:
    """Kill a process with SIGKILL."""
    process.signal(signal.SIGKILL)


def end(
    find: Callable[[], Iterable[Process]], send: Callable[[Process], None], *, what: str
) -> None:
    """Kill what ``find`` returns with ``send`` until it returns no living process.

    Each new search finds processes that started between the search and the kill.
    """

    def nothing_lives() -> bool:
        alive = [process for process in find() if process.alive]
        for process in alive:
            send(process)
        return not alive

    wait_until(nothing_lives, limit=ENDING, what=f"the end of {what}")
