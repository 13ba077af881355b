"""Files that are on the disk when a function says so.

Rule 1: every OSError comes out, or is put into words; nothing here decides what it means.
Rule 2: a file is complete and synced under another name before it takes the place of the old one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus import ownership
from pegasus.errors import PegasusError

_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
"""What file systems answer that cannot sync a folder (FUSE, CIFS): they have no other way."""


def write_all(fd: int, data: bytes) -> None:
    """Write everything; a system call may write less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


@dataclass(frozen=True, slots=True)
class Model:
    """What a file is besides its content, for others that shall be like it.

    Attributes:
        status: its mode, owner and group, and which file it is.
        attributes: its extended ones, access lists among them, where the file system has any.
    """

    status: os.stat_result
    attributes: Mapping[str, bytes]


def model_of(path: Path) -> Model:
    """Look at a file.

    Raises:
        OSError: it can't be looked at; FileNotFoundError where there is none.
    """
    attributes: dict[str, bytes] = {}
    status = path.stat()
    with contextlib.suppress(OSError):  # not every file system has them
        for name in os.listxattr(path):
            attributes[name] = os.getxattr(path, name)
    return Model(status, attributes)


def write_new(path: Path, data: bytes, like: Model | None = None) -> None:
    """Create a file that does not exist yet, and sync it.

    Args:
        path: its path.
        data: its content.
        like: what its mode, owner, group and attributes shall be, as far as one is allowed to;
            without that it is as any new file, and its folder's owner's also where root makes it.
    """
    with opened_new(path, data, like) as fd:
        os.fsync(fd)


@contextlib.contextmanager
def opened_new(path: Path, data: bytes, like: Model | None = None) -> Iterator[int]:
    """Do the same, but leave the syncing to the block, which is given the file descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o666 if like is None else 0o600)
    try:
        write_all(fd, data)
        if like is not None:
            make_alike(fd, like)
        else:
            ownership.give(fd, path.parent.stat())
        yield fd
    finally:
        os.close(fd)


def sync_together(fds: Sequence[int], folder: Path) -> None:
    """Sync new files and the folder that they are in.

    The system is told to begin with each of them before one is waited for, so that a file system
    with a journal can do with one entry in it for all of them, and not one each.
    """
    if hasattr(os, "posix_fadvise"):
        for fd in fds:
            with contextlib.suppress(OSError):  # it is advice, which not every system takes
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    sync_folder(folder)
    for fd in fds:
        os.fsync(fd)


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


def make_alike(fd: int, like: Model) -> None:
    """Give an open file the owner, group, mode and attributes of another one."""
    model, now = like.status, os.fstat(fd)
    if (now.st_uid, now.st_gid) != (model.st_uid, model.st_gid):
        for uid, gid in ((-1, model.st_gid), (model.st_uid, -1)):
            with contextlib.suppress(OSError):  # only root may give files away
                os.fchown(fd, uid, gid)
    with contextlib.suppress(OSError):
        for name, value in like.attributes.items():
            os.setxattr(fd, name, value)
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
        words = error.strerror or str(error)
        raise PegasusError(
            f"{path}: the queue cannot be rewritten: {words}. {consequence}. "
            f"{what_to_do(error, 'Look after the disk, and try again')}."
        ) from error


def what_to_do(error: OSError, otherwise: str) -> str:
    """Say what helps where the disk refuses to replace a file."""
    return {
        errno.ENOSPC: "Free some space on the disk, and it goes on",
        errno.EDQUOT: "Your quota is used up: free some space, and it goes on",
        errno.EACCES: "Make the folder and consumed.yaml writable for you",
        errno.EPERM: "Make the folder and consumed.yaml writable for you",
        errno.EROFS: "Copy the files to a place that can be written",
        errno.EMFILE: "Raise the limit of open files (`ulimit -n`)",
        # A file that is mounted by itself, as containers are given one.
        errno.EBUSY: "Mount the folder that the file is in, not the file alone",
        errno.EXDEV: "Mount the folder that the file is in, not the file alone",
    }.get(error.errno or 0, otherwise)
