"""The queue file as bytes: read completely, and compared with earlier states.

Rule 1: a file that cannot be read is a fault with the path that the user gave, never a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, TypeAlias

from pegasus.errors import FileFault, PegasusError
from pegasus.model import Position

State: TypeAlias = tuple[int, int, int, int]
"""The time of the last change in nanoseconds, the size, the inode and the mode of a file."""

MOST_READS = 5
"""How often a file that changes during the read is read again; then it is read to its end."""


def state(real: Path) -> State | None:
    """Give the state of a file; None if there is no file."""
    try:
        return state_of(real.stat())
    except OSError:
        return None


def read(path: str, real: Path) -> tuple[bytes, State]:
    """Read a file, and its state at that time.

    Raises:
        FileFault: it is missing or cannot be read.
        PegasusError: the process has too many open files.
    """
    with opened(path, real) as fd:
        return read_unchanged(fd)


@contextlib.contextmanager
def opened(path: str, real: Path) -> Iterator[int]:
    """Open a file for reading; errors of the system in the block get a message, too.

    Raises:
        FileFault, PegasusError: as ``read`` does.
    """
    try:
        # Non-blocking: a named pipe at this path must not block us.
        fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _refuse(path, error)
    try:
        yield fd
    except OSError as error:
        _refuse(path, error)
    finally:
        os.close(fd)


def refuse_read_only(path: str, real: Path) -> None:
    """Respect a read-only file, although a rename could replace it.

    Raises:
        FileFault: it is read-only.
    """
    if not os.access(real, os.W_OK) and real.exists():
        raise FileFault(Position(path, 1, 1), "this file is read-only", "Make it writable for you")


def refuse_record(path: str, real: Path, record: Path) -> None:
    """Refuse a queue file that is consumed.yaml itself.

    Args:
        path: of the queue file, as the user gave it.
        real: the file.
        record: the path of consumed.yaml.

    Raises:
        FileFault: it is that file.
    """
    if _is_at(record, real.stat()):
        raise FileFault(
            Position(path, 1, 1),
            "this file is where Pegasus records what it takes",
            "Copy it, and give the copy as the queue file",
        )


def _is_at(path: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), found)
    except OSError:
        return False  # there is no such file


def state_of(found: os.stat_result) -> State:
    """Give the state of a file from its stat result."""
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def is_regular(found: State) -> bool:
    """Tell whether a state is that of a regular file: no folder, pipe or device."""
    return stat.S_ISREG(found[3])


def read_unchanged(fd: int) -> tuple[bytes, State]:
    """Read an open file, and its state at that time.

    Raises:
        OSError: it cannot be read.
    """
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise IsADirectoryError("this is not a regular file")
    os.lseek(fd, 0, os.SEEK_SET)
    for _ in range(MOST_READS):
        before, data = state_of(found), _read_all(fd, found.st_size)
        found = os.fstat(fd)
        if before == state_of(found) and len(data) == found.st_size:
            return data, before
        os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as file:
        return file.read(), state_of(found)


def _read_all(fd: int, size: int) -> bytes:
    """Read a file of this size completely, and one byte more if it has grown meanwhile."""
    pieces = [os.read(fd, size + 1)]
    while pieces[-1] and (left := size - sum(map(len, pieces))) > 0:
        pieces.append(os.read(fd, left + 1))
    return b"".join(pieces)


def _refuse(path: str, error: OSError) -> NoReturn:
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        raise PegasusError(
            f"{path}: {error.strerror}. Raise the limit of open files (`ulimit -n`)."
        ) from error
    what, instead = str(error.strerror or error), "Look after the file, or give another path"
    if isinstance(error, FileNotFoundError):
        what = "there is no such file"
        instead = "`pegasus init` makes a starter"
    elif isinstance(error, PermissionError):
        what, instead = "this file cannot be read", "Make it readable for you"
    elif isinstance(error, IsADirectoryError):
        what, instead = "this is not a regular file", "Give the path of a file"
    raise FileFault(Position(path, 1, 1), what, instead) from error
