"""The queue file as bytes: read whole, and told apart from what it was before.

Rule 1: what cannot be read is a fault with the path that the user gave, never a traceback.
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
"""When it was changed in nanoseconds, its size, which file it is, and who may do what with it."""

MOST_READS = 5
"""How often a file that changes while it is read is read again; then it is read to its end."""


def state(real: Path) -> State | None:
    """Tell one state of a file from another; None where there is no file."""
    try:
        return state_of(real.stat())
    except OSError:
        return None


def read(path: str, real: Path) -> tuple[bytes, State]:
    """Read a file, and the state it was in.

    Raises:
        FileFault: it is missing or cannot be read.
        PegasusError: not for now, and that is not the file's fault.
    """
    with opened(path, real) as fd:
        return read_unchanged(fd)


@contextlib.contextmanager
def opened(path: str, real: Path) -> Iterator[int]:
    """Open a file for reading; what the system refuses then and in the block is put into words.

    Raises:
        FileFault, PegasusError: as ``read`` does.
    """
    try:
        # Non-blocking, so that a named pipe in the file's place does not hold us for ever.
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
    """Respect a file that its owner made read-only, although it could be replaced.

    Raises:
        FileFault: it is.
    """
    if not os.access(real, os.W_OK) and real.exists():
        raise FileFault(Position(path, 1, 1), "this file is read-only", "Make it writable for you")


def refuse_record(path: str, real: Path, record: Path) -> None:
    """Refuse to take from the file that takes are recorded in.

    Args:
        path: of the queue file, as the user gave it.
        real: that file itself.
        record: the path of the other one.

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
        return False  # there is nothing


def state_of(found: os.stat_result) -> State:
    """Give the state of a file that was looked at."""
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def read_unchanged(fd: int) -> tuple[bytes, State]:
    """Read an open file, and the state it was in.

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
    """Read a file of this size: all of it, or one byte more where it has grown meanwhile."""
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
