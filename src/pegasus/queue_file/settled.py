"""How much of a queue file is complete: another process may be writing an entry right now.

Rule 1: a file that no process has open for writing is complete.
Rule 2: a file to which a process appends is complete up to its last entry. The last entry is
complete when the next one begins, or when it is on one line, with its line break, and has not
changed for a second. A file whose middle is written is incomplete until it is closed.
Rule 3: where the system does not tell who writes, a last line without a line break is complete
after a second without a change.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pegasus.queue_file import content, writers
from pegasus.queue_file.content import State
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.yaml_text import Scalar

QUIET = 1.0
"""Seconds without a change after which an entry on one line counts as complete. A program that
writes a line in parts is faster, unless it has a buffer; a buffer may cut a line anywhere."""

_DASH = re.compile(rb"^([ \t]*)-(?=[ \t\r\n]|\Z)", re.MULTILINE)
_NO_ENTRY = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*\Z")

SKEW = 60.0
"""Seconds by which the clock of a file server may be ahead; a file from beyond counts as old."""

Sign: TypeAlias = tuple[State | None, bool | None, bool]
"""What can change during a wait: the file, whether it is written, whether it is unchanged for a
second."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Entries that another process has not written completely.

    Attributes:
        words: what the queue waits for, as one sentence.
        signs: the signs of the files; one of them changes before there can be more.
    """

    words: str
    signs: tuple[Sign, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """A queue file as it was read.

    Attributes:
        data: its content.
        state: its state at that time.
        ready: how many bytes of it are complete.
        sign: what changes before the rest can be complete.
        words: what the queue waits for, as one sentence; empty if all is complete.
        appended: whether a process is known to append to it.
        overwritten: whether a process writes into its middle, so that it must not be changed.
    """

    data: bytes
    state: State
    ready: int
    sign: Sign
    words: str = ""
    appended: bool = False
    overwritten: bool = False

    @property
    def complete(self) -> bytes:
        """The complete part."""
        return self.data[: self.ready]

    @property
    def stays(self) -> bytes:
        """The incomplete part, if it has to stay in the file: its writer is unknown."""
        return b"" if self.appended else self.data[self.ready :]

    @property
    def base(self) -> int:
        """How many bytes are in the new file or taken, once the file is replaced."""
        return self.ready if self.appended else len(self.data)


def look(path: str, real: Path, base: int = 0) -> Sight:
    """Read a queue file, and find how much of it is complete.

    Args:
        path: as the user gave it; messages name it.
        real: the file.
        base: how many bytes are known to be complete.

    Raises:
        FileFault, PegasusError: as ``content.read`` does.
    """
    with content.opened(path, real) as fd:
        data, state = content.read_unchanged(fd)
        # After the read: a writer that ended in between had written everything before.
        sign = (state, writers.is_written(fd), _is_quiet(state))
        if sign[1] is False:
            return Sight(data, state, len(data), sign)
        if found := writers.find(fd):
            # Again: a process that wrote into the middle may have reached the end meanwhile.
            data, state = content.read_unchanged(fd)
            sign = (state, sign[1], _is_quiet(state))
    if found:
        return _written(path, data, base, sign, found)
    is_ended = sign[1] is None and data.endswith(b"\n")  # other machines may take from it, too
    if sign[2] or is_ended or not data:
        return Sight(data, state, len(data), sign)
    words = f"{path}: another program writes this file. Its last entry is taken in a second."
    return Sight(data, state, base + last_entry(data, base), sign, words)


def sign_of(real: Path) -> Sign:
    """Give the sign that ``look`` would give at this moment."""
    try:
        fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None, None, True
    try:
        state = content.state_of(os.fstat(fd))
        return state, writers.is_written(fd), _is_quiet(state)
    finally:
        os.close(fd)


def _written(
    path: str, data: bytes, base: int, sign: Sign, found: list[writers.WritingProcess]
) -> Sight:
    """Find how much is complete of a file that a known process writes."""
    state, _, quiet = sign
    assert state is not None  # noqa: S101 - it was read
    inside = [writer for writer in found if not writer.appends]
    if inside:
        words = f"{path}: {inside[0]} writes into this file. Waiting until it is closed."
        return Sight(data, state, base, sign, words, overwritten=True)
    last = base + last_entry(data, base)
    if last == len(data) or (quiet and _is_one_line(path, data[last:])):
        return Sight(data, state, len(data), sign, appended=True)
    words = (
        f"{path}: {found[0]} has this file open for writing. Its last entry is taken when the next "
        "one begins, or when the file is closed."
    )
    return Sight(data, state, last, sign, words, appended=True)


def last_entry(data: bytes, base: int = 0) -> int:
    """Find the start of the last entry after ``base``, counted from ``base``.

    In a text without an entry it is the end if the text is complete, else the beginning.
    """
    tail = data[base:]
    first = _DASH.search(data)
    indent = first[1] if first else b""
    at = len(tail)
    while first and (at := tail.rfind(indent + b"-", 0, at)) >= 0:
        if (at == 0 or tail[at - 1 : at] == b"\n") and _DASH.match(tail, at):
            return at
    return len(tail) if _NO_ENTRY.match(tail) else 0


def _is_one_line(path: str, data: bytes) -> bool:
    """Tell whether there is exactly one entry, complete and on one line; comments may follow."""
    lines = [line.strip() for line in data.splitlines()]
    if not data.endswith(b"\n") or sum(line[:1] not in {b"", b"#"} for line in lines) != 1:
        return False
    found = list(QueueReader(path, data))
    if len(found) != 1 or not isinstance(found[0], Written):
        return False
    node = found[0].item.node
    return not node.block if isinstance(node, Scalar) else node.flow


def _is_quiet(state: State) -> bool:
    """Tell whether a file has not changed for QUIET seconds; for one from the future see SKEW."""
    return not -SKEW < time.time() - state[0] / 1e9 < QUIET


def pending_in(sights: Sequence[Sight]) -> Pending | None:
    """Give what is incomplete in files that were read in this order; None if all is complete."""
    words = [sight.words for sight in sights if sight.words]
    return Pending(words[0], tuple(sight.sign for sight in sights)) if words else None


def gives_leases(real: Path) -> bool:
    """Tell whether a new file gets a lease here. If not, a missing lease says nothing."""
    return sign_of(real)[1] is False
