"""The files of a take: their paths, and whether another user has put them there.

Rule 1: a path is made from the queue file's path alone, so that the next process finds the files.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.ownership import may_be_planted

CONSUMED = "consumed.yaml"

NOTE_FILE, NEW_FILE, OLD_FILE, MENDED_FILE = (
    ".pegasus-take",
    ".pegasus-new",
    ".pegasus-old",
    ".pegasus-mended",
)

ADD_FILE = ".pegasus-add"
"""What becomes the queue when entries are added; one that exists was left by a crash, and is
useless."""


@functools.lru_cache(maxsize=64)
def record_of(queue: Path) -> Path:
    """Give the path of consumed.yaml beside a queue file."""
    return queue.parent / CONSUMED


def queue_of(note: Path) -> Path:
    """Give the queue file of a note."""
    return note.with_name(note.name.removeprefix(".").removesuffix(NOTE_FILE))


def mended_path(consumed: Path) -> Path:
    """Return the path under which consumed.yaml is written anew."""
    return consumed.with_name(f".{consumed.name}{MENDED_FILE}")


@functools.lru_cache(maxsize=64)  # each take needs the same few
def beside(queue: Path, kind: str) -> Path:
    """Return the path of a file of a take."""
    return queue.with_name(f".{queue.name}{kind}")


def is_planted(path: Path) -> bool:
    """Return whether another user may have put a file there."""
    try:
        return may_be_planted(path)
    except FileNotFoundError:
        return False


def refuse_planted(path: Path) -> None:
    """Refuse a file that another user may have put there.

    Raises:
        PegasusError: it is such a file.
    """
    if is_planted(path):
        raise PegasusError(
            f"{path}: another user owns this file. Move the queue to a folder of yours"
        )


def is_at(fd: int, path: Path) -> bool:
    """Tell whether the locked file still has the name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
