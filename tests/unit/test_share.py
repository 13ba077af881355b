"""A share of the sub-nodes, as ``--batch`` and ``--max-unreachable`` read it."""

from __future__ import annotations

import pytest

from pegasus.share import share, share_above_zero


@pytest.mark.parametrize(
    ("text", "total", "count"),
    [("0", 8, 0), ("3", 8, 3), ("30", 8, 8), ("25%", 8, 2), ("10%", 9, 0), ("100%", 7, 7)],
)
def test_of(text: str, total: int, count: int) -> None:
    """A percentage is rounded down, and a number is never more than there are sub-nodes."""
    assert share(text).of(total) == count
    assert str(share(text)) == text


def test_a_batch_is_never_empty() -> None:
    """A percentage of a few sub-nodes is a batch of one."""
    assert share_above_zero("10%").at_least_one_of(3) == 1
    assert share_above_zero("50%").at_least_one_of(7) == 3


@pytest.mark.parametrize(
    "text", ["", "-1", "abc", "1.5", "1e3", " 2", "2 %", "%", "²", "\u0661", "9" * 10]
)
def test_what_is_no_share(text: str) -> None:
    """Anything else is refused, and the message shows both forms."""
    with pytest.raises(ValueError, match=r"write a whole number such as 2, or a percentage"):
        share(text)


def test_more_than_all() -> None:
    """More than 100 percent is refused."""
    with pytest.raises(ValueError, match="write 100% or less"):
        share("101%")


@pytest.mark.parametrize("text", ["0", "0%", "00"])
def test_nothing_at_a_time(text: str) -> None:
    """A batch of none is refused, and the message says what to write for all."""
    with pytest.raises(ValueError, match="write 1 or more, or leave the option out"):
        share_above_zero(text)
