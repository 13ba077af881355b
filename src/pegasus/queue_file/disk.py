"""Files that are on the disk when a function says so.

Rule 1: every OSError comes out, or is put into words; nothing here decides what it means.
Rule 2: a file is complete and synced under another name before it takes the place of the old one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pegasus.errors import PegasusError

_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
"""What file systems answer that cannot sync a folder (FUSE, CIFS): they have no other way."""


def write_all(fd: int, data: bytes) -> None:
    """Write everything; a system call may write less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_new(path: Path, data: bytes, like: Path | None = None) -> None:
    """Create a file that does not exist yet, and sync it.

    Args:
        path: its path.
        data: its content.
        like: a file whose mode, owner, group and attributes it gets, as far as one is allowed to;
            without one it is as any new file.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o666 if like is None else 0o600)
    try:
        write_all(fd, data)
        if like is not None:
            make_alike(fd, like)
        os.fsync(fd)
    finally:
        os.close(fd)


def read_own(path: Path) -> tuple[int, bytes]:
    """Read a file that Pegasus wrote; what else may stand in its place counts as empty.

    Returns:
        The user whose it is, and its content.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return os.geteuid(), b""
        raise
    with open(fd, "rb") as file:  # noqa: PTH123 -- a file descriptor
        found = os.fstat(fd)
        return found.st_uid, file.read() if stat.S_ISREG(found.st_mode) else b""


def make_alike(fd: int, like: Path) -> None:
    """Give an open file the owner, group, mode and attributes of another one."""
    model = like.stat()
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) != (model.st_uid, model.st_gid):
        for uid, gid in ((-1, model.st_gid), (model.st_uid, -1)):
            with contextlib.suppress(OSError):  # only root may give files away
                os.fchown(fd, uid, gid)
    with contextlib.suppress(OSError):  # access lists; not every file system has them
        for name in os.listxattr(like):
            os.setxattr(fd, name, os.getxattr(like, name))
    os.fchmod(fd, stat.S_IMODE(model.st_mode))


def sync_folder(folder: Path) -> None:
    """Make what a folder lists last over a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def errors(path: str, consequence: str) -> Iterator[None]:
    """Turn what the disk refuses into words, with what to do."""
    try:
        yield
    except OSError as error:
        instead = {
            errno.ENOSPC: "Free some space on the disk, and it goes on",
            errno.EDQUOT: "Your quota is used up: free some space, and it goes on",
            errno.EACCES: "Make the folder and consumed.yaml writable for you",
            errno.EPERM: "Make the folder and consumed.yaml writable for you",
            errno.EROFS: "Copy the files to a place that can be written",
            errno.EMFILE: "Raise the limit of open files (`ulimit -n`)",
        }.get(error.errno or 0, "Look after the disk, and try again")
        words = error.strerror or str(error)
        raise PegasusError(
            f"{path}: the queue cannot be rewritten: {words}. {consequence}. {instead}."
        ) from error
