"""A share of the sub-nodes, or of the jobs: a number, or a percentage of all of them.

Rule 1: a percentage is rounded down, so a share never stands for more than it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"(\d{1,9})(%?)", re.ASCII)

_ALL = 100


@dataclass(frozen=True, slots=True)
class Share:
    """A number of sub-nodes or jobs, or a percentage of all.

    Attributes:
        amount: how many, or how many percent.
        is_percentage: which of the two.
    """

    amount: int
    is_percentage: bool = False

    def of(self, total: int) -> int:
        """Give the number of sub-nodes, never more than there are.

        Args:
            total: how many there are.
        """
        count = total * self.amount // _ALL if self.is_percentage else self.amount
        return min(count, total)

    def at_least_one_of(self, total: int) -> int:
        """Give the number of sub-nodes; one where a percentage would be less."""
        return max(1, self.of(total))

    def is_reached(self, count: int, total: int) -> bool:
        """Return whether a count is at least this number, or this percentage of a total."""
        return count * _ALL >= self.amount * total if self.is_percentage else count >= self.amount

    def __str__(self) -> str:
        return f"{self.amount}{'%' * self.is_percentage}"


def share(text: str, noun: str = "sub-node") -> Share:
    """Read ``0``, ``3`` or ``10%``.

    Args:
        text: what the user has written.
        noun: what is counted.

    Raises:
        ValueError: it is neither a number nor a percentage up to 100%.
    """
    written = _FORM.fullmatch(text)
    if written is None:
        raise ValueError(
            f"{text!r} is no number of {noun}s: write a whole number such as 2, or a percentage "
            "such as 10%"
        )
    amount, is_percentage = int(written[1]), bool(written[2])
    if is_percentage and amount > _ALL:
        raise ValueError(f"{text!r} is more than all {noun}s: write 100% or less")
    return Share(amount, is_percentage)


def share_above_zero(text: str) -> Share:
    """Read ``3`` or ``10%``.

    Raises:
        ValueError: see ``share``, and where it is zero.
    """
    found = share(text)
    if not found.amount:
        raise ValueError(
            f"{text!r} is no sub-node at all: write 1 or more, or leave the option out for all at "
            "once"
        )
    return found


def share_of_jobs(text: str) -> Share:
    """Read ``3`` or ``10%``, of jobs.

    Raises:
        ValueError: see ``share``, and where it is zero.
    """
    found = share(text, "job")
    if not found.amount:
        raise ValueError(f"{text!r} is no job at all: write 1 or more, or leave the option out")
    return found
