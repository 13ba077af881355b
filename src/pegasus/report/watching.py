r"""What ``pegasus status --watch`` shows on a terminal: the panel of each run, and its tables.

Rule 1: a frame never has more rows than the terminal. Numbers, remaining time and failures always
have room, then what runs, then what succeeded.
Rule 2: a frame is drawn from the first cell over the one before, and leaves no mode of the terminal
switched on: nothing is to be restored, whatever ends the program. Nothing on the screen is lost
before the first frame: it is scrolled up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from pegasus.colour import in_bold, wants_colour
from pegasus.model import Assignment, Stream
from pegasus.panel import PanelView, cut, panel_lines
from pegasus.record import RunRecord
from pegasus.report.command_table import visible
from pegasus.report.overview import Overview, OverviewReader
from pegasus.report.tables import (
    about,
    about_queue,
    headline,
    plain_lines,
    table_of_failures,
    table_of_successes,
)
from pegasus.standard_streams import STDOUT, terminal_size, write
from pegasus.terminal_text import FRAME_BEGINS, FRAME_ENDS

TAIL_SIZE = 4096
"""Bytes at the end of an output in which its last line is looked for."""

WATCHED_FAILURES = 10
"""Rows of the table of failures."""

_TITLES = 2
"""Lines of a table before its rows."""

_LEAST_RUN = 4
"""Lines for a run: where there are too many runs, the last ones are left out."""


def frame(overview: Overview, width: int, height: int, *, colour: bool) -> list[str]:
    """Lay out an overview for a terminal.

    Args:
        overview: what is shown.
        width: columns of the terminal; each line is narrower.
        height: how many lines there may be.
        colour: whether there are colours.
    """
    runs = overview.running
    if overview.all_runs or not runs:
        lines = plain_lines(about(overview, WATCHED_FAILURES, width - 1), width - 1)
        return [cut(line, width - 1) for line in lines[:height]]
    notes = [f"Warning: {visible(warning)}" for warning in overview.warnings]
    if overview.fault or overview.waiting is None:
        notes += about_queue(overview).splitlines()
    notes = [cut(note, width - 1) for note in notes[: height // 4]]
    room = height - len(notes)
    shown = runs[: max(1, room // _LEAST_RUN)]
    lines = []
    for number, run in enumerate(shown):
        left = (room - len(lines)) // (len(shown) - number)
        lines += _run_lines(overview, run, (width, left), colour=colour)
    return [*lines, *notes][:height]


def _run_lines(
    overview: Overview, run: RunRecord, size: tuple[int, int], *, colour: bool
) -> list[str]:
    """Lay out a run in so many columns and lines."""
    width, height = size
    title = cut(headline(run), width - 1)
    waiting = overview.waiting_for(run)
    view = PanelView(run.state, time.time(), waiting, _tails(run))
    failed = _failed_lines(run, width - 1, height // 3)
    blank = [""] * (height > len(failed) + 2 * _LEAST_RUN)
    room = height - 1 - len(failed) - (len(blank) if failed else 0)
    panel = panel_lines(view, width, room, colour=colour)
    lines = [in_bold(title) if colour else title, *panel, *(blank if failed else ()), *failed]
    if height - len(lines) > _TITLES + len(blank):
        table = plain_lines(table_of_successes(run.state, width - 1), width - 1)[1:]
        lines += [*blank, *table][: height - len(lines)] if table else []
    return lines


def _failed_lines(run: RunRecord, width: int, most: int) -> list[str]:
    """Lay out as many of the latest failures as fit."""
    count = run.state.failure_count
    lines: list[str] = []
    for rows in range(min(count, WATCHED_FAILURES, max(1, most - _TITLES)), 0, -1):
        lines = plain_lines(table_of_failures(run.state, rows, width), width)[1:]
        if rows < count:
            lines[0] = f"Failed, the last {rows} of {count:,}"
        if len(lines) <= most:
            break
    return [cut(line, width) for line in lines[: max(most, _TITLES + 1)]]


def _tails(run: RunRecord) -> Callable[[Assignment], bytes]:
    """Give what reads the last bytes of the stream to which a command printed last."""

    def tail_of(assignment: Assignment) -> bytes:
        job = run.state.jobs.get(assignment.number)
        execution = job.latest(assignment.sub_node.number) if job else None
        if job is None or execution is None:
            return b""
        for stream in _latest_first(run, assignment):
            if data := run.last_bytes(job, execution, stream, TAIL_SIZE):
                return data
        return b""

    return tail_of


def _latest_first(run: RunRecord, assignment: Assignment) -> Iterable[Stream]:
    def changed_at(stream: Stream) -> int:
        with suppress(OSError):  # nothing was printed there
            path = run.output(assignment.number, assignment.sub_node.number, stream)
            return path.stat().st_mtime_ns
        return 0

    return sorted(Stream, key=changed_at, reverse=True)


def redraw(overview: Overview, reader: OverviewReader, period: float) -> None:
    """Draw frames on standard output, as long as a run goes on, and take the last one away.

    Args:
        overview: what was read first.
        reader: reads on.
        period: seconds between two frames.
    """
    colour = wants_colour("auto", os.environ, terminal=True)
    before = terminal_size()[1]
    try:
        while overview.running:
            columns, rows = terminal_size()
            lines = frame(overview, columns, rows - 1, colour=colour)
            write(STDOUT, drawn(lines, scrolled=before))
            before = 0
            time.sleep(period)
            overview, _ = reader.read()
        write(STDOUT, drawn(()))
    except KeyboardInterrupt:
        write(STDOUT, b"\n")
        raise


def drawn(lines: Iterable[str], *, scrolled: int = 0) -> bytes:
    """Give the bytes that draw a frame over the one before.

    Args:
        lines: the lines.
        scrolled: by how many rows what is on the screen is scrolled up before.
    """
    text = "\r\n".join(f"{line}\x1b[K" for line in lines).encode("utf-8", "backslashreplace")
    return FRAME_BEGINS + b"\n" * scrolled + b"\x1b[H" + text + b"\x1b[J" + FRAME_ENDS
