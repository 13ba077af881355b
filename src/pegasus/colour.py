"""The colours of sub-nodes, and whether colours are used.

Rule 1: pure; the environment and the kind of output are arguments.
Rule 2: the command line overrides the environment, which overrides a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

ColorChoice: TypeAlias = Literal["auto", "always", "never"]
"""The values of ``--color``."""

RESET = "\x1b[0m"

PALETTE = (32, 166, 28, 164, 30, 130, 99, 64, 162, 26, 100, 160)
"""Colours for sub-nodes, of the 256 that terminals have: each has a contrast to white and to black
of at least 3:1, which WCAG requires, and neighbours in the list differ clearly."""


FAILURE_COLOUR = "\x1b[1;31m"
"""The colour of what did not succeed; the text says so as well."""


def wants_colour(choice: ColorChoice, environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Decide whether an output has colours.

    ``NO_COLOR`` and ``FORCE_COLOR`` apply when they are not empty, whatever their value; the
    former has precedence, as in Python itself.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return terminal and environ.get("TERM") != "dumb"


def in_colour_of(number: int, text: str) -> str:
    """Colour text for the sub-node with this number, always in the same colour."""
    return f"\x1b[0;38;5;{PALETTE[number % len(PALETTE)]}m{text}{RESET}"


def in_failure_colour(text: bytes) -> bytes:
    """Colour each of these lines for what did not succeed."""
    begin, end = FAILURE_COLOUR.encode(), f"{RESET}\n".encode()
    lines = text.splitlines(keepends=True)
    return b"".join(begin + line.removesuffix(b"\n") + end for line in lines)


def in_bold(text: str) -> str:
    """Make text bold, for Pegasus's own prefix, which has no colour."""
    return f"\x1b[0;1m{text}{RESET}"
