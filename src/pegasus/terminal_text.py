r"""Text of jobs -> text for a terminal: harmless, and no wider than the terminal.

Rule 1: no job can move the cursor, clear the screen, set a title or switch a mode: of all
control sequences only colours (SGR) pass.
Rule 2: no text is lost silently: bytes that are neither text nor a well-formed sequence are made
visible (``^G``, ``\x9b``, ``\xff``).
Rule 3: pure; nothing here depends on a certain terminal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from rich.cells import cell_len, split_graphemes

from pegasus.colour import RESET

TAB = 8
"""Columns between tab stops. They are counted from the beginning of the text, not from the edge of
the terminal, so that a job's columns stay aligned."""

FRAME_BEGINS, FRAME_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"
"""Around a write: the terminal shows nothing of it before it has all of it, and so never shows half
a frame. Terminals that do not know these sequences ignore them; the others end such a frame
themselves after a moment, should the end never come."""

_PLAIN_BYTES = bytes(range(0x20, 0x7F)) + b"\n"

_CONTROL = re.compile(
    r"""
      (?P<colour>  \x1b \[ [0-9;:]*+ m )                  # >, ? or = in it: no colour but a mode
    | (?P<sequence>
          \x1b \[ [0-?]*+ [ -/]*+ [@-~]                   # CSI: cursor, clearing, modes
        | \x1b [\]PX^_] [^\x07\x1b]*+ (?: \x07|\x1b\\ )   # OSC, DCS and kin: titles, links, ...
        | \x1b [ -/]*+ [0-OQ-WYZ\\`-~]                    # other escapes: character sets, reset
      )
    | (?P<character> [\x00-\x08\x0a-\x1f\x7f-\x9f] )      # any but the tab
    """,
    re.VERBOSE,
)

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line separators and marks of the direction of writing."""

_LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")

LONGEST_QUOTE = 2000
"""Characters of another program's text in a message. The longest message of ssh, about a host key
that has changed, has a thousand, and its meaning is at its end."""

NARROWEST_TEXT = 10
"""Columns of text beside the prefix that are needed for wrapping. With fewer, the terminal's own
wrapping is easier to read."""

INDENT = 4
"""Columns by which the further rows of a message of Pegasus are indented. So the text right after
``[Pegasus]`` is always the beginning of a message, and never a part of a node's text that was
wrapped there. The lines of a summary are indented by two."""

_WORD_WITH_BLANKS = re.compile(r"\s*+\S+\s*+|\s+")
"""A word with the blanks around it, or nothing but blanks."""

_COLOUR_OR_TAB = re.compile(r"(\x1b\[[0-9;:]*+m|\t)")

_SLOTS = {
    str(code): slot
    for slot, codes in {
        "weight": (1, 2, 22),
        "slant": (3, 23),
        "underline": (4, 21, 24),
        "blink": (5, 6, 25),
        "inverse": (7, 27),
        "hidden": (8, 28),
        "struck": (9, 29),
        "foreground": (*range(30, 40), *range(90, 98)),
        "background": (*range(40, 50), *range(100, 108)),
    }.items()
    for code in codes
}
_OFF = frozenset(("22", "23", "24", "25", "27", "28", "29", "39", "49"))

_LONGEST_COLOUR = len("48:2::255:255:255:0:0")
"""Characters of a colour that is continued in the next row; real colours are no longer."""


def fit(block: bytes, columns: int | None, *, colour: bool) -> bytes:
    """Make a block of lines harmless for a terminal, and wrap them.

    Args:
        block: lines, each followed by a newline.
        columns: the width of the rows, at least 2; None for no limit.
        colour: whether the job's own colours pass. They end with each row.
    """
    plain = is_plain(block)
    if plain and columns is None:
        return block
    lines = block[:-1].split(b"\n")
    if plain and columns is not None:
        return _fit_plain(block, lines, columns)
    room = sys.maxsize if columns is None else columns
    rows = [row for line in lines for row in _rows(line, room, colour=colour)]
    return "\n".join([*rows, ""]).encode()


def own_rows(line: str, columns: int, indent: int = INDENT) -> list[str]:
    """Wrap a message of Pegasus between its words, and indent the rows after the first.

    Only a word that is longer than a row is divided. Blanks at the end of a row are left out.

    Args:
        line: printable text.
        columns: the width of the rows, more than ``indent``.
        indent: the columns before each row after the first.
    """
    if cell_len(line) <= columns:
        return [line]
    room = columns - indent
    rows, row = [], ""
    for word in _WORD_WITH_BLANKS.findall(line):
        text = row + word
        if cell_len(text.rstrip()) <= room:
            row = text
        elif cell_len(word.rstrip()) <= room:
            rows.append(row)
            row = word
        else:
            *full, row = _chop(text, room, room)
            rows += full
    first, *others = (each.rstrip() for each in [*rows, row])
    return [first, *(" " * indent + each for each in others)]


def is_plain(text: bytes) -> bool:
    """Report whether a text has only lines of characters that are one column wide."""
    return not text.translate(None, _PLAIN_BYTES)


def _fit_plain(block: bytes, lines: list[bytes], columns: int) -> bytes:
    """Wrap plain text, which most output is, at a tenth of the cost."""
    if max(map(len, lines)) <= columns:
        return block
    rows = [
        line[start : start + columns]
        for line in lines
        for start in range(0, len(line) or 1, columns)
    ]
    return b"\n".join([*rows, b""])


def visible(text: str) -> str:
    r"""Put a text into one line: each control character as ``\n``, ``\x1b`` and so on.

    Characters that change the direction of writing are control characters here: they could make
    a message read differently.
    """
    return text if text.isprintable() else _CONTROLS.sub(lambda m: repr(m[0])[1:-1], text)


def on_one_line(text: str, longest: int = LONGEST_QUOTE) -> str:
    r"""Put a text of a node, ssh or another program on one line, for a message of Pegasus.

    Its lines are joined with ``; ``, and blanks are single, so that no part of the text can be
    moved to the beginning of a row. Of more than ``longest`` characters the middle is left out.
    """
    lines = (" ".join(line.split()) for line in _LINE_ENDS.split(text))
    shown = visible("; ".join(line for line in lines if line))
    half = longest // 2
    return shown if len(shown) <= longest else f"{shown[:half]} … {shown[-half:]}"


def _rows(line: bytes, room: int, *, colour: bool) -> list[str]:
    text = line.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return [text] if cell_len(text) <= room else list(_chop(text, room, room))
    return _fold(_CONTROL.sub(_keep_colour if colour else _drop_colour, text), room)


def _keep_colour(match: re.Match[str]) -> str:
    return match["colour"] or _drop_colour(match)


def _drop_colour(match: re.Match[str]) -> str:
    character = match["character"]
    if not character:
        return ""
    return f"\\x{ord(character):02x}" if character >= "\x80" else f"^{chr(ord(character) ^ 0x40)}"


def _fold(text: str, room: int) -> list[str]:
    """Wrap text with colours and tabs; each row begins in the colour that applies there."""
    rows, row, used = [], "", 0
    style: dict[str, str] = {}
    for part in _COLOUR_OR_TAB.split(text):
        if part == "\t":
            blank = min(TAB - used % TAB, room - used)
            row, used = row + " " * blank, used + blank
        elif part.startswith("\x1b"):
            row += part
            _restyle(style, part[2:-1])
        elif part:
            first, *others = _chop(part, room - used, room)
            for other in others:
                rows.append(_ended(row + first))
                row, used, first = _begun(style), 0, other
            row, used = row + first, used + cell_len(first)
    return [*rows, _ended(row)]


def _begun(style: dict[str, str]) -> str:
    return f"\x1b[{';'.join(style.values())}m" if style else ""


def _ended(row: str) -> str:
    return row + RESET if "\x1b" in row else row


def _chop(text: str, first: int, room: int) -> Iterator[str]:
    """Divide text into parts: the first of up to ``first`` cells, the others of up to ``room``.

    Only the first part may be empty, where nothing fits. Not rich's ``chop_cells``: it has no
    shorter first part, and it loses text that has no width.
    """
    if text.isascii():
        yield text[:first]
        yield from (text[start : start + room] for start in range(first, len(text), room))
        return
    begin, used, limit = 0, 0, first
    for start, _, cells in split_graphemes(text)[0]:
        if used + cells > limit:
            yield text[begin:start]
            begin, used, limit = start, 0, room
        used += cells
    yield text[begin:]


def _restyle(style: dict[str, str], parameters: str) -> None:
    """Note the effect of a colour sequence; unknown ones pass, but are not continued."""
    codes = iter(parameters.split(";"))
    for text in codes:
        code = text.partition(":")[0].lstrip("0")
        value = ";".join([text, *_arguments(text, codes)])
        if not code:
            style.clear()
        elif code in _OFF:
            style.pop(_SLOTS[code], None)
        elif code in _SLOTS and len(value) <= _LONGEST_COLOUR:
            style[_SLOTS[code]] = value


def _arguments(text: str, codes: Iterator[str]) -> list[str]:
    """Take the arguments of a colour of 256 (``38;5;N``) or of all (``38;2;R;G;B``)."""
    if text not in {"38", "48"}:
        return []
    kind = next(codes, "")
    count = {"5": 1, "2": 3}.get(kind, 0)
    return [kind, *(next(codes, "") for _ in range(count))]
