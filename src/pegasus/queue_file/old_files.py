"""The folder of old queue files: their names say how much of each was moved.

Rule 1: a name is ``INODE-BYTES-CHECKSUM``: how many bytes of the file were moved to the queue, with
the checksum of these bytes. See ``left`` for the steps of a move.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.ownership import give, may_be_planted
from pegasus.queue_file import content, settled

_OLD_FILES_FOLDER = ".pegasus-open"
MOVED_FILE = "new"


@dataclass(frozen=True, slots=True)
class OldFile:
    """An old file, and how much of it was moved."""

    path: Path
    inode: int
    base: int
    checksum: int


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
    make_folder(real)
    old.rename(folder_of(real) / old_name(old.stat().st_ino, base, data))


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


def old_name(inode: int, base: int, data: bytes) -> str:
    """Return the name of an old file of which so many bytes were moved."""
    return f"{inode}-{base}-{zlib.crc32(data[:base]):08x}"


def are_there(real: Path) -> bool:
    """Tell whether there may be old files of a queue file; usually there are none."""
    return folder_of(real).exists()


@functools.lru_cache(maxsize=64)  # each take needs the same few
def folder_of(real: Path) -> Path:
    """Give the folder for the old files of a queue file."""
    return real.with_name(f".{real.name}{_OLD_FILES_FOLDER}")


def make_folder(real: Path) -> None:
    """Create the folder of old files, unless it exists; every user of the queue can use it."""
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


def remove_folder(real: Path) -> None:
    """Remove the folder of old files, if it is empty."""
    with contextlib.suppress(OSError):  # not empty: a file is still written to
        folder_of(real).rmdir()


def find_old_files(real: Path) -> list[OldFile]:
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
            found.append(OldFile(folder / name, int(inode), int(base), int(checksum, 16)))
    return found


def recovered_old_files(real: Path) -> list[OldFile]:
    """Find the old files, also after a crash: each once, and none that is still the queue."""
    new = folder_of(real) / MOVED_FILE
    was_moved = not new.exists()
    state = content.state(real)
    best: dict[int, OldFile] = {}
    for left in find_old_files(real):
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
