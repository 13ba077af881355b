"""Whose a place is, what another user may have put there, and whose is what Pegasus makes.

Rule 1: root, and the owner of a folder, could do anything with what is in it anyway, so they are
no strangers there.
Rule 2: whoever may write a folder that is not sticky may swap everything in it. A person who works
in such a folder shares it on purpose; so nothing is asked of it.
Rule 3: what root makes in a user's place is the user's. Only what was made in this very moment is
given away, by its file descriptor: a path may lead to something else by then.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_PRIVATE_FOLDER = 0o700
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def is_private(folder: Path) -> bool:
    """Tell whether a folder is this user's, and nobody else may put anything into it."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & _OTHERS_WRITE
    )


def is_strangers(path: Path, *trusted: int) -> bool:
    """Tell whether what stands at a path, a symbolic link itself, belongs to somebody else.

    Args:
        path: it.
        trusted: users who are no strangers there either, by number.

    Raises:
        OSError: there is nothing, or it can't be looked at.
    """
    return path.lstat().st_uid not in {0, os.geteuid(), path.parent.stat().st_uid, *trusted}


def owner_of(file: Path) -> os.stat_result:
    """Look at a file; where there is none, at its folder, whose owner is the one of new files.

    Raises:
        OSError: there is no such folder either, or it can't be looked at.
    """
    try:
        return file.stat()
    except FileNotFoundError:
        return file.parent.stat()


def give(fd: int, owner: os.stat_result) -> None:
    """Give a file or a folder that was made just now to a user, where root runs Pegasus.

    Nobody else may give files away. Where root may not either (on a file server) it stays as it is.
    """
    if os.geteuid() == 0 and owner.st_uid != 0:
        with suppress(OSError):
            os.fchown(fd, owner.st_uid, owner.st_gid)


def make_private_folder(path: Path, owner: os.stat_result | None = None) -> None:
    """Make a folder for its owner only; see ``give``.

    Args:
        path: its path.
        owner: the status of a file of its owner; None for the owner of the folder that it is in.

    Raises:
        FileExistsError: there is something.
        OSError: it cannot be made.
    """
    # One parent for all steps: its path may lead to another folder a moment later.
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            os.mkdir(path.name, _PRIVATE_FOLDER, dir_fd=parent)
        except OSError as error:
            error.filename = str(path)  # not the bare name: messages show it
            raise
        if owner is None:
            owner = os.fstat(parent)
        if os.geteuid() == 0 and owner.st_uid != 0:
            _give_new_folder(parent, path.name, owner)
    finally:
        os.close(parent)


def _give_new_folder(parent: int, name: str, owner: os.stat_result) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=parent)
    try:
        found = os.fstat(fd)
        if found.st_uid == 0 and _is_empty(fd):  # else somebody has replaced it
            give(fd, owner)
    finally:
        os.close(fd)


def _is_empty(fd: int) -> bool:
    with os.scandir(fd) as found:
        return next(found, None) is None


def may_be_planted(path: Path) -> bool:
    """Tell whether somebody else put this into a folder where each keeps to their own, as in /tmp.

    Linux may refuse to use such a file (``fs.protected_regular``, ``fs.protected_symlinks``), and
    on many machines it doesn't.

    Raises:
        OSError: there is nothing, or it can't be looked at.
    """
    mode = path.parent.stat().st_mode
    return bool(mode & stat.S_ISVTX and mode & _OTHERS_WRITE) and is_strangers(path)
