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
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus import ownership

_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
"""Errors of file systems that cannot sync a folder (FUSE, CIFS); there is no other way there."""

_PRIVATE_MODE = 0o600

_TORN_LOOKS, _TORN_LOOK = 5, 0.001
"""How often, and after how many seconds, to look again whether a torn line is complete. Writing a
line takes microseconds, unless the writer has just lost the processor."""


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


def is_torn(fd: int, size: int) -> bool:
    """Report whether a file of this size ends within a line."""
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"


def _stays_torn(fd: int) -> bool:
    """Report the same for a file to which another thread may be writing a line at this moment.

    The kernel extends a file page by page, so that the end of half a write is visible.
    """
    for _ in range(_TORN_LOOKS):
        if not is_torn(fd, os.fstat(fd).st_size):
            return False
        time.sleep(_TORN_LOOK)
    return True


def append_lines(fd: int, lines: bytes) -> None:
    """Append whole lines to a file that is open for reading and appending.

    A torn line at its end (from a crash or a full disk) gets an end first, so that the new lines
    stay whole. ``record.disk`` does without: it knows what it wrote, and must not read before each
    line. ``queue_file.consumed`` does without as well: its note must say in advance which bytes it
    appends, so it calls ``is_torn`` first.
    """
    write_all(fd, b"\n" * _stays_torn(fd) + lines)


def append_synced(path: Path, lines: bytes) -> None:
    """Append whole lines to a private file, and sync it; it is created where it is missing.

    Raises:
        OSError: it cannot be opened, written or synced; a part of the lines may be in the file.
    """
    is_new = not path.exists()
    fd = open_private(path)
    try:
        append_lines(fd, lines)
        os.fsync(fd)
    finally:
        os.close(fd)
    if is_new:
        sync_folder(path.parent)


def open_private(path: Path) -> int:
    """Open a file for reading and appending; where it is missing, create it for its owner only.

    A new file belongs to the owner of its folder, also where root creates it.

    Raises:
        OSError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with _opened_folder(path.parent) as folder, _named(path):
        try:
            return _new_private(folder, path.name, flags)
        except FileExistsError:
            return os.open(path.name, flags | os.O_CREAT, _PRIVATE_MODE, dir_fd=folder)


def write_private(path: Path, data: bytes, unfinished: str, *, synced: bool = False) -> None:
    """Write a small file for its owner only, that appears complete under its name.

    Args:
        path: its path.
        data: its content.
        unfinished: the name, in the same folder, under which it is written first. No file may
            have that name.
        synced: whether it is needed after a power cut.

    Raises:
        OSError: it cannot be written; then nothing is left.
    """
    with _opened_folder(path.parent) as folder, _named(path):
        fd = _new_private(folder, unfinished, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            write_all(fd, data)
            if synced:
                os.fsync(fd)
            os.rename(unfinished, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(unfinished, dir_fd=folder)
            raise
        finally:
            os.close(fd)


@contextlib.contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    """Open a folder, so that all steps use the same one: its path may lead to another one later."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give an OSError of the block the whole path: the system knows only the name in the folder."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _new_private(folder: int, name: str, flags: int) -> int:
    """Create a file for its owner only, who is the owner of the folder."""
    fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE, dir_fd=folder)
    ownership.give(fd, os.fstat(folder))
    return fd


def read_own(path: Path, limit: int = -1) -> tuple[int, bytes]:
    """Read a file that Pegasus wrote; anything but a regular file counts as empty.

    Args:
        path: its path. Neither a link nor a pipe in its place is followed or waited for.
        limit: bytes that are read at most; -1 for all.

    Returns:
        The number of the user who owns it, and its content.

    Raises:
        OSError: it cannot be read, or is missing.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return os.geteuid(), b""
        raise
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        return found.st_uid, b""
    with open(fd, "rb") as file:  # noqa: PTH123 -- a file descriptor
        return found.st_uid, file.read(limit)
