r"""The last line that a command printed, from the last bytes of its output.

Rule 1: pure; what is given is one line without any control character.

A progress bar is a line that returns to its beginning (``\r``), before each update or after it.
Several bars move the cursor up and down between their lines. So whatever moves the cursor to
another line, or to the beginning of this one, ends a line here, and the last one with text counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pegasus.terminal_text import fit, visible

_MOVES = re.compile(rb"[\r\n\v\f]|\x1b\[[0-9;]*[A-HJSTfsu]|\x1b[78DEM]")
"""What begins a line anew, or leads to another one."""

_BYTES_OF_A_CELL = 16
"""Bytes of a line that are laid out for each cell: characters have up to four, and colours are
between them."""

_MOST_PARTS = 100
"""Parts without text that are passed over, which takes half a millisecond: a command that prints a
lot of blank lines must not cost more than others."""

_NO_FIRST_BYTES = bytes(range(0x80, 0xC0))
"""Bytes that cannot begin a character; the first bytes of a part of an output may be such ones."""


def last_line(tail: bytes, room: int) -> str:
    """Give the last line with text; it may be empty where there is none.

    Args:
        tail: the last bytes of an output.
        room: cells that are shown of the line; it may be longer than that, and is to be cut.
    """
    for part in islice(_parts(tail), _MOST_PARTS):
        if line := _cleaned(part, room):
            return line
    return ""


def _parts(tail: bytes) -> Iterator[bytes]:
    """Give what is between moves of the cursor, the last part first."""
    end = len(tail)
    while end > 0:
        end = len(tail[:end].rstrip(b"\r\n"))
        begin = max(tail.rfind(b"\n", 0, end), tail.rfind(b"\r", 0, end)) + 1
        yield from reversed(_MOVES.split(tail[begin:end]))
        end = begin - 1


def _cleaned(part: bytes, room: int) -> str:
    """Give a part of a line as it is shown, without blanks around it."""
    part = _with_backspaces(part.lstrip(_NO_FIRST_BYTES)).strip()
    if not part:
        return ""
    row = fit(part[: room * _BYTES_OF_A_CELL] + b"\n", None, colour=False)
    return visible(row.decode("utf-8", "backslashreplace").strip())


def _with_backspaces(part: bytes) -> bytes:
    r"""Let what follows backspaces replace what is before them, as in ``10%\b\b\b20%``."""
    if b"\b" not in part:
        return part
    kept = bytearray()
    for byte in part:
        if byte != ord("\b"):
            kept.append(byte)
        elif kept:
            kept.pop()
    return bytes(kept)
