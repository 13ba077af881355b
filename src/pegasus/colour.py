"""Who is shown in which colour, and whether there are colours at all.

Rule 1: pure; the environment and what is a terminal are told to it.
Rule 2: what the command line says beats the environment, which beats a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

ColorChoice: TypeAlias = Literal["auto", "always", "never"]
"""What ``--color`` takes."""

RESET = "\x1b[0m"

PALETTE = (32, 166, 28, 164, 30, 130, 99, 64, 162, 26, 100, 160)
"""Colours for sub-nodes, of the 256 that terminals have: each stands out from white and from
black by at least 3:1, which is what WCAG asks for, and neighbours in the list look unlike."""


def wants_colour(choice: ColorChoice, environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Decide whether to colour what goes to an output.

    ``NO_COLOR`` and ``FORCE_COLOR`` count when they are not empty, whatever they say; the
    former wins, as it does in Python itself.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return terminal and environ.get("TERM") != "dumb"


def in_colour_of(number: int, text: str) -> str:
    """Paint text in the colour of the sub-node with this number, always the same."""
    return f"\x1b[0;38;5;{PALETTE[number % len(PALETTE)]}m{text}{RESET}"


def in_bold(text: str) -> str:
    """Make text bold: Pegasus has no colour."""
    return f"\x1b[0;1m{text}{RESET}"
