"""Draws the ratios of Pegasus to its peers."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Part, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 9.0  # inches, and so are the next two
BAR, GAP = 0.24, 1.0
AHEAD_COLOUR, BEHIND_COLOUR, LIMIT_COLOUR = "#2a7f62", "#c1440e", "#9a9a9a"


def draw(parts: Sequence[Part], path: Path) -> bool:
    """Draw the tables that are part of the picture; return whether that is possible."""
    every = [(part.title, table) for part in parts for table in part.tables]
    tables = [(title, table) for title, table in every if table.drawn and compared(table)]
    if not tables or find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl  # noqa: PLC0415 -- it may not be there

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pegasus", "font.size": 8})
    from matplotlib import pyplot as plt  # noqa: PLC0415

    heights = [len(compared(table)) for _, table in tables]
    figure, axes = plt.subplots(
        len(tables),
        squeeze=False,
        sharex=True,
        figsize=(WIDTH, sum(height * BAR + GAP for height in heights)),
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
    )
    for (title, table), axis in zip(tables, axes[:, 0], strict=True):
        draw_one(table, axis)
        axis.set_title(f"{title}, {table.title} ({table.unit})", loc="left")
    axes[-1, 0].set_xlabel("Pegasus is so many times better (1 is a draw)")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def compared(table: Table) -> list[Row]:
    """Return the rows that are compared with Pegasus, the last first: the axis goes up."""
    return [row for row in reversed(table.rows) if row.ratio]


def draw_one(table: Table, axis: Axes) -> None:
    """Draw a table: a bar from 1 for each row, and a line from its least to its most."""
    rows = [(row.who.replace("`", ""), row.ratio) for row in compared(table) if row.ratio]
    middles = [ratio.median for _, ratio in rows]
    colours = [colour(who, ratio.median) for who, ratio in rows]
    below = [ratio.median - min(ratio.values) for _, ratio in rows]
    above = [max(ratio.values) - ratio.median for _, ratio in rows]
    places = range(len(rows))
    axis.barh(places, [value - 1 for value in middles], left=1, color=colours)
    axis.errorbar(middles, places, xerr=[below, above], fmt="none", ecolor="black", linewidth=0.8)
    axis.set_yticks(places, [who for who, _ in rows])
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.axvline(1, color="black", linewidth=0.8)


def colour(who: str, ratio: float) -> str:
    """Choose a colour: the upper bound is not a peer."""
    if who.startswith("limit"):
        return LIMIT_COLOUR
    return AHEAD_COLOUR if ratio >= 1 else BEHIND_COLOUR
