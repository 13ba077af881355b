"""Outputs as differences from another one, in the unified format.

Rule 1: it takes bounded time: longer outputs are only said to differ.
"""

from __future__ import annotations

import difflib

MOST_DIFF_BYTES = 256 * 1024
"""Bytes of an output that is compared line by line."""

MOST_DIFF_LINES = 4_000
"""Lines of such an output; the time grows with the square of their number."""


def is_short(text: bytes) -> bool:
    """Return whether an output can be compared line by line."""
    return len(text) <= MOST_DIFF_BYTES and text.count(b"\n") <= MOST_DIFF_LINES


def difference(one: bytes, other: bytes, names: tuple[str, str]) -> bytes:
    """Give the difference between two short outputs: what to change in one to get the other.

    Args:
        one: an output.
        other: another one.
        names: of their sub-nodes.
    """
    lines = difflib.unified_diff(_lines_of(one), _lines_of(other), names[0], names[1], lineterm="")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _lines_of(text: bytes) -> list[str]:
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    return [line.decode("utf-8", "surrogateescape") for line in lines]
