"""Old queue files: replaced while another program had them open, and still written to.

A program that has the queue file open for writing continues with that file after it was replaced.
So the old file gets another name, in a folder beside the queue file, until it is closed. What is
written to it is moved to the end of the queue.

Rule 1: the name says how much of the file was moved already: ``INODE-BYTES-CHECKSUM``, with the
checksum of these bytes. If the checksum is wrong, the file was overwritten: it becomes the queue.
Rule 2: everything here needs the lock of the queue.

The steps of a move, and what a crash after each of them leaves::

    new    .queue.yaml.pegasus-open/new   the queue with what came        nothing happened
    link   the old file by its next name                                  nothing happened
    rename new -> queue.yaml                                              moved
    unlink the old file's last name                                       moved

So of two names of one file the longer one counts, unless there is a new file.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pegasus import durable
from pegasus.errors import PegasusError
from pegasus.ownership import give, may_be_planted
from pegasus.queue_file import content, lock, settled, writers
from pegasus.queue_file.settled import Sight, Sign

_OLD_FILES_FOLDER = ".pegasus-open"
_MOVED_FILE = "new"

UNTOLD = 10.0
"""Seconds without a change after which an old file is given up, where its writers are unknown."""


@dataclass(frozen=True, slots=True)
class _Left:
    """An old file, and how much of it was moved."""

    path: Path
    inode: int
    base: int
    checksum: int


def replace(real: Path, new: Path, sight: Sight | None) -> bool:
    """Rename a file to the queue file; processes that have the old one open lose nothing.

    Args:
        real: the queue file.
        new: a file that is on disk.
        sight: the queue file as it was read; None if there was none.

    Returns:
        Whether that was done; if not, the queue file has changed.

    Raises:
        OSError, PegasusError: it was not done.
    """
    if sight is None:
        if content.state(real) is not None:
            return False
        new.replace(real)
        return True
    _make_folder(real)
    old = folder_of(real) / _words(sight.state[2], sight.base, sight.data)
    try:
        with Departure(real, sight) as departure:
            if not departure.replace(new, old):
                return False
            if not departure.goes_on():
                with contextlib.suppress(OSError):  # otherwise the next process does it
                    old.unlink(missing_ok=True)
    finally:
        _remove_folder(real)
    return True


class Departure:
    """The replacement of a queue file.

    In its block no process can open the old file for writing, if the system supports leases.

    Args:
        real: the queue file.
        sight: the queue file as it was read.

    Raises:
        OSError: the queue file cannot be opened; FileNotFoundError if it was removed.
    """

    def __init__(self, real: Path, sight: Sight) -> None:
        self._real = real
        self._sight = sight
        self._fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        self._lease = writers.Lease(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        self._lease.release()
        with contextlib.suppress(OSError):  # it was open for reading only
            os.close(self._fd)

    def replace(self, new: Path, old: Path) -> bool:
        """Give the old file another name, and its name to the new file.

        Returns:
            Whether that was done; if not, the queue file is no longer what was read.
        """
        try:
            self._link(old)
        except OSError as error:
            # EXDEV: the file is mounted by itself. The rename fails too, with a clearer error.
            if self._sight.appended and error.errno != errno.EXDEV:
                raise PegasusError(
                    f"{self._real}: a process has this file open for writing, and what it writes "
                    f"cannot be followed here: {error.strerror}. Close the file"
                ) from error
        if not self._is_same():
            old.unlink(missing_ok=True)
            return False
        try:
            new.replace(self._real)
        except BaseException:
            old.unlink(missing_ok=True)
            raise
        return True

    def _is_same(self) -> bool:
        """Tell whether the file is what was read; it may be longer if a process appends to it."""
        now, then = content.state(self._real), self._sight.state
        if now is None or not self._sight.appended:
            return now == then
        return now[1] >= then[1] and now[2:] == then[2:]

    def _link(self, old: Path) -> None:
        try:
            old.hardlink_to(self._real)
        except FileExistsError:  # left from an earlier take
            old.unlink()
            old.hardlink_to(self._real)

    def goes_on(self) -> bool:
        """Tell whether a process may still write to the old file, or has written to it."""
        try:
            if self._sight.appended or os.fstat(self._fd).st_size != len(self._sight.data):
                return True
            if self._lease.written is False:
                return not self._lease.is_whole()
        except OSError:
            return True  # the safe answer
        return self._lease.written is True and gives_leases(self._real)


def gives_leases(real: Path) -> bool:
    """Tell whether a new file gets a lease here. If not, a missing lease says nothing."""
    return settled.sign_of(real)[1] is False


def keep(real: Path, old: Path, base: int, data: bytes) -> None:
    """Move an old queue file into the folder, where later takes find it.

    Args:
        real: the queue file.
        old: the old one.
        base: how much of it is in the queue or taken.
        data: what was read of it.

    Raises:
        OSError, PegasusError: it could not be moved.
    """
    _make_folder(real)
    old.rename(folder_of(real) / _words(old.stat().st_ino, base, data))


def keep_after_crash(real: Path, old: Path, base: int | None) -> None:
    """Do the same with an old file that a crash has left, unless no process can write to it.

    Args:
        real: the queue file.
        old: the old one.
        base: how much of it is in the queue or taken; None for all of it.

    Raises:
        OSError, PegasusError: as ``keep`` does.
    """
    data = old.read_bytes()
    base = len(data) if base is None else base
    if len(data) == base and settled.sign_of(old)[1] is False:
        old.unlink()
    else:
        keep(real, old, base, data)


def _words(inode: int, base: int, data: bytes) -> str:
    return f"{inode}-{base}-{zlib.crc32(data[:base]):08x}"


def are_there(real: Path) -> bool:
    """Tell whether there may be old files of a queue file; usually there are none."""
    return folder_of(real).exists()


@functools.lru_cache(maxsize=64)  # each take needs the same few
def folder_of(real: Path) -> Path:
    """Give the folder for the old files of a queue file."""
    return real.with_name(f".{real.name}{_OLD_FILES_FOLDER}")


def _make_folder(real: Path) -> None:
    folder = folder_of(real)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        _share(folder)
    if may_be_planted(folder):
        raise PegasusError(
            f"{folder}: another user owns this folder. Move the queue to a folder of yours"
        )


def _share(folder: Path) -> None:
    """Give everyone who may change the folder of the queue the same rights in this new folder."""
    parent = folder.parent.stat()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return  # another user has replaced it
        if not parent.st_mode & stat.S_ISVTX:
            with contextlib.suppress(OSError):
                os.fchown(fd, -1, parent.st_gid)
            os.fchmod(fd, stat.S_IMODE(parent.st_mode))
        give(fd, parent)
    finally:
        os.close(fd)


def _remove_folder(real: Path) -> None:
    with contextlib.suppress(OSError):  # not empty: a file is still written to
        folder_of(real).rmdir()


def _found(real: Path) -> list[_Left]:
    """Find the old files; a folder that another user may have planted counts as empty."""
    folder = folder_of(real)
    try:
        names = sorted(path.name for path in folder.iterdir())
        if may_be_planted(folder):
            return []
    except OSError:
        return []
    found = []
    for name in names:
        with contextlib.suppress(ValueError):
            inode, base, checksum = name.split("-")
            found.append(_Left(folder / name, int(inode), int(base), int(checksum, 16)))
    return found


def _recovered(real: Path) -> list[_Left]:
    """Find the old files, also after a crash: each once, and none that is still the queue."""
    new = folder_of(real) / _MOVED_FILE
    was_moved = not new.exists()
    state = content.state(real)
    best: dict[int, _Left] = {}
    for left in _found(real):
        other = best.get(left.inode)
        if state is not None and left.path.stat().st_ino == state[2]:
            left.path.unlink()  # it was not replaced after all
        elif other is None:
            best[left.inode] = left
        else:
            kept, gone = sorted((left, other), key=lambda each: each.base, reverse=was_moved)
            best[left.inode] = kept
            gone.path.unlink()
    new.unlink(missing_ok=True)
    return list(best.values())


def signs(real: Path) -> tuple[Sign, ...]:
    """Give the signs of the old files and of the queue file."""
    paths = [left.path for left in _found(real)]
    return tuple(settled.sign_of(path) for path in (*paths, real))


def states(real: Path) -> tuple[content.State | None, ...]:
    """Give the states of the old files."""
    if not are_there(real):
        return ()
    return tuple(content.state(left.path) for left in _found(real))


def with_tails(real: Path, data: bytes) -> bytes:
    """Give a queue with what will be moved to its end, for commands that only read."""
    for left in _found(real):
        with contextlib.suppress(OSError):
            if tail := left.path.read_bytes()[left.base :]:
                data = ended(data) + tail
    return data


def ended(data: bytes) -> bytes:
    """Give data whose last line is complete."""
    return data if not data or data.endswith(b"\n") else data + b"\n"


def collect(path: str, real: Path) -> list[Sight]:
    """Move what was written to old files to the end of the queue.

    Args:
        path: as the user gave it.
        real: the queue file, whose lock is held.

    Returns:
        The old files that may still be written to.

    Raises:
        OSError, PegasusError: something could not be moved; nothing is lost.
    """
    if not are_there(real):
        return []
    try:
        staying = [sight for left in _recovered(real) for sight in _collect_one(path, real, left)]
    except (FileNotFoundError, FileExistsError) as error:
        raise lock.company(real) from error
    _remove_folder(real)
    return staying


def _collect_one(path: str, real: Path, left: _Left) -> Iterator[Sight]:
    sign = settled.sign_of(left.path)
    if sign[0] is not None and sign[0][1] == left.base and sign[1] and gives_leases(real):
        yield Sight(b"", sign[0], 0, sign)  # still open, but nothing was written
        return
    sight = settled.look(path, left.path, left.base)
    data, base = sight.data, left.base
    if zlib.crc32(data[:base]) != left.checksum or len(data) < base:
        left.path.replace(real)  # overwritten at the moment of a take
        return
    if sight.ready > base:
        content.refuse_read_only(path, real)
        moved = _move(path, real, left, sight)
        if moved is None:
            yield sight
            return
        left = moved
    if sight.ready == len(data) and _is_over(real, sight):
        left.path.unlink()
    else:
        yield sight


def _is_over(real: Path, sight: Sight) -> bool:
    """Tell whether no process will write to an old file any more; it was read to its end."""
    if sight.sign[1] is False:
        return True
    unknown = not sight.appended and not sight.overwritten
    return unknown and time.time() - sight.state[0] / 1e9 > UNTOLD and not gives_leases(real)


def _move(path: str, real: Path, left: _Left, sight: Sight) -> _Left | None:
    """Append what was written to an old file to the queue; None if that has to wait."""
    queue = None if content.state(real) is None else settled.look(path, real)
    if queue is not None and (queue.overwritten or queue.stays):
        return None  # the queue has an incomplete line, which would be completed by accident
    before = b"" if queue is None else ended(queue.complete)
    new = folder_of(real) / _MOVED_FILE
    like = durable.model_of(left.path if queue is None else real)
    durable.write_new(new, before + sight.data[left.base : sight.ready], like=like)
    after = left.path.with_name(_words(left.inode, sight.ready, sight.data))
    moved = False
    try:
        after.hardlink_to(left.path)
        durable.sync_folder(new.parent)
        moved = replace(real, new, queue)
    finally:
        if not moved:  # the name first: without a new file it would mean that it has happened
            after.unlink(missing_ok=True)
            new.unlink(missing_ok=True)
    if not moved:
        return None
    left.path.unlink()
    return _Left(after, left.inode, sight.ready, zlib.crc32(sight.data[: sight.ready]))
