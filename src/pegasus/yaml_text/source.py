"""A file's bytes as text with places, decoded piece by piece.

Rule 1: what stands after the piece that is asked for is never looked at: the head of a long queue
costs no more than the head of a short one.
Rule 2: what YAML or UTF-8 forbids is not an error here, only remembered: what stands before it can
be read. Whoever reads an item asks whether something bad stands in it.
"""

from __future__ import annotations

import bisect
import codecs
import re
from collections.abc import Callable

from pegasus.errors import FileFault
from pegasus.model import Position

FIRST_PIECE = 2 * 1024
"""Bytes decoded first: a few entries, which is all that a take looks at."""

FED_PIECE = 64 * 1024
"""Characters given to the parser at once: some milliseconds of its work."""

_UNREADABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""What is not c-printable of YAML; the long ranges of what is take ten times as long to compile."""

_PRINTABLE_ASCII = bytes([*b"\t\n", *range(ord(" "), ord("~") + 1)])
"""The bytes of which nothing need be known but that they can be read; most files have no others."""

BREAKS = "\n\r\x85\u2028\u2029"
"""What ends a line for YAML 1.1; as the inside of a regular expression's class."""

LINE_BREAK = re.compile(f"\r\n|[{BREAKS}]")
_STAND_IN = "\ufffd"
"""What the parser sees in place of a character that it would refuse, so that it goes on."""

_FIRST_ESCAPED_BYTE, _LAST_ESCAPED_BYTE = 0xDC80, 0xDCFF


class SourceText:
    """The text of one file.

    Indexes are those of YAML's marks: characters after the byte-order mark.

    Args:
        path: as the user gave it; faults name it.
        data: the file's bytes.
        pulse: is called now and then while the file is read; it may raise, to end the reading.
    """

    def __init__(self, path: str, data: bytes, pulse: Callable[[], None] | None = None) -> None:
        self.path = path
        self.data = data
        self.pulse = pulse
        self.text = ""
        self._head = self._decoded = _length_of_byte_order_marks(data)
        self._piece = FIRST_PIECE
        self._fed = 0
        self._bad: list[int] = []
        self._breaks = "\n"  # those that have come so far
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._counted = (0, 1, 0)

    def read(self, _size: int = 0, /) -> str:
        """Give the next piece of text to a YAML parser, and nothing at the end."""
        if self._fed == len(self.text):
            self.decode_more()
        elif self.pulse is not None:
            self.pulse()
        piece = self.text[self._fed : self._fed + FED_PIECE]
        if self._bad and self._bad[-1] >= self._fed:
            piece = _UNREADABLE.sub(_STAND_IN, piece)
        self._fed += len(piece)
        return piece

    def decode_more(self) -> bool:
        """Make ``text`` longer by a piece; tell whether there was one.

        Pieces double without a limit: so a whole file is read in a time linear in its length.
        """
        if self.pulse is not None:
            self.pulse()
        text = ""
        while not text and self._decoded < len(self.data):
            piece = self.data[self._decoded : self._decoded + self._piece]
            self._decoded += len(piece)
            self._piece *= 2
            text = self._decoder.decode(piece, final=self._decoded >= len(self.data))
            if len(text) != len(piece) or piece.translate(None, _PRINTABLE_ASCII):
                found = _UNREADABLE.finditer(text)
                self._bad += [len(self.text) + bad.start() for bad in found]
                self._breaks += "".join(b for b in BREAKS if b in text and b not in self._breaks)
        self.text += text
        return bool(text)

    def decode_all(self) -> None:
        """Make ``text`` all of the file."""
        while self.decode_more():
            pass

    def line_end(self, index: int) -> int:
        """Give the index after the line break that ends the line of ``index``, or the text's end.

        Lines are YAML's.
        """
        while True:
            found = LINE_BREAK.search(self.text, index)
            if found and (found.end() < len(self.text) or found[0] != "\r"):
                return found.end()
            if not self.decode_more():
                return found.end() if found else len(self.text)

    def has_break(self, start: int, end: int) -> bool:
        """Tell whether a line ends within a piece of the text."""
        return any(self.text.find(each, start, end) >= 0 for each in self._breaks)

    def line_start(self, index: int) -> int:
        """Give the index of the first character of the line of ``index``; lines are YAML's."""
        start = self.text.rfind("\n", 0, index) + 1
        # Behind that only: a break that is rare is not searched through the whole file.
        return max([start, *(self.text.rfind(b, start, index) + 1 for b in self._breaks)])

    def position(self, index: int) -> Position:
        """Give the position of a character, as editors count: only a line feed ends a line."""
        if index < self._counted[0]:
            self._counted = (0, 1, 0)
        at, line, start = self._counted
        line += self.text.count("\n", at, index)
        start = max(start, self.text.rfind("\n", at, index) + 1)
        self._counted = (index, line, start)
        return Position(self.path, line, index - start + 1)

    def offset(self, index: int) -> int:
        """Give the position in the file's bytes of a character."""
        return self._head + len(encoded(self.text[:index]))

    def data_before(self, index: int) -> bytes:
        """Give the file's bytes up to a character."""
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
    """Give the very bytes that the text was decoded from."""
    return text.encode("utf-8", "surrogateescape")


def _length_of_byte_order_marks(data: bytes) -> int:
    length = 0
    while data.startswith(codecs.BOM_UTF8, length):
        length += len(codecs.BOM_UTF8)
    return length
