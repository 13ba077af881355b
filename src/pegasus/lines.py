r"""Bytes -> lines, incrementally.

Rule 1: a line ends with ``\n``, or with ``\r`` as progress bars write it; a run of ``\r`` and
the ``\n`` behind it are one end, and a ``\r`` at the beginning of a line ends nothing.
Rule 2: nothing is decoded; all other bytes pass unchanged, NUL and invalid UTF-8 too.
Rule 3: the lines do not depend on how the bytes were divided into reads.
Rule 4: memory is bounded: a line without an end is divided into several lines.

Lines are passed on as blocks of any number of whole lines, each followed by ``\n``. To keep up with
jobs that print a lot, a whole block takes one call of the C library, and each byte is copied once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pegasus.buffers import Buffer

LONGEST_LINE = 64 * 1024
"""Bytes of a line that is shown undivided: the capacity of a pipe on Linux, and of a read."""

_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8."""

_RETURNS_AT_A_BEGINNING = re.compile(rb"\n\r++")
_END = re.compile(rb"\r++\n?")
_RETURNS_BEFORE_AN_END = re.compile(rb"\r++\n")
_OVERWRITTEN = re.compile(rb"^[^\n]*\r", re.MULTILINE)

_UP = b"\x1b[A"
_UP_AND_DOWN = re.compile(rb"((?:\x1b\[A)++)(\n++)")
"""How a program that shows a second bar below the first one returns to the second one."""

_UNSEEN = re.compile(rb"(?:\s|\x1b\[[0-?]*+[@-~])*+")
"""Blanks and control sequences: nothing of them is seen on a terminal."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines: ``head``, followed by ``data`` up to ``end``, which is after a newline.

    Attributes:
        data: the last read; the bytes after ``end`` are an incomplete line, and not in the block.
        end: how many bytes of ``data`` belong to the block.
        head: the beginning of the first line, from earlier reads.
    """

    data: bytes = b""
    end: int = 0
    head: bytes = b""

    @classmethod
    def of(cls, lines: bytes) -> Block:
        """Make a block of whole lines."""
        return cls(lines, len(lines))

    def __bool__(self) -> bool:
        return self.end > 0

    def __bytes__(self) -> bytes:
        whole = self.end == len(self.data) and not self.head
        return self.data if whole else b"".join((self.head, memoryview(self.data)[: self.end]))


class LineSplitter:
    r"""Divides the bytes of one stream into lines.

    Args:
        longest: bytes of an incomplete line that are kept at most.
        last_state: whether a progress bar is one line, in its last state: text that ends with
            ``\r`` gives way to the text behind it, as on a terminal. What was divided because it
            was too long stays.
    """

    def __init__(self, longest: int = LONGEST_LINE, *, last_state: bool = False) -> None:
        self._longest = longest
        self._last_state = last_state
        self._rest = bytearray()
        self._after_return = False

    def is_step(self, data: bytes) -> bool:
        """Report whether the next bytes can complete no line: a step of a progress bar."""
        short = len(self._rest) + len(data) <= self._longest
        return self._last_state and short and b"\n" not in data

    def feed(self, data: bytes) -> Block:
        """Take the next bytes; give the lines that are complete now."""
        if self._after_return or b"\r" in data or self._returns_by_rows(data):
            data = self._last_states(data) if self._last_state else self._with_plain_ends(data)
        first = data.find(b"\n")
        if first < 0:
            self._rest += data
            return Block() if len(self._rest) <= self._longest else self._cut_off()
        if len(self._rest) + first > self._longest or not _has_ends(data, self._longest):
            self._rest += data
            return self._cut_off()
        # The usual case: the bytes of the job are not copied.
        head, end = bytes(self._rest), data.rfind(b"\n") + 1
        self._rest[:] = memoryview(data)[end:]
        return Block(data, end, head)

    def finish(self) -> Block:
        """Give the last line, where it has no end, as a block; start anew.

        A progress bar that was wiped out at its end, with blanks or a control sequence, is no line.
        """
        steered = self._last_state and (self._after_return or b"\x1b" in self._rest)
        wiped = steered and _UNSEEN.fullmatch(self._rest) is not None
        last = b"" if wiped else bytes(self._rest)
        self._rest.clear()
        self._after_return = False
        return Block.of(last + b"\n") if last else Block()

    def _cut_off(self) -> Block:
        lines, self._rest = _cut(self._rest, self._longest)
        return Block.of(lines)

    def _with_plain_ends(self, data: bytes) -> bytes:
        r"""Turn every end into ``\n``.

        A line that ends with ``\r`` is passed on at once, since a progress bar prints nothing more
        for a while. The ``\n`` of the next read may belong to the same end; a flag records that.
        """
        if self._after_return:
            data = data.lstrip(b"\r")
            if not data:
                return b""
            self._after_return = False
            data = data.removeprefix(b"\n")
        if not self._rest:
            data = data.lstrip(b"\r")
        data = _RETURNS_AT_A_BEGINNING.sub(b"\n", data.replace(b"\r\n", b"\n"))
        self._after_return = data.endswith(b"\r")
        return _END.sub(b"\n", data) if b"\r" in data else data

    def _last_states(self, data: bytes) -> bytes:
        r"""Remove what is overwritten: in each line all up to its last ``\r``.

        A ``\r`` at the end of a read decides nothing yet: the ``\n`` of the next read would belong
        to it.
        """
        if self._after_return:
            data = data.lstrip(b"\r")
            if not data:
                return b""
            self._after_return = False
            if not data.startswith(b"\n"):
                self._rest.clear()
        data = _RETURNS_BEFORE_AN_END.sub(b"\n", data)
        if b"\n" in data:
            data = self._with_returns_by_rows(data)
        self._after_return = data.endswith(b"\r")
        data = data.rstrip(b"\r")
        if b"\r" in data:
            if b"\r" in data.partition(b"\n")[0]:
                self._rest.clear()
            data = _OVERWRITTEN.sub(b"", data)
        return data

    def _returns_by_rows(self, data: bytes) -> bool:
        r"""Report whether ``_with_returns_by_rows`` has to look at the next bytes."""
        if not self._last_state:
            return False
        begun = b"\x1b" in self._rest[-len(_UP) :] and b"\n" in data[: len(_UP)]
        return begun or (b"\x1b" in data and _UP + b"\n" in data)

    def _with_returns_by_rows(self, data: bytes) -> bytes:
        r"""Turn going up by rows and down by newlines into ``\r`` where it leads no further down.

        Of two bars below each other, the lower one is reached by a newline from the upper one for
        each of its states. Without this each of them would be a line.
        """
        begin = len(self._rest.rstrip(_UP))  # the way up may have come with earlier reads
        if begin < len(self._rest):
            data = bytes(self._rest[begin:]) + data
            del self._rest[begin:]
        return _UP_AND_DOWN.sub(_way_down, data)


