"""Long commands in little room: what distinguishes jobs stays visible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pegasus.report.cutting import cut_middle, cut_together, shared_start
from tests.unit.sweeps import EXPERIMENTS, FIELDS

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
    assert cut_middle(text, 9, shared=10) == "…aaa…aend"


def test_words() -> None:
    """What is shared ends at the start of a word: a number is never cut."""
    assert shared_start(["run --n 10", "run --n 12"]) == len("run --n ")
    assert shared_start(["a/b-1", "a/b-2"]) == len("a/")
    assert shared_start(["x=10", "x=11"]) == len("x=")


def test_a_cut_beginning_is_marked() -> None:
    """Where the beginning is left out, a sign says so, also where the middle lacks."""
    shared = shared_start(SWEEP)
    assert cut_middle(SWEEP[0], 7, shared) == "…1 …d 1"
    loops = [f"for i in $(seq {count}); do echo $i; sleep 1; done" for count in (6, 8)]
    assert cut_together(loops, 20) == ["…6); do ec…p 1; done", "…8); do ec…p 1; done"]


@pytest.mark.parametrize("width", [20, 27, 38, 44, 60, 80, 100])
def test_jobs_that_differ_look_different(width: int) -> None:
    """What differs in the middle is shown; what has no room is replaced by the parameters."""
    shown = cut_together(EXPERIMENTS, width, FIELDS)
    assert len(set(shown)) == len(EXPERIMENTS)
    assert max(map(cell_len, shown)) <= width
    if width >= 38:
        assert all(name in form for name, form in zip(["train", "eval"], shown[::2], strict=True))


def test_one_part_in_the_middle_differs() -> None:
    """The end that all share is left out before the part that distinguishes them."""
    texts = [f"a program with --lr {lr} and {'many other options ' * 9}" for lr in (1, 2)]
    texts.append("some other program with an equally long command line, which begins otherwise")
    assert cut_together(texts, 24)[:2] == ["a program with --lr 1…", "a program with --lr 2…"]


def test_parameters_replace_what_has_no_room() -> None:
    """Where the text cannot tell jobs apart, their parameters do, also where it was cut before."""
    fields = [(("lr", "1"), ("n", "7")), (("lr", "2"), ("n", "7"))]
    assert cut_together(["a" * 30 + "…" + "b" * 30] * 2, 20, fields) == [
        "(lr=1) aaaaaa…bbbbbb",
        "(lr=2) aaaaaa…bbbbbb",
    ]
    assert cut_together(["a" * 30 + "…"] * 2, 10, fields) == ["lr=1", "lr=2"]


@given(st.lists(st.text("ab /=語", max_size=40), max_size=4), st.integers(1, 30))
def test_any_text(texts: list[str], width: int) -> None:
    """Whatever the texts are, each one fits, and two that differ only at the end still differ."""
    shared = shared_start(texts)
    for text in texts:
        assert text.startswith(texts[0][:shared])
        assert cell_len(cut_middle(text, width, shared)) <= width
    assert all(cell_len(form) <= width for form in cut_together(texts, width))
