r"""Bytes -> lines, incrementally.

Rule 1: a line ends with ``\n``, or with ``\r`` as progress bars write it; a run of ``\r`` and
the ``\n`` behind it are one end, and a ``\r`` at the beginning of a line ends nothing.
Rule 2: nothing is decoded; whatever ends no line passes as it is, NUL and broken UTF-8 too.
Rule 3: how the bytes were cut into reads makes no difference to the lines.
Rule 4: memory is bounded: a line without end comes in pieces, each of them a line.

Lines travel as blocks of any number of whole lines, each with ``\n`` behind it. One call of the C
library for a whole block is what keeps up with jobs that print a lot, and copying each byte once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pegasus.buffers import Buffer

LONGEST_LINE = 64 * 1024
"""Bytes of a line that are shown in one piece: what a pipe of Linux holds, and a read brings."""

_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8."""

_RETURNS_AT_A_BEGINNING = re.compile(rb"\n\r++")
_END = re.compile(rb"\r++\n?")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines: ``head``, and behind it ``data`` up to ``end``, which is behind a newline.

    Attributes:
        data: what came last; what is behind ``end`` has no end yet, and is not of the block.
        end: how much of it belongs to the block.
        head: what was held back of the first line, without its end.
    """

    data: bytes = b""
    end: int = 0
    head: bytes = b""

    @classmethod
    def of(cls, lines: bytes) -> Block:
        """Make a block of nothing but whole lines."""
        return cls(lines, len(lines))

    def __bool__(self) -> bool:
        return self.end > 0

    def __bytes__(self) -> bytes:
        whole = self.end == len(self.data) and not self.head
        return self.data if whole else b"".join((self.head, memoryview(self.data)[: self.end]))


class Lines:
    """Makes lines of one stream's bytes as they come.

    Args:
        longest: how many bytes of one line are held back while its end has not come.
    """

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._after_return = False

    def feed(self, data: bytes) -> Block:
        """Take the next bytes; give the block of lines that are complete now."""
        if self._after_return or b"\r" in data:
            data = self._with_plain_ends(data)
        first = data.find(b"\n")
        if first < 0:
            self._rest += data
            return Block() if len(self._rest) <= self._longest else self._cut_off()
        if len(self._rest) + first > self._longest or not _has_ends(data, self._longest):
            self._rest += data
            return self._cut_off()
        # Nearly always; what is not copied needlessly here is what a job prints.
        head, end = bytes(self._rest), data.rfind(b"\n") + 1
        self._rest[:] = memoryview(data)[end:]
        return Block(data, end, head)

    def finish(self) -> Block:
        """Give the last line, where it has no end of its own, as a block; forget everything."""
        last = bytes(self._rest)
        self._rest.clear()
        self._after_return = False
        return Block.of(last + b"\n") if last else Block()

    def _cut_off(self) -> Block:
        lines, self._rest = _cut(self._rest, self._longest)
        return Block.of(lines)

    def _with_plain_ends(self, data: bytes) -> bytes:
        r"""Turn every end into ``\n``.

        A line that a ``\r`` ends is given away at once, for a progress bar says nothing more for
        a while; that the ``\n`` of the next read may belong to the same end is remembered.
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


class EveryNth:
    """Lets each N-th line of a stream through.

    Args:
        period: N; 1 lets all through, 0 none.
    """

    def __init__(self, period: int) -> None:
        self._period = period
        self._skip = period - 1

    def take(self, block: Block) -> Block:
        """Give those lines of the stream's next block that are to be shown, as a block."""
        if self._period == 1 or not block:
            return block
        if self._period == 0:
            return Block()
        lines = bytes(block)[:-1].split(b"\n")
        shown = lines[self._skip :: self._period]
        self._skip = (self._skip - len(lines)) % self._period
        return Block.of(b"\n".join([*shown, b""]))


def behind(prefix: bytes, block: Block) -> Sequence[Buffer]:
    """Put the prefix in front of each line of a block; give the pieces that this makes."""
    if not block:
        return ()
    text = block.data.replace(b"\n", b"\n" + prefix)
    rest = len(prefix) + len(block.data) - block.end  # of which there is no newline
    return prefix + block.head, memoryview(text)[: len(text) - rest]


def block_of(text: str) -> Block:
    r"""Make a block of Pegasus's own words or of somebody's that it passes on; never empty.

    Newlines at the end are none of the text's business. What UTF-8 cannot say (half of a
    surrogate pair, from an error message about a strange file name) is written as ``\udc80``.
    """
    data = text.rstrip("\r\n").encode("utf-8", "backslashreplace")
    if b"\r" not in data and len(data) <= LONGEST_LINE:
        return Block.of(data + b"\n")
    lines = Lines()
    return Block.of(bytes(lines.feed(data)) + bytes(lines.finish()) or b"\n")


def _has_ends(text: bytes, longest: int) -> bool:
    """Tell whether no line in the text is too long, in strides as ``_cut`` has them."""
    start = 0
    while len(text) - start > longest:
        end = text.rfind(b"\n", start, start + longest + 1) + 1
        if not end:
            return False
        start = end
    return True


def _cut(text: bytearray, longest: int) -> tuple[bytes, bytearray]:
    """Cut text into a block, with no line of more than ``longest`` bytes, and the rest.

    It goes in strides of ``longest`` bytes, each to the last end within the stride, and not
    line by line.
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
    """Go back to where a character of UTF-8 begins, if there is any as near as it must be."""
    for earlier in range(index, index - _LONGEST_CHARACTER, -1):
        if text[earlier] & 0b1100_0000 != 0b1000_0000:
            return earlier
    return index
