"""What a take writes down about itself before it happens, for whoever comes after a crash.

Rule 1: a note that is not complete, or not one, says nothing.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from pegasus import durable

_MAGIC = b"pegasus take"
_NUMBERS = {4, 5}
"""How many there are; the last one, the base, has not always been there."""


@dataclass(slots=True)
class Receipt:
    """Who is told of a take in the very moment in which it has happened.

    Attributes:
        path: a file that is there.
        lines: whole lines, no two alike, that are appended to it, exactly once each, also if a
            crash comes between.
        given: whether that has been done; if not, whoever asked for it has to see to it.
    """

    path: Path
    lines: bytes
    given: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What a take is to do.

    Attributes:
        writer: the user who wrote the note.
        start: where in consumed.yaml the record goes.
        appended: the record.
        receipt: who is told.
        base: how much of the old queue file is accounted for then.
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
    """Read what a take was to do; None where the note never was complete."""
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
    """Append those lines of a receipt that its file lacks; nobody else is there to do it.

    Only to a file of the user's who wrote the note: it must not make us write for its writer.
    """
    with contextlib.suppress(OSError):
        if receipt.path.lstat().st_uid != writer:
            return
        there = receipt.path.read_bytes()
        lines = receipt.lines.splitlines(keepends=True)
        missing = b"".join(line for line in lines if line not in there)
        if missing:
            hand_over(Receipt(receipt.path, missing))