def _way_down(match: re.Match[bytes]) -> bytes:
    rows = len(match[2]) - len(match[1]) // len(_UP)
    return b"\n" * rows if rows > 0 else b"\r"


class EveryNth:
    """Lets each N-th line of a stream through.

    Args:
        period: N; 1 lets all through, 0 none.
    """

    def __init__(self, period: int) -> None:
        self._period = period
        self._skip = period - 1

    def take(self, block: Block) -> Block:
        """Give the lines of the stream's next block that are shown, as a block."""
        if self._period == 1 or not block:
            return block
        if self._period == 0:
            return Block()
        lines = bytes(block)[:-1].split(b"\n")
        shown = lines[self._skip :: self._period]
        self._skip = (self._skip - len(lines)) % self._period
        return Block.of(b"\n".join([*shown, b""]))


def prefixed(prefix: bytes, block: Block) -> Sequence[Buffer]:
    """Put the prefix before each line of a block; give the buffers of the result."""
    if not block:
        return ()
    text = block.data.replace(b"\n", b"\n" + prefix)
    rest = len(prefix) + len(block.data) - block.end  # without a newline
    return prefix + block.head, memoryview(text)[: len(text) - rest]


def block_of(text: str) -> Block:
    r"""Make a block of a text of Pegasus or of another program; it is never empty.

    Newlines at the end are dropped. A character that UTF-8 cannot encode (half of a surrogate pair,
    from an error message about a file name) is written as ``\udc80``.
    """
    data = text.rstrip("\r\n").encode("utf-8", "backslashreplace")
    if b"\r" not in data and len(data) <= LONGEST_LINE:
        return Block.of(data + b"\n")
    lines = LineSplitter()
    return Block.of(bytes(lines.feed(data)) + bytes(lines.finish()) or b"\n")


def _has_ends(text: bytes, longest: int) -> bool:
    """Report whether no line in the text is too long; in the same steps as ``_cut``."""
    start = 0
    while len(text) - start > longest:
        end = text.rfind(b"\n", start, start + longest + 1) + 1
        if not end:
            return False
        start = end
    return True


def _cut(text: bytearray, longest: int) -> tuple[bytes, bytearray]:
    """Divide text into a block, with no line of more than ``longest`` bytes, and the rest.

    It takes steps of ``longest`` bytes, each to the last end within them, and not line by line.
    """
    pieces: list[bytes | bytearray] = []
    start = 0
    while len(text) - start > longest:
        end = text.rfind(b"\n", start, start + longest + 1) + 1
        if end:
            pieces.append(text[start:end])
        else:
            end = _between_characters(text, start + longest)
            pieces += [text[start:end], b"\n"]
        start = end
    end = text.rfind(b"\n", start) + 1 or start
    pieces.append(text[start:end])
    return b"".join(pieces), text[end:]


def _between_characters(text: bytearray, index: int) -> int:
    """Go back to the start of a character of UTF-8, if one is near enough."""
    for earlier in range(index, index - _LONGEST_CHARACTER, -1):
        if text[earlier] & 0b1100_0000 != 0b1000_0000:
            return earlier
    return index
