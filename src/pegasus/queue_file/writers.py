"""Which processes have a file open for writing, from the kernel.

Rule 1: a lease decides whether any process has it open; /proc only gives the names and the modes.
Rule 2: nothing here waits or fails: what the system does not tell is None or empty.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST_PROCESS_NAME = 60
"""Characters of a command line that a message shows: enough to recognise a process."""

_PROC = "/proc"


class Lease:
    """A read lease on an open file: granted only while no process has the file open for writing.

    A process that opens the file for writing during the lease waits until it is released, at most
    for ``/proc/sys/fs/lease-break-time``. The signal that reports it (SIGURG) is ignored.

    Args:
        fd: the file, open for reading only.

    Attributes:
        written: whether a process has the file open for writing; None where the system does not
            tell: network file systems, files of other users.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.written: bool | None = None
        try:
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # SIGIO, the default, ends a process
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            self.written = False
        except BlockingIOError:
            self.written = True
        except (OSError, AttributeError):
            pass  # not on every file system, and only on Linux

    def is_whole(self) -> bool:
        """Tell whether the lease was granted, and no process waits for its end."""
        if self.written is not False:
            return False
        return fcntl.fcntl(self._fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK

    def release(self) -> None:
        """Release the lease; processes that wait for the file continue."""
        if self.written is False:
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def is_written(fd: int) -> bool | None:
    """Give ``Lease.written`` for this moment."""
    lease = Lease(fd)
    lease.release()
    return lease.written


@dataclass(frozen=True, slots=True)
class WritingProcess:
    """A process that has a file open for writing.

    Attributes:
        pid: its number.
        command: its command line, cut to a length for messages.
        appends: whether its next write goes to the end of the file.
    """

    pid: int
    command: str
    appends: bool

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid})"


def find(fd: int) -> list[WritingProcess]:
    """Find the processes of this user, or of all for root, that have a file open for writing."""
    file = _OpenFile(os.fstat(fd), _info(f"{_PROC}/self", str(fd)).get("ino"))
    return [
        writer
        for pid in _processes()
        if pid != os.getpid()
        if (writer := _writer(pid, file)) is not None
    ]


@dataclass(frozen=True, slots=True)
class _OpenFile:
    """A file, and the inode that /proc shows for it; it may differ from that of ``stat``."""

    status: os.stat_result
    shown: str | None


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 -- fast
    except OSError:
        return []


def _writer(pid: int, file: _OpenFile) -> WritingProcess | None:
    """Tell how a process writes to a file, if it does; it appends only if all its openings do."""
    ways = list(_ways_in(f"{_PROC}/{pid}", file))
    return WritingProcess(pid, _command(pid), all(ways)) if ways else None


def _ways_in(process: str, file: _OpenFile) -> Iterator[bool]:
    try:
        names = os.listdir(f"{process}/fd")  # noqa: PTH208 -- for all processes, so it is to be fast
    except OSError:
        return  # it has ended, or belongs to another user
    for name in names:
        if not _is_file(f"{process}/fd/{name}"):
            continue
        info = _info(process, name)
        flags = int(info.get("flags", "0"), 8)
        # Before stat, which can hang on a file server that does not answer.
        if flags & os.O_ACCMODE == os.O_RDONLY or info.get("ino") != file.shown:
            continue
        with contextlib.suppress(OSError):
            if os.path.samestat(Path(f"{process}/fd/{name}").stat(), file.status):
                at_end = int(info["pos"]) >= file.status.st_size
                yield bool(flags & os.O_APPEND) or at_end


def _is_file(link: str) -> bool:
    """Tell whether an open descriptor may be a file; most are pipes, sockets and devices."""
    try:
        target = os.readlink(link)  # noqa: PTH115 -- there are thousands of them
    except OSError:
        return False
    return target.startswith("/") and not target.startswith(("/dev/null", "/dev/pts/", "/dev/tty"))


def _info(process: str, name: str) -> dict[str, str]:
    """Read the fdinfo of proc(5) for an open file; empty if it is closed meanwhile."""
    try:
        lines = Path(f"{process}/fdinfo/{name}").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key: value.strip() for key, _, value in pairs}


def _command(pid: int) -> str:
    from pegasus.terminal_text import visible  # noqa: PLC0415 -- takes long, and is rarely needed

    try:
        words = Path(f"{_PROC}/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "?"
    text = visible(b" ".join(words).decode(errors="replace").replace("\n", " "))
    return text if len(text) <= LONGEST_PROCESS_NAME else text[:LONGEST_PROCESS_NAME] + "…"
