"""Who has a file open for writing: what the kernel tells.

Rule 1: a lease decides whether anybody has; /proc only says who, and how they write.
Rule 2: nothing here waits, and nothing here is an error: what cannot be told is None or empty.
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
"""Characters of a command line by which a person knows a process again."""

_PROC = "/proc"


class Lease:
    """A read lease on an open file: granted only while nobody has the file open for writing.

    Who opens the file for writing while the lease is held waits until it is released, at most for
    ``/proc/sys/fs/lease-break-time``. The signal that tells of it is one that nobody notices.

    Args:
        fd: the file, open for reading only.

    Attributes:
        written: whether somebody has the file open for writing; None where the system can't tell:
            network file systems, files of other users.
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
        """Tell whether the lease was granted, and nobody has waited for its end so far."""
        if self.written is not False:
            return False
        return fcntl.fcntl(self._fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK

    def release(self) -> None:
        """Let those in who wait."""
        if self.written is False:
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def is_written(fd: int) -> bool | None:
    """Tell what ``Lease.written`` is just now."""
    lease = Lease(fd)
    lease.release()
    return lease.written


@dataclass(frozen=True, slots=True)
class WritingProcess:
    """A process that has a file open for writing.

    Attributes:
        pid: its number.
        command: its command line, cut to a length for messages.
        appends: whether what it writes next comes behind all that is in the file.
    """

    pid: int
    command: str
    appends: bool

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid})"


def find(fd: int) -> list[WritingProcess]:
    """Find the processes that have a file open for writing, as far as this user may see them."""
    file = _OpenFile(os.fstat(fd), _info(f"{_PROC}/self", str(fd)).get("ino"))
    return [
        writer
        for pid in _processes()
        if pid != os.getpid()
        if (writer := _writer(pid, file)) is not None
    ]


@dataclass(frozen=True, slots=True)
class _OpenFile:
    """A file, and the number that the system shows for it; not always that of ``stat``."""

    status: os.stat_result
    shown: str | None


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 -- fast
    except OSError:
        return []


def _writer(pid: int, file: _OpenFile) -> WritingProcess | None:
    """Tell how a process writes to a file, if it does; with several ways in, the worst counts."""
    ways = list(_ways_in(f"{_PROC}/{pid}", file))
    return WritingProcess(pid, _command(pid), all(ways)) if ways else None


def _ways_in(process: str, file: _OpenFile) -> Iterator[bool]:
    try:
        names = os.listdir(f"{process}/fd")  # noqa: PTH208 -- for all processes, so it is to be fast
    except OSError:
        return  # it has ended, or is somebody else's
    for name in names:
        if not _is_file(f"{process}/fd/{name}"):
            continue
        info = _info(process, name)
        flags = int(info.get("flags", "0"), 8)
        # Not by stat alone: that can hang on a file server which does not answer.
        if flags & os.O_ACCMODE == os.O_RDONLY or info.get("ino") != file.shown:
            continue
        with contextlib.suppress(OSError):
            if os.path.samestat(Path(f"{process}/fd/{name}").stat(), file.status):
                at_end = int(info["pos"]) >= file.status.st_size
                yield bool(flags & os.O_APPEND) or at_end


def _is_file(link: str) -> bool:
    """Tell what may be a file from pipes, sockets and devices, which most open things are."""
    try:
        target = os.readlink(link)  # noqa: PTH115 -- there are thousands of them
    except OSError:
        return False
    return target.startswith("/") and not target.startswith(("/dev/null", "/dev/pts/", "/dev/tty"))


def _info(process: str, name: str) -> dict[str, str]:
    """Read what proc(5) says of an open file; nothing where it is not open any more."""
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
