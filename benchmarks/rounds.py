"""Rounds: each contestant in turn, and the statistics of their figures.

Rule 1: figures are compared within a round; the median is taken of the ratios.
Rule 2: a contestant that cannot do the work is left out with a reason; the others continue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeAlias

from benchmarks.running import Failed

Values: TypeAlias = Mapping[str, float]
Better: TypeAlias = Literal["more", "less"]

PEGASUS = "Pegasus"


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds: its median and its extremes."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median."""
        return median(self.values)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        middle = number(self.median)
        return middle if len(self.values) == 1 else f"{middle} ({number(low)}..{number(high)})"


def number(value: float) -> str:
    """Format a number with about three significant digits."""
    for least, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that is measured.

    Attributes:
        who: a name.
        run: does the work once, and returns figures by their names.
        note: an explanation of its figures.
    """

    who: str
    run: Callable[[], Values]
    note: str = ""


@dataclass(slots=True)
class Played:
    """The results of the rounds.

    Attributes:
        values: by contestant, its figures of each round.
        notes: by contestant, an explanation.
        left_out: by contestant, why it is missing.
    """

    values: dict[str, list[Values]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def spread(self, who: str, figure: str) -> Spread | None:
        """Return a figure of a contestant; None if it has none."""
        found = [values[figure] for values in self.values.get(who, ()) if figure in values]
        return Spread(tuple(found)) if found else None

    def ratio(self, above: tuple[str, str], below: tuple[str, str]) -> Spread | None:
        """Return the quotient of two figures, each as contestant and name, round by round."""
        upper, lower = self.spread(*above), self.spread(*below)
        if upper is None or lower is None:
            return None
        pairs = zip(upper.values, lower.values, strict=False)
        return Spread(tuple(one / other for one, other in pairs if other))


def play(contestants: Sequence[Contestant], rounds: int, say: Callable[[str], None]) -> Played:
    """Run each contestant once in each round, in alternating order."""
    played = Played(notes={one.who: one.note for one in contestants if one.note})
    for turn in range(rounds):
        for one in contestants if turn % 2 == 0 else reversed(contestants):
            if one.who in played.left_out:
                continue
            try:
                values = one.run()
            except (Failed, OSError) as reason:
                played.left_out[one.who] = str(reason)
                played.values.pop(one.who, None)
                say(f"  {one.who}: left out: {reason}")
            else:
                played.values.setdefault(one.who, []).append(values)
                shown = ", ".join(f"{name} {number(value)}" for name, value in values.items())
                say(f"  {turn + 1}/{rounds} {one.who}: {shown}")
    return played
