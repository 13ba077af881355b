"""Standard output and standard error, as the commands that only show something write them.

Rule 1: past Python's buffers: nothing is left to be flushed, and to fail, at the end.
Rule 2: a reader that goes away is the caller's business (BrokenPipeError); whatever else keeps an
output from being written is an error that a person can mend.
"""

from __future__ import annotations

import os
import select

from pegasus.errors import PegasusError

STDOUT, STDERR = 1, 2

_NAMES = {STDOUT: "output", STDERR: "error"}


def write(fd: int, data: bytes) -> None:
    """Write everything.

    Raises:
        BrokenPipeError: nobody reads it any more.
        PegasusError: it cannot be written.
    """
    rest = memoryview(data)
    try:
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:  # somebody else set O_NONBLOCK on a file that is shared with us
                select.select([], [fd], [])
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PegasusError(
            f"Standard {_NAMES[fd]} cannot be written: {error.strerror or error}. Look after the "
            "disk, or send it somewhere else."
        ) from error
