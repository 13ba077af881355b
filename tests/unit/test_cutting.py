"""Long commands in little room: what distinguishes jobs stays visible."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pegasus.report.cutting import cut_middle, shared_start

SWEEP = [
    f"python3 /a/long/path/to/train.py --lr {lr} --seed {seed}" for lr in (1, 2) for seed in (1, 2)
]


def test_a_sweep() -> None:
    """Of commands with the same beginning, the rest is shown, and their program if it fits."""
    shared = shared_start(SWEEP)
    assert SWEEP[0][shared:] == "1 --seed 1"
    assert [cut_middle(each, 24, shared) for each in SWEEP] == [
        "python3 /a/lo…1 --seed 1",
        "python3 /a/lo…1 --seed 2",
        "python3 /a/lo…2 --seed 1",
        "python3 /a/lo…2 --seed 2",
    ]
    assert cut_middle(SWEEP[0], 11, shared) == "…1 --seed 1"


def test_one_command() -> None:
    """Of a single long command the beginning and the end are shown."""
    assert shared_start([SWEEP[0]] * 3) == 0
    assert cut_middle("abcdefghijklmnop", 9) == "abcd…mnop"
    assert cut_middle("short", 9) == "short"


def test_a_very_long_command() -> None:
    """A command of the greatest length is cut as fast as a short one."""
    text = "a" * 1_000_000 + "end"
    assert cut_middle(text, 9) == "aaaa…aend"
    assert cut_middle(text, 9, shared=10) == "aaaa…aend"


def test_words() -> None:
    """What is shared ends at the start of a word: a number is never cut."""
    assert shared_start(["run --n 10", "run --n 12"]) == len("run --n ")
    assert shared_start(["a/b-1", "a/b-2"]) == len("a/")
    assert shared_start(["x=10", "x=11"]) == len("x=")


@given(st.lists(st.text("ab /=語", max_size=40), max_size=4), st.integers(1, 30))
def test_any_text(texts: list[str], width: int) -> None:
    """Whatever the texts are, each one fits, and two that differ only at the end still differ."""
    shared = shared_start(texts)
    for text in texts:
        assert text.startswith(texts[0][:shared])
        assert cell_len(cut_middle(text, width, shared)) <= width
