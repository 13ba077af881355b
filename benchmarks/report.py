"""The results as Markdown: the requirements first, then every figure."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from benchmarks.bench import Bench, Bound, Part, Row, Table

BUSY = 0.5  # load a core, from others, above which figures should not be trusted
HEAD = """\
# Pegasus beside its peers

Made by `nox -s bench` on {date}. All figures are of one session, with the contestants in turn. The
figure before the parentheses is the median of the rounds, those within them are the extremes. A
ratio compares figures of the same round; where Pegasus is ahead it is more than 1.
"""
GROUND = """\
The nodes are eight sshds on this machine's loopback addresses, so the nodes' work and the
controller's share its cores; with real nodes each has more of them. They are stock except for
`MaxStartups`, which is raised, since sshd would refuse some connections of peers that open all at
once.
"""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of the measurement.

    Attributes:
        load: the load before it began.
        versions: of everything that takes part.
        seconds: how long it took.
    """

    load: float
    versions: Mapping[str, str]
    seconds: float


def report(bench: Bench, conditions: Conditions, parts: Sequence[Part], plot: str | None) -> str:
    """Write the whole report."""
    date = time.strftime("%Y-%m-%d")
    blocks = [HEAD.format(date=date), machine(bench, conditions)]
    if plot:
        blocks.append(f"![The ratios]({plot})\n")
    blocks += ["## Requirements\n", bounds(chain(*(part.bounds for part in parts)))]
    for part in parts:
        blocks += [f"## {part.title}\n", f"{part.words}\n", *map(figures, part.tables)]
    return "\n".join(blocks)


def machine(bench: Bench, conditions: Conditions) -> str:
    """Describe the machine and the versions."""
    cores = os.cpu_count() or 1
    words = (
        f"{cores} cores, {platform.machine()}, Linux {platform.release()}",
        f"rounds: {bench.rounds}, size: {bench.size}, {conditions.seconds / 60:.0f} minutes",
        f"load before it began {conditions.load:.1f}",
    )
    lines = [f"{'; '.join(words)}.", ""]
    if conditions.load > BUSY * cores:
        lines += ["**The machine had other load: the figures are not reliable.**", ""]
    lines += [", ".join(f"{name} {version}" for name, version in conditions.versions.items()) + "."]
    return "\n".join([*lines, "", GROUND])


def bounds(all_bounds: Iterable[Bound]) -> str:
    """Write the table of the requirements."""
    lines = ["| figure | required | measured | |", "|---|---|---|---|"]
    for bound in all_bounds:
        reached = f"{bound.reached} {bound.unit}" if bound.reached else ""
        lines.append(f"| {bound.figure} | {bound.must} | {reached} | {bound.met} |")
    return "\n".join([*lines, ""])


def figures(table: Table) -> str:
    """Write a table of figures."""
    head = f"| | {table.unit} | {table.compared} | |"
    lines = [f"### {table.title}\n", head, "|---|---|---|---|"]
    lines += map(line, table.rows)
    lines += ["", *(f"Left out: {who}.\n" for who in table.left_out)]
    return "\n".join(lines)


def line(row: Row) -> str:
    """Write a row."""
    return f"| {row.who} | {row.figure} | {row.ratio or ''} | {row.note} |"
