"""Long commands in little room: what distinguishes them stays, what they share is left out.

Rule 1: pure.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

CUT_SIGN = "…"

_WORD_START = re.compile(r"[^\s/=]*\Z")
"""What follows the last blank, slash or equals sign."""


def shared_start(texts: Sequence[str]) -> int:
    """Count the characters with which all texts begin, up to the start of a word.

    It is 0 for texts that do not differ.
    """
    if len(set(texts)) < 2:
        return 0
    common = os.path.commonprefix(list(texts))  # noqa: RUF071 -- of texts, not of paths
    return len(_WORD_START.sub("", common))


def cut_middle(text: str, width: int, shared: int = 0) -> str:
    """Shorten a text to a number of cells; its end stays.

    Args:
        text: without control characters.
        width: cells, at least 1.
        shared: characters at its start that others have as well: these are left out first.
    """
    if cell_len(text) <= width:
        return text
    end = text[shared:]
    room = width - cell_len(end) - 1
    if shared and room >= 0:
        return set_cell_size(text, room).rstrip() + CUT_SIGN + end
    if shared:
        text = end
        if cell_len(text) < width:
            return CUT_SIGN + text
    if width <= 1:
        return CUT_SIGN[:width]
    before = (width - 1) // 2
    after = width - 1 - before
    tail = text[-after:]
    while cell_len(tail) > after:  # a character may take two cells
        tail = tail[1:]
    return set_cell_size(text[:width], before) + CUT_SIGN + tail
