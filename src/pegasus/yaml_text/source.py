"""The bytes of a file as text with positions, decoded block by block.

Rule 1: only the needed blocks are decoded: the head of a long queue costs no more than the head of
a short one.
Rule 2: characters that YAML or UTF-8 forbid are not an error here; their indexes are kept, so that
everything before them can be read. The reader of an item checks whether it has such a character.
"""

from __future__ import annotations

import bisect
import codecs
import re
from collections.abc import Callable

from pegasus.errors import FileFault
from pegasus.model import Position

FIRST_BLOCK = 2 * 1024
"""Bytes that are decoded first: a few entries, which is all that a take needs."""

FED_BLOCK = 64 * 1024
"""Characters that the parser gets at a time: some milliseconds of its work."""

_UNREADABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""The complement of YAML's c-printable, because its long ranges compile ten times as slowly."""

_PRINTABLE_ASCII = bytes([*b"\t\n", *range(ord(" "), ord("~") + 1)])
"""Bytes that need no further check; most files have no others."""

BREAKS = "\n\r\x85\u2028\u2029"
"""The line breaks of YAML 1.1, for a character class of a regular expression."""

LINE_BREAK = re.compile(f"\r\n|[{BREAKS}]")
_STAND_IN = "\ufffd"
"""What the parser gets instead of a character that it would refuse, so that it continues."""

_FIRST_ESCAPED_BYTE, _LAST_ESCAPED_BYTE = 0xDC80, 0xDCFF


class SourceText:
    """The text of one file.

    Indexes are those of YAML's marks: characters after the byte-order mark.

    Args:
        path: as the user gave it; faults name it.
        data: the file's bytes.
        pulse: is called often while the file is read; it may raise, to stop the reading.
        first_line: the number of the first line of the data.
    """

    def __init__(
        self,
        path: str,
        data: bytes,
        pulse: Callable[[], None] | None = None,
        *,
        first_line: int = 1,
    ) -> None:
        self.path = path
        self.data = data
        self.pulse = pulse
        self.text = ""
        self._head = self._decoded = _length_of_byte_order_marks(data)
        self._block_size = FIRST_BLOCK
        self._fed = 0
        self._bad: list[int] = []
        self._breaks = "\n"  # the kinds found so far
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._first_line = first_line
        self._counted = (0, first_line, 0)

    def read(self, _size: int = 0, /) -> str:
        """Give the next block of text to a YAML parser; empty at the end."""
        if self._fed == len(self.text):
            self.decode_more()
        elif self.pulse is not None:
            self.pulse()
        block = self.text[self._fed : self._fed + FED_BLOCK]
        if self._bad and self._bad[-1] >= self._fed:
            block = _UNREADABLE.sub(_STAND_IN, block)
        self._fed += len(block)
        return block

    def decode_more(self) -> bool:
        """Decode the next block. Return whether there was one.

        The size of the blocks doubles, so the time for a whole file is linear in its length.
        """
        if self.pulse is not None:
            self.pulse()
        text = ""
        while not text and self._decoded < len(self.data):
            block = self.data[self._decoded : self._decoded + self._block_size]
            self._decoded += len(block)
            self._block_size *= 2
            text = self._decoder.decode(block, final=self._decoded >= len(self.data))
            if len(text) != len(block) or block.translate(None, _PRINTABLE_ASCII):
                found = _UNREADABLE.finditer(text)
                self._bad += [len(self.text) + bad.start() for bad in found]
                self._breaks += "".join(b for b in BREAKS if b in text and b not in self._breaks)
        self.text += text
        return bool(text)

    def decode_all(self) -> None:
        """Decode the whole file."""
        while self.decode_more():
            pass

    def line_end(self, index: int) -> int:
        """Give the index after the line break that ends the line of ``index``, or the end.

        Lines are those of YAML.
        """
        while True:
            found = LINE_BREAK.search(self.text, index)
            if found and (found.end() < len(self.text) or found[0] != "\r"):
                return found.end()
            if not self.decode_more():
                return found.end() if found else len(self.text)

    def has_break(self, start: int, end: int) -> bool:
        """Tell whether there is a line break between two indexes."""
        return any(self.text.find(each, start, end) >= 0 for each in self._breaks)

    def line_start(self, index: int) -> int:
        """Give the index of the first character of the line of ``index``, a line of YAML."""
        start = self.text.rfind("\n", 0, index) + 1
        # Only after that: a rare break is not searched in the whole file.
        return max([start, *(self.text.rfind(b, start, index) + 1 for b in self._breaks)])

    def position(self, index: int) -> Position:
        """Give the position of a character, as editors count: only a line feed ends a line."""
        if index < self._counted[0]:
            self._counted = (0, self._first_line, 0)
        at, line, start = self._counted
        line += self.text.count("\n", at, index)
        start = max(start, self.text.rfind("\n", at, index) + 1)
        self._counted = (index, line, start)
        return Position(self.path, line, index - start + 1)

    def offset(self, index: int) -> int:
        """Give the offset of a character in the bytes of the file."""
        return self._head + len(encoded(self.text[:index]))

    def data_before(self, index: int) -> bytes:
        """Give the bytes of the file up to a character."""
        return self.data[: self.offset(index)]

    def bad_character(self, start: int, end: int) -> FileFault | None:
        """Give the fault of the first character from ``start`` to ``end`` that cannot be read."""
        first = bisect.bisect_left(self._bad, start)
        found = first < len(self._bad) and self._bad[first] < end
        return self._unreadable(self._bad[first]) if found else None

    def _unreadable(self, index: int) -> FileFault:
        code = ord(self.text[index])
        if _FIRST_ESCAPED_BYTE <= code <= _LAST_ESCAPED_BYTE:
            return FileFault(
                self.position(index),
                f"the byte 0x{code - 0xDC00:02x} is not UTF-8",
                "Save the file as UTF-8",
            )
        return FileFault(
            self.position(index),
            f"the control character U+{code:04X} cannot stand in a YAML file",
            f'Remove it, or write it as "\\x{code:02x}" in double quotes'
            if 0 < code < 0x100
            else "Remove it",
        )


def encoded(text: str) -> bytes:
    """Give the bytes from which the text was decoded."""
    return text.encode("utf-8", "surrogateescape")


def _length_of_byte_order_marks(data: bytes) -> int:
    length = 0
    while data.startswith(codecs.BOM_UTF8, length):
        length += len(codecs.BOM_UTF8)
    return length
