"""Who holds the slots of a run, who uses the rest, and what waits for what, for people.

Rule 1: whatever a text of others contains, it takes one line here, or is folded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.text import Text

from pegasus.record import RunRecord
from pegasus.report.command_table import (
    UNLIMITED,
    WORDS_WIDTH,
    ReportPart,
    Rows,
    cut_cells,
    folded,
    on_one_line,
    visible,
)
from pegasus.run_state import PoolUse, RunState, SlotUse
from pegasus.slot_words import ranges

LISTED_POOLS = 64
"""Pools that are listed; ``--json`` has all."""

LISTED_WAITING = 10
"""Jobs that are listed with what they wait for."""

_NAMED_USERS = 3
"""Reasons why slots are in use by others that are shown of a pool."""

_LEAST_WORDS = 30
"""Columns. Where the words of a row get fewer than this, they begin on a line of their own."""

_BETWEEN_COLUMNS = "  "


def slots_table(run: RunRecord, most: int | None, width: int) -> Iterator[ReportPart]:
    """Lay out the pools: how many of their slots are held, free, and used by others.

    Args:
        run: the run, read.
        most: rows; None for as many as are listed at most.
        width: columns.
    """
    state = run.state
    uses = state.pool_uses(run.held_beside())
    shown = uses[: min(most or LISTED_POOLS, LISTED_POOLS)]
    rows = [(visible(each.name), visible(each.pool.name), _words(state, each)) for each in shown]
    if not rows:
        return
    yield Text("\nSlots")
    names, pools = (max(cell_len(row[place]) for row in rows) for place in (0, 1))
    if width != UNLIMITED:
        names, pools = min(names, WORDS_WIDTH), min(pools, WORDS_WIDTH)
    room = width - names - pools - 2 * len(_BETWEEN_COLUMNS) - 1
    lines: list[str] = []
    for name, pool, words in rows:
        head = f"{_filled(name, names)}{_BETWEEN_COLUMNS}{_filled(pool, pools)}{_BETWEEN_COLUMNS}"
        if room >= _LEAST_WORDS:
            first, *others = folded(words, room)
            lines += [head + first, *(" " * cell_len(head) + other for other in others)]
        else:
            lines += [cut_cells(head.rstrip(), width - 1), *_indented(words, width)]
    yield Rows(lines)
    if len(uses) > len(shown):
        yield Text(f"and {len(uses) - len(shown):,} more; `pegasus status --json` lists all")


def _filled(text: str, width: int) -> str:
    cut = cut_cells(text, width)
    return cut + " " * (width - cell_len(cut))


def _indented(words: str, width: int) -> list[str]:
    return [f"    {line}" for line in folded(words, max(1, width - 5))]


def _words(state: RunState, use: PoolUse) -> str:
    """Say how many slots of a pool are held, free and used by others, and why none is free."""
    held, size = len(use.held), len(use.slots)
    if not use.is_known:
        counted = f"{held} held; " if held else ""
        return f"{counted}{on_one_line(use.words) or 'it was not asked yet'}"
    counted = f"{held} of {size} held"
    if not any(state.sub_nodes[each.number].connection == "connected" for each in use.sub_nodes):
        return f"{counted}; it is not connected"
    if use.words:
        return f"{counted}, none counts as free: {on_one_line(use.words)}"
    words = f"{counted}, {len(use.free)} free"
    if use.used:
        words += f", {len(use.used)} used by others ({_users(use.used)})"
    return words


def _users(used: Sequence[SlotUse]) -> str:
    """Say who uses slots: ``2: 1,234 MiB in use by others``."""
    groups = [
        (words, [each.slot.id for each in group])
        for words, group in groupby(used, lambda each: each.used_by)
    ]
    said = [f"{ranges(ids)}: {words}" for words, ids in groups[:_NAMED_USERS]]
    more = len(groups) - _NAMED_USERS
    return on_one_line("; ".join([*said, *[f"and {more} more"] * (more > 0)]))


def waiting_table(state: RunState, width: int) -> Iterator[ReportPart]:
    """Lay out the jobs at the head of the queue that wait, and what for.

    A run that is paused or drained takes none of them: its last reasons are old.
    """
    waiting = state.waiting_for
    if not waiting or state.is_paused or state.is_draining:
        return
    yield Text("\nWaiting")
    lines: list[str] = []
    for each in waiting[:LISTED_WAITING]:
        head = _BETWEEN_COLUMNS.join(filter(None, [each.position or "another try", each.text]))
        lines.append(cut_cells(visible(head[: 2 * width]), width - 1))
        lines += _indented(on_one_line(each.words), width)
    yield Rows(lines)
    if len(waiting) > LISTED_WAITING:
        yield Text(f"and {len(waiting) - LISTED_WAITING:,} more")
