"""The rows of the panel: one for each command that runs, and one for sub-nodes out of reach.

Rule 1: a row keeps its place while its command runs, and sub-nodes are in the order of the hosts
file, slots in that of their pool. Where there is a row for each sub-node, each keeps its row.
Rule 2: where there are too many, the commands that run longest are shown: they are the ones that a
person looks for, and they change least. Those whose connection is broken come before them.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from pegasus.last_line import last_line
from pegasus.panel.pieces import PanelPiece, clean, padded_name
from pegasus.panel.view import PanelView
from pegasus.panel.words import clock
from pegasus.run_state import Execution, JobState, SubNodeState
from pegasus.slot_words import where_words
from pegasus.terminal_text import on_one_line

_CLOCK = 8
"""Cells of a duration."""

_NARROW = 50
"""Cells below which the numbers of the jobs are left out."""

_LEAST_NAME = 6
_LEAST_TEXT = 2
"""Cells of a name and of a last line: less says nothing."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The widths of the columns, in cells; a column of 0 is left out."""

    name: int
    number: int
    text: int


def row_lines(view: PanelView, room: int, most: int) -> list[list[PanelPiece]]:
    """Lay out the rows.

    Args:
        view: what is shown.
        room: cells of a row.
        most: how many rows there may be.
    """
    if most <= 0 or view.state.is_over:
        return []
    nodes = view.state.present
    is_fixed = len(nodes) <= most and view.waiting != 0 and not view.stage
    if is_fixed and not view.state.has_pools:
        return _row_of_each(view, nodes, room)
    lines: list[list[PanelPiece]] = []
    busy = {each.sub_node.number for _, each in view.running}
    away = [each for each in nodes if _is_away(each, busy)]
    if away and (most > 1 or not busy):
        lines.append(_away_line(away))
    rows = view.running
    left = most - len(lines)
    if len(rows) > left:
        rows = _chosen(rows, left - (left > 1))
    columns = _columns(view, [clean(where_words(each.assignment)) for _, each in rows], room)
    lines += [_busy_row(view, job, each, columns) for job, each in rows]
    if left > 1 and (more := len(view.running) - len(rows)):
        lines.append([(f"... and {more:,} more", "dim")])
    return lines


def _row_of_each(view: PanelView, nodes: list[SubNodeState], room: int) -> list[list[PanelPiece]]:
    """Lay out a row for each sub-node, busy or not, so that none changes its place."""
    nodes = sorted(nodes, key=lambda each: each.sub_node.number)
    columns = _columns(view, [clean(str(each.sub_node)) for each in nodes], room)
    busy = {each.sub_node.number: (job, each) for job, each in view.running}
    return [
        _busy_row(view, *busy[each.sub_node.number], columns)
        if each.sub_node.number in busy
        else _idle_row(view, each, columns)
        for each in nodes
    ]


def _chosen(
    running: list[tuple[JobState, Execution]], count: int
) -> list[tuple[JobState, Execution]]:
    """Choose the commands that are shown, in the order in which they are given."""

    def interest(each: tuple[JobState, Execution]) -> tuple[bool, float, int]:
        execution = each[1]
        return not execution.cut, execution.started_at or 0.0, execution.sub_node.number

    chosen = {each for _, each in sorted(running, key=interest)[:count]}
    return [each for each in running if each[1] in chosen]


def _columns(view: PanelView, names: list[str], room: int) -> _Columns:
    name = min(max(map(cell_len, names), default=0), max(_LEAST_NAME, room // 3))
    number = 0
    if room >= _NARROW:
        highest = max((job.number for job, _ in view.running), default=0)
        number = len("job ") + len(str(highest))
    used = name + 1 + (number + 1 if number else 0) + _CLOCK + 2
    return _Columns(name, number, max(0, room - used))


def _busy_row(
    view: PanelView, job: JobState, execution: Execution, columns: _Columns
) -> list[PanelPiece]:
    age = 0.0 if execution.started_at is None else view.now - execution.started_at
    name = clean(where_words(execution.assignment))
    pieces: list[PanelPiece] = [(padded_name(name, columns.name), "bold")]
    if columns.number:
        pieces.append((" " + f"job {job.number}".rjust(columns.number), "plain"))
    pieces.append((" " + clock(age).rjust(_CLOCK) + "  ", "plain"))
    return [*pieces, _text(view, execution, columns.text)]


def _text(view: PanelView, execution: Execution, room: int) -> PanelPiece:
    """Give what a command printed last, or what is to be known of it."""
    if room < _LEAST_TEXT:
        return "", "plain"
    if execution.cut:
        stop = "a stop is stored; " if execution.stop_stored else ""
        return f"{stop}connection broken: {clean(on_one_line(execution.cut))}", "attention"
    text = clean(last_line(view.tail_of(execution.assignment), room))
    if execution.silent_since is not None:
        silent = clock(view.now - execution.silent_since)
        return f"nothing printed for {silent}; before: {text}", "attention"
    return text, "plain"


def _idle_row(view: PanelView, node: SubNodeState, columns: _Columns) -> list[PanelPiece]:
    name: PanelPiece = (padded_name(clean(str(node.sub_node)), columns.name) + "  ", "bold")
    if node.connection == "connected":
        ended = view.state.pace.is_broadcast and view.running
        return [name, ("has ended this step" if ended else "free", "dim")]
    if node.connection == "connecting":
        return [name, ("connecting", "dim")]
    return [name, (f"cannot be reached: {clean(on_one_line(node.words))}", "bad")]


def _is_away(node: SubNodeState, busy: set[int]) -> bool:
    return node.connection == "unreachable" and node.sub_node.number not in busy


def _away_line(away: list[SubNodeState]) -> list[PanelPiece]:
    """Say which sub-nodes cannot be reached, and why the first of them cannot."""
    name, more = clean(str(away[0].sub_node)), len(away) - 1
    names = f"{name} and {more:,} more" if more else name
    return [
        (names, "bold"),
        (f" cannot be reached: {clean(on_one_line(away[0].words))}", "bad"),
    ]
