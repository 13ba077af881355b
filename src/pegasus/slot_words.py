"""Slots and the commands that hold them, in words for people.

Rule 1: pure; what is returned may contain any character of the user's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pegasus.model import Assignment, SlotsHeld

_FEWEST_IN_RANGE = 3
"""Numbers in a row that are worth a range: ``2-4``, but ``2,3``."""


def ranges(ids: Sequence[str]) -> str:
    """Name slots as a hosts file does: ``0-3,6``."""
    numbered = list(enumerate(ids))
    parts: list[str] = []
    for _, group in groupby(numbered, lambda each: _offset(*each)):
        run = [text for _, text in group]
        parts += [f"{run[0]}-{run[-1]}"] if len(run) >= _FEWEST_IN_RANGE else run
    return ",".join(parts)


def _offset(index: int, text: str) -> object:
    """Give what neighbours in a range have in common; a text that is no number has none."""
    is_number = text.isascii() and text.isdecimal() and str(int(text[:9])) == text
    return int(text) - index if is_number else (index, text)


def slots_text(slots: SlotsHeld) -> str:
    """Name all slots that a command holds: ``gpu 2,3; cpu 0-7``; empty where it holds none."""
    return "; ".join(
        f"{each.pool} {ranges([slot.id for slot in each.slots])}" for each in slots if each.slots
    )


def mark_of(assignment: Assignment) -> str:
    """Tell a command apart from the others on its sub-node: ``gpu=2,3``, or ``#12`` by its job.

    Returns:
        The slots of the first pool of which it holds any; empty on a sub-node without pools, where
        one command runs at a time.
    """
    if not assignment.slots:
        return ""
    for each in assignment.slots:
        if each.slots:
            return f"{each.pool}={ranges([slot.id for slot in each.slots])}"
    return f"#{assignment.number}"


def where_words(assignment: Assignment) -> str:
    """Say where a command runs: ``node-1 (model=a100) gpu=2,3``."""
    mark = mark_of(assignment)
    return f"{assignment.sub_node} {mark}" if mark else str(assignment.sub_node)
