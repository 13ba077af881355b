"""The input and the results of a part of the benchmark."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from benchmarks.ground import Ground
from benchmarks.rounds import PEGASUS, Better, Contestant, Played, Spread, play

Size: TypeAlias = Literal["quick", "usual", "full"]


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmark.

    Attributes:
        ground: the nodes.
        rounds: how often each contestant runs.
        size: how much work there is.
        original: the original Pegasus in Rust, or why there is none.
    """

    ground: Ground
    rounds: int
    size: Size
    original: Path | str

    def sized(self, quick: int, usual: int, full: int) -> int:
        """Choose an amount of work."""
        return {"quick": quick, "usual": usual, "full": full}[self.size]

    def play(self, title: str, contestants: Sequence[Contestant], rounds: int = 0) -> Played:
        """Let the contestants play, and report progress on standard error."""
        say(f"{title}:")
        return play(contestants, rounds or self.rounds, say)


def say(words: str) -> None:
    """Write a progress message to standard error."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table.

    Attributes:
        who: the contestant.
        figure: its result.
        ratio: the comparison, round by round; None for the base.
        note: an explanation.
    """

    who: str
    figure: Spread
    ratio: Spread | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One figure of all contestants.

    Attributes:
        title: which work, and what is measured.
        unit: of the figures.
        rows: the contestants.
        compared: what the ratios mean.
        drawn: whether it is part of the picture.
        left_out: the contestants that are missing, and why.
    """

    title: str
    unit: str
    rows: tuple[Row, ...]
    compared: str
    drawn: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    """A requirement for one figure.

    Attributes:
        figure: its name.
        must: the requirement in words.
        reached: the measured value; None if it could not be measured.
        least: the lower bound of its median, or None.
        most: the upper bound of its median, or None.
        unit: of what is reached.
    """

    figure: str
    must: str
    reached: Spread | None
    least: float | None = None
    most: float | None = None
    unit: str = "times"

    @property
    def met(self) -> str:
        """Whether the requirement is met, in words."""
        if self.reached is None:
            return "not measured"
        value = self.reached.median
        low = self.least is not None and value < self.least
        high = self.most is not None and value > self.most
        return "**not met**" if low or high else "met"


@dataclass(slots=True)
class Part:
    """The results of a part.

    Attributes:
        name: the name for ``--only``.
        title: a heading.
        words: what was done, in a few sentences.
        tables: the figures.
        bounds: the requirements.
    """

    name: str
    title: str
    words: str
    tables: list[Table] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)


Measure: TypeAlias = Callable[[Bench], Part]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured quantity and its comparison.

    Attributes:
        name: the key in the contestants' values.
        unit: of it.
        better: whether more or less of it is.
        base: the contestant that the others are compared with.
        compared: what the ratios mean.
        drawn: whether it is part of the picture.
    """

    name: str
    unit: str
    better: Better
    base: str = PEGASUS
    compared: str = "Pegasus is ahead by"
    drawn: bool = False

    @classmethod
    def against(cls, base: str, name: str, unit: str) -> Figure:
        """Return a figure of which less is better, compared with a peer of Pegasus."""
        return cls(name, unit, "less", base, f"times that of {base}")


def table(played: Played, title: str, figure: Figure) -> Table:
    """Make a table of one figure of all contestants that have it."""
    rows: list[Row] = []
    for who in played.values:
        spread = played.spread(who, figure.name)
        if spread is None:
            continue
        base, theirs = (figure.base, figure.name), (who, figure.name)
        pair = (base, theirs) if figure.better == "more" else (theirs, base)
        ratio = None if who == figure.base else played.ratio(*pair)
        rows.append(Row(who, spread, ratio, played.notes.get(who, "")))
    left_out = tuple(f"{who}: {reason}" for who, reason in played.left_out.items())
    return Table(title, figure.unit, tuple(rows), figure.compared, figure.drawn, left_out)
