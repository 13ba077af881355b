"""The content of both files and their faults, as lines for a reader.

Rule 1: for a terminal, control characters are replaced and lines are wrapped; elsewhere every text
is unchanged.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pegasus.demand import fits_on
from pegasus.errors import FileFault, TemplateFault
from pegasus.findings.finding import Findings
from pegasus.findings.places import Places
from pegasus.hosts_file import request_options
from pegasus.launch import launch_words
from pegasus.model import Barrier, Job, Pool, SubNode
from pegasus.rendered import render_with
from pegasus.standard_streams import STDOUT
from pegasus.terminal_text import fit, own_rows, visible

FIRST_SHOWN = 20
"""Jobs and sub-nodes that are listed without ``--all``: as many as a terminal shows at once."""

LEAST_COLUMNS = 20
"""The least columns for a text beside its number; a narrower terminal wraps it."""

MOST_IN_A_LIST = 5
"""Sub-nodes of a job, or slots of a sub-node, that are named; the others are counted."""

_LEGEND = {
    "*": "as on {}; sub-nodes differ in it",
    "!": "cannot be run on {}; the faults say why",
}
"""The marks after the numbers of jobs, with their meaning."""

_LEGEND_OF_SLOTS = "as on {}, with the first slots; sub-nodes or slots differ in it"


@dataclass(frozen=True, slots=True)
class ListingView:
    """What of the findings is listed, and how.

    Attributes:
        every: whether all jobs and sub-nodes are listed, however many.
        shown_for: the sub-node that commands are filled in for; None if there is none.
        limited: whether ``--limit`` has chosen the sub-nodes.
    """

    hosts_file: Path
    queue_file: Path
    shown_for: SubNode | None
    every: bool = False
    limited: bool = False


def list_findings(view: ListingView, found: Findings) -> Iterator[str]:
    """Give the lines: the sub-nodes, the jobs, the notes and the faults."""
    yield from _sub_nodes(view, found)
    yield ""
    yield from _jobs(view, found)
    yield ""
    yield from _faults(found)


def _sub_nodes(view: ListingView, found: Findings) -> Iterator[str]:
    count = len(found.sub_nodes)
    file = visible(str(view.hosts_file))
    limited = f"{count:,} of " if view.limited else ""
    total = many(found.unlimited, "sub-node")
    yield f"{file}: {limited}{total}{_as_far(found.hosts_faults)}"
    shown = count if view.every else FIRST_SHOWN
    width = len(str(found.unlimited))
    for sub_node in found.sub_nodes[:shown]:
        yield from laid_out(f"  {sub_node.number:>{width}}  ", described(sub_node))
    if shown < count:
        yield f"  … and {count - shown:,} more; --all lists them"


def described(sub_node: SubNode) -> str:
    """Name a sub-node with its slots: ``node-1 (model=a100); slots: gpu 0-7``."""
    place = sub_node.slurm
    name = str(sub_node)
    if place is not None and place.is_requested:
        name += f"; requested with `sbatch {shlex.join(request_options(place.request or ()))}`"
    pools = ", ".join(map(_pool, sub_node.pools))
    name = f"{name}; slots: {pools}" if pools else name
    launch = launch_words(sub_node.launch)
    return f"{name}; commands run {launch}" if launch else name


def _pool(pool: Pool) -> str:
    """Describe the slots of one pool: ``gpu 0-7``, ``gpu nvidia 0,1``, ``cpu nproc``."""
    if pool.kind == "probe":
        return f"{pool.name} of `{pool.command.strip()}`"
    runs = _runs(pool.ids)
    more = [f"and {len(runs) - MOST_IN_A_LIST:,} more"] if len(runs) > MOST_IN_A_LIST else []
    kind = [] if pool.kind == "fixed" else [pool.kind]
    return " ".join([pool.name, *kind, *[",".join(runs[:MOST_IN_A_LIST])][: len(runs)], *more])


def _runs(ids: Sequence[str]) -> list[str]:
    """Join numbers that follow each other: ``0-7``."""
    runs: list[tuple[str, str]] = []
    for each in ids:
        last = runs[-1][1] if runs else ""
        if last.isdecimal() and each == str(int(last) + 1):
            runs[-1] = (runs[-1][0], each)
        else:
            runs.append((each, each))
    return [first if first == last else f"{first}-{last}" for first, last in runs]


def _jobs(view: ListingView, found: Findings) -> Iterator[str]:
    count = found.count
    yield f"{visible(str(view.queue_file))}: {many(count, 'job')}{_as_far(found.queue_faults)}"
    shown = count if view.every else min(count, FIRST_SHOWN)
    width = len(f"{shown:,}")
    places, is_placed = Places(found.sub_nodes), found.is_placed
    number, marks = 0, set()
    for job in found.jobs():
        if isinstance(job, Barrier):
            yield f"  {'':>{width}}  --- barrier: {job.kind} ---"
            continue
        number += 1
        if number > shown:
            yield f"  … and {count - shown:,} more; --all lists them"
            break
        usual = view.shown_for
        if usual is not None and not fits_on(job.demand, usual):
            usual = None
        text, mark = _filled(job, usual or next(iter(places.of(job.demand)), None), places)
        marks.add(mark if usual else " ")
        yield from laid_out(f"  {number:>{width},}{mark if usual else ' '} ", text, is_command=True)
        if launch := launch_words(job.demand.launch):
            yield from laid_out(f"  {'':>{width}}    ", launch)
        is_shown = is_placed and bool(found.sub_nodes)
        if is_shown and (place := _place(places, job, is_usual=usual is not None)):
            yield from laid_out(f"  {'':>{width}}    ", place)
    pools = bool(places.pools)
    for mark in sorted(marks & _LEGEND.keys()):
        words = _LEGEND_OF_SLOTS if pools and mark == "*" else _LEGEND[mark]
        yield from laid_out(f"  {mark} ", words.format(view.shown_for))


def _filled(job: Job, sub_node: SubNode | None, places: Places) -> tuple[str, str]:
    """Render a job, and mark it: ``*`` if sub-nodes differ, ``!`` if it cannot be rendered."""
    if sub_node is None:
        return job.command, " "
    values = places.values(job, sub_node)
    try:
        command = render_with(job.command, values)
    except TemplateFault:
        return job.command, "!"
    return command, "*" if places.differing(job.demand) & values.asked else " "


def _place(places: Places, job: Job, *, is_usual: bool) -> str:
    """Say where a job can run, and for which sub-node it is shown if not for the usual one.

    It is empty where there is no choice.
    """
    where = places.of(job.demand)
    count, total = len(where), len(places.sub_nodes)
    if not where:
        return "nowhere; the faults say why"
    if count == total:
        return "" if total == 1 else f"on all {total:,} sub-nodes"
    named = ", ".join(map(str, where[:MOST_IN_A_LIST]))
    more = f", and {count - MOST_IN_A_LIST:,} more" if count > MOST_IN_A_LIST else ""
    shown = "" if is_usual or count == 1 else f"; shown as on {where[0]}"
    return f"on {count:,} of {many(total, 'sub-node')}: {named}{more}{shown}"


def _faults(found: Findings) -> Iterator[str]:
    if found.tried < found.fillings:
        yield (
            f"Tried {found.tried:,} of the {found.fillings:,} ways in which the commands can be "
            "filled in: the rest would take too long."
        )
    yield from (visible(str(each)) for each in (*found.notes, *found.faults))
    yield f"{many(len(found.faults), 'fault')}." if found.faults else "No faults."


def _as_far(faults: Sequence[FileFault]) -> str:
    return ", as far as it can be read" if faults else ""


def many(count: int, thing: str) -> str:
    """Count things: ``1 job``, ``1,200 jobs``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def laid_out(head: str, text: str, *, is_command: bool = False) -> list[str]:
    """Lay out a text after its head; for a terminal wrapped and without control characters.

    Args:
        head: what stands before the first row.
        text: it may have several lines.
        is_command: whether each blank counts, so that rows do not end between words.
    """
    text = text.rstrip("\n")
    lines = text.split("\n")
    if os.isatty(STDOUT):
        columns = max(shutil.get_terminal_size().columns - len(head), LEAST_COLUMNS)
        if is_command:
            block = f"{text}\n".encode("utf-8", "surrogateescape")
            lines = fit(block, columns, colour=False).decode().removesuffix("\n").split("\n")
        else:
            rows = (own_rows(visible(line), columns, indent=0) for line in lines)
            lines = list(chain.from_iterable(rows))
    first, *rest = lines
    return [head + first, *(" " * len(head) + line if line else "" for line in rest)]
