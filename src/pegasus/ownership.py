"""Whose a place is: what another user of this machine may have put there, or may swap.

Rule 1: root, and the owner of a folder, could do anything with what is in it anyway, so they are
no strangers there.
Rule 2: whoever may write a folder that is not sticky may swap everything in it. A person who works
in such a folder shares it on purpose; so nothing is asked of it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

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


def is_strangers(path: Path) -> bool:
    """Tell whether what stands at a path, a symbolic link itself, belongs to somebody else.

    Raises:
        OSError: there is nothing, or it can't be looked at.
    """
    return path.lstat().st_uid not in {0, os.geteuid(), path.parent.stat().st_uid}


def may_be_planted(path: Path) -> bool:
    """Tell whether somebody else put this into a folder where each keeps to their own, as in /tmp.

    Linux may refuse to use such a file (``fs.protected_regular``, ``fs.protected_symlinks``), and
    on many machines it doesn't.

    Raises:
        OSError: there is nothing, or it can't be looked at.
    """
    mode = path.parent.stat().st_mode
    return bool(mode & stat.S_ISVTX and mode & _OTHERS_WRITE) and is_strangers(path)
