"""Lines and their source -> the bytes for one output.

Rule 1: a pipe or a file gets the bytes as they are, a terminal only harmless ones.
Rule 2: nothing here writes. It reads the width of the terminal, again for every block.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from pegasus.buffers import Buffer
from pegasus.colour import in_bold, in_colour_of, in_failure_colour
from pegasus.lines import Block, prefixed
from pegasus.model import SubNode
from pegasus.terminal_text import NARROWEST_TEXT, fit, own_rows, visible

MOST_MARKED = 4096
"""Prefixes with a mark that are kept: a run of weeks has no end of them."""


@dataclass(frozen=True, slots=True)
class _Prefix:
    data: bytes
    cells: int


def _fit_own(block: bytes, columns: int | None, *, colour: bool) -> bytes:
    """Do the same as ``fit``, but wrap each line as a message of Pegasus, which has no colours."""
    if columns is None:
        return fit(block, None, colour=colour)
    lines = fit(block, None, colour=False).decode().split("\n")[:-1]
    return "".join(f"{row}\n" for line in lines for row in own_rows(line, columns)).encode()


class Layout:
    """The look of lines on one output.

    Args:
        fd: the output, whose width is read.
        terminal: whether it is a terminal.
        colour: whether prefixes have colours.
        environ: ``COLUMNS`` is used where the terminal does not know its width.
    """

    def __init__(
        self, fd: int, *, terminal: bool, colour: bool, environ: Mapping[str, str]
    ) -> None:
        self._fd = fd
        self._terminal = terminal
        self._colour = colour
        self._environ = environ
        self._prefixes: dict[SubNode | None, _Prefix] = {}
        self._marked: dict[tuple[SubNode | None, str], _Prefix] = {}

    def lines_of(
        self, sub_node: SubNode | None, block: Block, mark: str = "", *, failed: bool = False
    ) -> Sequence[Buffer]:
        """Lay out a block of lines of a sub-node, or of Pegasus (None).

        Args:
            sub_node: where they come from.
            block: the lines.
            mark: tells the commands apart that run on it at once; empty where one does.
            failed: whether they are about something that did not succeed.
        """
        if mark:
            prefix = self._marked.get((sub_node, mark)) or self._new_prefix(sub_node, mark)
        else:
            prefix = self._prefixes.get(sub_node) or self._new_prefix(sub_node)
        if self._terminal and block:
            columns = self._columns_beside(prefix)
            rows = _fit_own if sub_node is None else fit
            block = Block.of(rows(bytes(block), columns, colour=self._colour))
        if failed and self._colour:
            block = Block.of(in_failure_colour(bytes(block)))
        return prefixed(prefix.data, block)

    def plain_lines(self, block: Block) -> Sequence[Buffer]:
        """Lay out a block of lines of several sub-nodes, which has no prefix."""
        if self._terminal and block:
            width = self._width()
            columns = width if width >= NARROWEST_TEXT else None
            block = Block.of(fit(bytes(block), columns, colour=self._colour))
        return prefixed(b"", block)

    def head_of(self, lines: str) -> Sequence[Buffer]:
        """Lay out lines of Pegasus above such a block."""
        shown = [visible(line) for line in lines.splitlines()]
        if self._colour:
            shown = [in_bold(line) for line in shown]
        text = "".join(f"{line}\n" for line in shown).encode("utf-8", "backslashreplace")
        return self.plain_lines(Block.of(text))

    def _new_prefix(self, sub_node: SubNode | None, mark: str = "") -> _Prefix:
        name = "Pegasus" if sub_node is None else visible(str(sub_node))
        name = f"[{name} {visible(mark)}]" if mark else f"[{name}]"
        cells = cell_len(name) + len(" ")
        if self._colour:
            name = in_bold(name) if sub_node is None else in_colour_of(sub_node.number, name)
        prefix = _Prefix(f"{name} ".encode("utf-8", "backslashreplace"), cells)
        if not mark:
            self._prefixes[sub_node] = prefix
            return prefix
        if len(self._marked) >= MOST_MARKED:
            self._marked.clear()
        self._marked[sub_node, mark] = prefix
        return prefix

    def _columns_beside(self, prefix: _Prefix) -> int | None:
        columns = self._width() - prefix.cells
        return columns if columns >= NARROWEST_TEXT else None

    def _width(self) -> int:
        """Give the terminal's width, 0 where it is unknown.

        The terminal comes first: ``COLUMNS`` is only as new as the shell's last prompt.
        """
        try:
            columns = os.get_terminal_size(self._fd).columns
        except OSError:  # it is gone; the write will fail
            columns = 0
        said = self._environ.get("COLUMNS", "")
        return columns or (int(said) if said.isdecimal() and len(said) < len("10000") else 0)
