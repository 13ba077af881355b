"""The note of a take: written before the take happens, and read by the next process after a crash.

Rule 1: a note that is incomplete or malformed is ignored.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from pegasus import durable

_MAGIC = b"pegasus take"
_NUMBERS = {4, 5}
"""How many numbers a note has; older versions did not write the last one, the base."""


@dataclass(slots=True)
class Receipt:
    """Lines that a take appends to a file right after it has happened.

    Attributes:
        path: a file that exists.
        lines: whole lines, all different. Each is appended exactly once, even if there is a crash
            in between.
        given: whether they were appended; if not, the caller has to record the take itself.
    """

    path: Path
    lines: bytes
    given: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a take.

    Attributes:
        writer: the number of the user who wrote the note.
        start: the position of the record in consumed.yaml.
        appended: the record.
        receipt: the lines to append afterwards.
        base: how many bytes of the old queue file are in the new one or taken.
    """

    writer: int
    start: int
    appended: bytes
    receipt: Receipt | None
    base: int | None = None


def note_of(start: int, appended: bytes, receipt: Receipt | None, base: int = 0) -> bytes:
    """Write a note; see ``Planned``."""
    path, lines = (os.fsencode(receipt.path), receipt.lines) if receipt else (b"", b"")
    numbers = b"%d %d %d %d %d" % (start, len(appended), len(path), len(lines), base)
    return b"%b %b\n%b%b%b" % (_MAGIC, numbers, appended, path, lines)


def planned_in(note: Path) -> Planned | None:
    """Read the plan of a take; None if the note is incomplete."""
    try:
        writer, data = durable.read_own(note)
    except FileNotFoundError:
        return None
    head, _, rest = data.partition(b"\n")
    numbers = head.removeprefix(_MAGIC).split()
    if not head.startswith(_MAGIC) or not all(n.isdigit() for n in numbers):
        return None
    if len(numbers) not in _NUMBERS:
        return None
    start, first, second, third, *base = map(int, numbers)
    if len(rest) != first + second + third:
        return None
    path, lines = rest[first : first + second], rest[first + second :]
    receipt = Receipt(Path(os.fsdecode(path)), lines) if path else None
    return Planned(writer, start, rest[:first], receipt, base[0] if base else None)


def hand_over(receipt: Receipt | None) -> None:
    """Append the lines of a receipt to its file."""
    if receipt is None:
        return
    fd = os.open(receipt.path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        durable.append_lines(fd, receipt.lines)
    finally:
        os.close(fd)
    receipt.given = True


def hand_over_late(receipt: Receipt, writer: int) -> None:
    """Append the lines of a receipt that its file lacks; the process of the take has ended.

    The file must belong to the user who wrote the note: a note must not make us write to files that
    its writer could not change.
    """
    with contextlib.suppress(OSError):
        if receipt.path.lstat().st_uid != writer:
            return
        there = receipt.path.read_bytes()
        lines = receipt.lines.splitlines(keepends=True)
        missing = b"".join(line for line in lines if line not in there)
        if missing:
            hand_over(Receipt(receipt.path, missing))
