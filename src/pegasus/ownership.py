"""The owners of files and folders: of existing ones, of planted ones, and of new ones.

Rule 1: root and the owner of a folder can change everything in it anyway, so they are trusted
there.
Rule 2: every user who may write to a folder without the sticky bit may replace everything in it.
People who work in such a folder share it on purpose, so it is not checked.
Rule 3: a file that root makes in a user's folder belongs to the user. Only a file that was made
just now is given away, by its descriptor: its path may lead to another file by then.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_PRIVATE_FOLDER = 0o700
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def is_private(folder: Path) -> bool:
    """Report whether a folder is this user's, and no other user may write to it."""
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
    """Report whether a file belongs to a user who is not trusted there.

    Args:
        path: its path; a symbolic link is not followed.
        trusted: the numbers of further users who are trusted.

    Raises:
        OSError: it is missing, or cannot be read.
    """
    return path.lstat().st_uid not in {0, os.geteuid(), path.parent.stat().st_uid, *trusted}


def owner_of(file: Path) -> os.stat_result:
    """Give the status of a file, or, where it is missing, of its folder, which owns new files.

    Raises:
        OSError: the folder is missing as well, or cannot be read.
    """
    try:
        return file.stat()
    except FileNotFoundError:
        return file.parent.stat()


def give(fd: int, owner: os.stat_result) -> None:
    """Give a new file or folder to a user, where root runs Pegasus.

    No other user may give files away. Where root may not either (on a file server), it stays as
    it is.
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
        if found.st_uid == 0 and _is_empty(fd):  # else it was replaced meanwhile
            give(fd, owner)
    finally:
        os.close(fd)


def _is_empty(fd: int) -> bool:
    with os.scandir(fd) as found:
        return next(found, None) is None


def may_be_planted(path: Path) -> bool:
    """Report whether another user may have put a file into a sticky folder such as /tmp.

    Linux may refuse to use such a file (``fs.protected_regular``, ``fs.protected_symlinks``), but
    on many machines it does not.

    Raises:
        OSError: it is missing, or cannot be read.
    """
    mode = path.parent.stat().st_mode
    return bool(mode & stat.S_ISVTX and mode & _OTHERS_WRITE) and is_strangers(path)
