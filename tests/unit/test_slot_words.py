"""How slots are named for people."""

from __future__ import annotations

import pytest

from pegasus.slot_words import mark_of, ranges, slots_text, where_words
from tests.unit.slots import ASKED, FIXED, held, holds


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ("", ""),
        ("2", "2"),
        ("2 3", "2,3"),
        ("0 1 2 3 6", "0-3,6"),
        ("3 2 1", "3,2,1"),
        ("00 01 02", "00,01,02"),
        ("a 1 2 3 b", "a,1-3,b"),
        ("² 1", "²,1"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_three_numbers_in_a_row_are_a_range(ids: str, text: str) -> None:
    """Slots are named as a hosts file may name them, in their order."""
    assert ranges(ids.split()) == text


def test_commands_of_a_sub_node_are_told_apart() -> None:
    """By the slots of the first pool of which they have any, else by their jobs."""
    both = holds(1, ASKED, held("gpu", 2, 3), held("cpu", *range(8)))
    assert where_words(both) == "node-1 gpu=2,3"
    assert slots_text(both.slots) == "gpu 2,3; cpu 0-7"
    assert where_words(holds(2, FIXED, held("gpu", 0))) == "node-2 (model=a100) gpu=0"
    assert mark_of(holds(3, ASKED, held("gpu"), held("cpu", 4))) == "cpu=4"
    assert where_words(holds(12, FIXED, held("gpu"))) == "node-2 (model=a100) #12"
    assert mark_of(holds(1, FIXED)) == ""
