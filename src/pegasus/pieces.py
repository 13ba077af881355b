"""Bytes in pieces, which the system writes at once (``writev``), so that nobody has to join them.

Rule 1: pure; what is written where is others' business.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

Piece: TypeAlias = bytes | memoryview

MOST_PIECES = os.sysconf("SC_IOV_MAX")
"""Pieces that the system writes at once."""


def without(pieces: Sequence[Piece], count: int) -> list[Piece]:
    """Give what is left of pieces without so many bytes at their beginning."""
    for index, piece in enumerate(pieces):
        if count < len(piece):
            return [memoryview(piece)[count:], *pieces[index + 1 :]]
        count -= len(piece)
    return []


def byte_at(pieces: Sequence[Piece], index: int) -> int:
    """Give the byte at an index.

    Raises:
        IndexError: there are not so many bytes.
    """
    return without(pieces, index)[0][0]
