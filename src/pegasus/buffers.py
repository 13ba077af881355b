"""Bytes in several buffers, which one system call writes (``writev``) without joining them.

Rule 1: pure; nothing here reads or writes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

Buffer: TypeAlias = bytes | memoryview

MOST_BUFFERS = os.sysconf("SC_IOV_MAX")
"""Buffers that one system call writes at most."""


def without(buffers: Sequence[Buffer], count: int) -> list[Buffer]:
    """Give the buffers without their first ``count`` bytes."""
    for index, buffer in enumerate(buffers):
        if count < len(buffer):
            return [memoryview(buffer)[count:], *buffers[index + 1 :]]
        count -= len(buffer)
    return []


def byte_at(buffers: Sequence[Buffer], index: int) -> int:
    """Give the byte at an index.

    Raises:
        IndexError: there are fewer bytes.
    """
    return without(buffers, index)[0][0]
