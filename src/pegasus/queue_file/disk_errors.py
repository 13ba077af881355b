"""Errors of the disk, as messages with the next step.

Rule 1: a message names the file, the error of the system, the consequence and the next step.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from pegasus.errors import PegasusError


@contextlib.contextmanager
def translated(path: str, consequence: str) -> Iterator[None]:
    """Turn an OSError of the block into a PegasusError.

    Args:
        path: the queue file, as the user gave it.
        consequence: what was not done, such as "Nothing was taken".

    Raises:
        PegasusError: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        words = error.strerror or str(error)
        raise PegasusError(
            f"{path}: the queue cannot be rewritten: {words}. {consequence}. "
            f"{next_step(error, 'Look after the disk, and try again')}."
        ) from error


def next_step(error: OSError, otherwise: str) -> str:
    """Give the next step for a file that the system refuses to replace.

    Args:
        error: the refusal.
        otherwise: the step for an error that is not known here.
    """
    return {
        errno.ENOSPC: "Free some space on the disk, and it goes on",
        errno.EDQUOT: "Your quota is used up: free some space, and it goes on",
        errno.EACCES: "Make the folder and consumed.yaml writable for you",
        errno.EPERM: "Make the folder and consumed.yaml writable for you",
        errno.EROFS: "Copy the files to a place that can be written",
        errno.EMFILE: "Raise the limit of open files (`ulimit -n`)",
        # A file that is mounted by itself, as in containers.
        errno.EBUSY: "Mount the folder that the file is in, not the file alone",
        errno.EXDEV: "Mount the folder that the file is in, not the file alone",
    }.get(error.errno or 0, otherwise)
