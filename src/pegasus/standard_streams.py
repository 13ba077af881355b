"""Standard output and standard error of commands that do not open the screen.

Rule 1: no buffer of Python's: nothing is left to be flushed, and to fail, at the end.
Rule 2: the caller handles a reader that has gone (BrokenPipeError); any other error of a write is
a PegasusError with the next step.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from contextlib import suppress

from pegasus.errors import PegasusError

STDOUT, STDERR = 1, 2

DEFAULT_COLUMNS, DEFAULT_ROWS = 80, 24
"""The size of a terminal that does not say its own, and of an output that is none."""

_STREAM_NAMES = {STDOUT: "output", STDERR: "error"}


def write(fd: int, data: bytes) -> None:
    """Write all of the data.

    Raises:
        BrokenPipeError: there is no reader any more.
        PegasusError: it cannot be written.
    """
    try:
        _write_all(fd, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PegasusError(
            f"Standard {_STREAM_NAMES[fd]} cannot be written: {error.strerror or error}. Look "
            "after the disk, or send it somewhere else."
        ) from error


def write_error(text: str) -> None:
    """Write an error message to standard error; nothing is left to do where that fails, too."""
    with suppress(OSError):
        _write_all(STDERR, text.encode("utf-8", "backslashreplace"))


def write_message(text: str) -> None:
    """Write a message of Pegasus to standard error; on a terminal it is wrapped between words.

    Args:
        text: what is said, on one line; control characters in it become visible.
    """
    # It loads a part of rich, which a start without messages does without.
    from pegasus.terminal_text import (  # noqa: PLC0415 -- see above
        NARROWEST_TEXT,
        own_rows,
        visible,
    )

    prefix = "[Pegasus] "
    columns = 0
    with suppress(OSError):
        columns = os.get_terminal_size(STDERR).columns - len(prefix)
    shown = visible(text).encode("utf-8", "backslashreplace").decode()
    rows = own_rows(shown, columns) if columns >= NARROWEST_TEXT else [shown]
    write_error("".join(f"{prefix}{row}\n" for row in rows))


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # another process set O_NONBLOCK on a file that is shared with it
            select.select([], [fd], [])


def open_standard_streams() -> None:
    """Open ``/dev/null`` for each standard stream that is closed (``>&-``).

    Otherwise the next file that is opened would get its number, and output would go into that file.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def has_cursor(environ: Mapping[str, str]) -> bool:
    """Report whether the terminal, if there is one, can move its cursor."""
    return environ.get("TERM", "") not in {"", "dumb"}


def terminal_size() -> tuple[int, int]:
    """Give the columns and rows of standard output; those of a usual terminal where it is none."""
    columns, rows = 0, 0
    with suppress(OSError):
        columns, rows = os.get_terminal_size(STDOUT)
    return columns or DEFAULT_COLUMNS, rows or DEFAULT_ROWS
