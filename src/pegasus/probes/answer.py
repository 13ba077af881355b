"""The answer to a probe, and the sentences that all kinds of probes share.

Rule 1: any bytes give an answer; a reader of them never raises.
Rule 2: what a node prints is quoted shortened, on one line, and without control characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pegasus.events import SlotSeen
from pegasus.model import Exited, Outcome, TimedOut

LONGEST_ANSWER = 64 * 1024
"""Bytes of each stream of an answer that are kept: some thousand slots. Of a longer answer the last
line is not complete, and so none of it is used."""

QUOTED = 120
"""Characters that a message quotes of what a node has printed: a line of most error messages."""

WRITE_IDS = "write its GPUs in the hosts file, such as `gpu: 0-7`"
"""What helps where no program lists the GPUs."""

_MEMORY = re.compile(r"[\d,]+ MiB")


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What a node answered when it was asked for the slots of a pool.

    Attributes:
        seen: the slots, in the order of the pool; empty where ``words`` say why.
        words: why no slot counts as free; empty where the answer is valid.
    """

    seen: tuple[SlotSeen, ...] = ()
    words: str = ""

    @property
    def gist(self) -> object:
        """What two answers have in common that differ only in how much memory is in use."""
        return self.words, tuple((each.slot, _MEMORY.sub("", each.used_by)) for each in self.seen)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What the command of a probe did.

    Attributes:
        outcome: how it ended.
        stdout: what it printed; may be cut off.
        stderr: likewise.
    """

    outcome: Outcome
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def status(self) -> int | None:
        """Its exit status; None where it has none."""
        return self.outcome.status if isinstance(self.outcome, Exited) else None

    @property
    def is_cut(self) -> bool:
        """Whether the end of its standard output may be missing."""
        return len(self.stdout) >= LONGEST_ANSWER

    @property
    def text(self) -> str:
        """Its standard output as text."""
        return self.stdout.decode(errors="replace")

    @property
    def last_words(self) -> str:
        """The last line of its standard error, else of its standard output; may be empty."""
        for data in (self.stderr, self.stdout):
            lines = [line for line in data.decode(errors="replace").splitlines() if line.strip()]
            if lines:
                return quoted(lines[-1]).rstrip(".")  # a sentence follows
        return ""


def quoted(text: str) -> str:
    """Return what a node printed, in a form that a message can quote."""
    plain = "".join(char if char.isprintable() else " " for char in text).strip()
    return plain if len(plain) <= QUOTED else f"{plain[: QUOTED - 1]}…"


def failure(what: str, raw: RawAnswer) -> ProbeAnswer:
    """Say that a program ended as it should not have.

    Args:
        what: the name of the program.
        raw: what it did.
    """
    match raw.outcome:
        case TimedOut(limit):
            return ProbeAnswer(words=f"{what} did not answer within {limit:g} s")
        case Exited():
            said = f": {raw.last_words}" if raw.last_words else ""
            return ProbeAnswer(words=f"{what} ended with {raw.outcome}{said}")
        case _:
            return ProbeAnswer(words=f"{what}: {raw.outcome}")


def invalid(what: str, line: str) -> ProbeAnswer:
    """Say that a program printed something else than expected."""
    return ProbeAnswer(words=f"{what} printed an unexpected line: {quoted(line)!r}")


def in_use(memory_mib: int, who: str = "") -> str:
    """Say that others use a GPU.

    Args:
        memory_mib: how much of its memory, in MiB.
        who: their names and programs, where they are known.
    """
    return f"{memory_mib:,} MiB in use by others{f': {who}' if who else ''}"


def is_decimal(text: str) -> bool:
    """Return whether a text is a number of a few ASCII digits."""
    return text.isascii() and text.isdigit() and len(text) <= 12


def without(ids: tuple[str, ...], listed: list[str], what: str) -> ProbeAnswer:
    """Say that a node has none of the slots that the hosts file names.

    Args:
        ids: those of the hosts file; empty where it names none.
        listed: those that the node has.
        what: the name of the program that listed them.
    """
    if not listed:
        return ProbeAnswer(words=f"{what} lists no GPU")
    has = quoted(", ".join(listed))
    return ProbeAnswer(words=f"{what} lists none of the GPUs {','.join(ids)}, but {has}")
