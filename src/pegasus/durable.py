"""Files that are complete on disk when a function returns.

Rule 1: every OSError is raised; the caller decides what it means and which message to give.
Rule 2: a new file is complete and synced under another name before it replaces the old one.
Rule 3: no Trio: commands that only read must start fast.
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

_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
"""Errors of file systems that cannot sync a folder (FUSE, CIFS); there is no other way there."""


def write_all(fd: int, data: bytes) -> None:
    """Write all of the data; one system call may write only a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


@dataclass(frozen=True, slots=True)
class FileModel:
    """The metadata of a file, for new files that get the same.

    Attributes:
        status: its mode, owner and group, and which file it is.
        attributes: its extended attributes (among them access lists), where the file system has
            any.
    """

    status: os.stat_result
    attributes: Mapping[str, bytes]


def model_of(path: Path) -> FileModel:
    """Read the metadata of a file.

    Raises:
        OSError: it cannot be read; FileNotFoundError where there is no file.
    """
    attributes: dict[str, bytes] = {}
    status = path.stat()
    with contextlib.suppress(OSError):  # not every file system has them
        for name in os.listxattr(path):
            attributes[name] = os.getxattr(path, name)
    return FileModel(status, attributes)


def write_new(path: Path, data: bytes, like: FileModel | None = None) -> None:
    """Create a file that does not exist yet, and sync it.

    Args:
        path: its path.
        data: its content.
        like: mode, owner, group and attributes of the new file, as far as the user may set them.
            Without it the mode is the default one, and where root makes the file it belongs to
            the owner of the folder.
    """
    with opened_new(path, data, like) as fd:
        os.fsync(fd)


@contextlib.contextmanager
def opened_new(path: Path, data: bytes, like: FileModel | None = None) -> Iterator[int]:
    """Do the same, but leave the sync to the block, which gets the file descriptor."""
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


def make_alike(fd: int, like: FileModel) -> None:
    """Set owner, group, mode and attributes of an open file to those of another file."""
    model, now = like.status, os.fstat(fd)
    if (now.st_uid, now.st_gid) != (model.st_uid, model.st_gid):
        for uid, gid in ((-1, model.st_gid), (model.st_uid, -1)):
            with contextlib.suppress(OSError):  # only root may give files away
                os.fchown(fd, uid, gid)
    with contextlib.suppress(OSError):
        for name, value in like.attributes.items():
            os.setxattr(fd, name, value)
    os.fchmod(fd, stat.S_IMODE(model.st_mode))


def sync_together(fds: Sequence[int], folder: Path) -> None:
    """Sync new files and their folder.

    The system starts to write each of them before this function waits for the first, so that a
    file system with a journal needs one journal entry for all and not one for each.
    """
    if hasattr(os, "posix_fadvise"):
        for fd in fds:
            with contextlib.suppress(OSError):  # only advice; not every system accepts it
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    sync_folder(folder)
    for fd in fds:
        os.fsync(fd)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(fd)


def read_own(path: Path) -> tuple[int, bytes]:
    """Read a file that Pegasus wrote; anything but a regular file counts as empty.

    Returns:
        The number of the user who owns it, and its content.
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
