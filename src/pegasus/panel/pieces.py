"""Lines of the panel as pieces of text with a style, and their way to a terminal.

Rule 1: a line never takes more cells than it may, and contains no control character but colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from rich.cells import cell_len, set_cell_size

from pegasus import terminal_text
from pegasus.colour import FAILURE_COLOUR, RESET

PieceStyle: TypeAlias = Literal["plain", "good", "bad", "attention", "bold", "dim"]
"""How a piece is shown where there are colours. No style carries a meaning of its own."""

PanelPiece: TypeAlias = tuple[str, PieceStyle]
"""A text and its style."""

_CODES: dict[PieceStyle, str] = {
    "plain": "",
    "good": "\x1b[32m",
    "bad": FAILURE_COLOUR,
    "attention": "\x1b[33m",
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
}

_ELLIPSIS = "…"


def clean(text: str) -> str:
    """Put a text on one line, as wide as it will be written, also what UTF-8 cannot express."""
    if text.isascii() and text.isprintable():
        return text
    return terminal_text.visible(text).encode("utf-8", "backslashreplace").decode()


def cells_of(pieces: Sequence[PanelPiece]) -> int:
    """Count the cells of a line."""
    return sum(cell_len(text) for text, _ in pieces)


def cut(text: str, room: int) -> str:
    """Cut a text that takes more cells; the last one shows that."""
    if cell_len(text) <= room:
        return text
    if room <= 0:
        return ""
    kept = text[: room - 1]
    if cell_len(kept) != room - 1:  # not all characters take one cell: a tenth as fast
        kept = set_cell_size(text, room - 1)
    return kept + _ELLIPSIS


def padded_name(name: str, room: int) -> str:
    """Fill up a name to so many cells, or cut its middle: names often differ at the end."""
    cells = cell_len(name)
    if cells > room:
        before = (room - 1) // 2
        end = name
        while cell_len(end) > room - 1 - before:
            end = end[1:]
        name = set_cell_size(name, before) + _ELLIPSIS + end
    return set_cell_size(name, room)


def line_of(pieces: Sequence[PanelPiece], room: int, *, colour: bool) -> str:
    """Join pieces to a line of at most so many cells, without blanks at its end."""
    kept: list[PanelPiece] = []
    for text, style in pieces:
        if room <= 0:
            break
        kept.append((cut(text, room), style))
        room -= cell_len(text)
    while kept and not kept[-1][0].strip():
        kept.pop()
    if kept:
        kept[-1] = kept[-1][0].rstrip(), kept[-1][1]
    if not colour:
        return "".join(text for text, _ in kept)
    return "".join(_CODES[style] + text + RESET if _CODES[style] else text for text, style in kept)
