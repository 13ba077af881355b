"""The lines of the panel, for an area of any size."""

from __future__ import annotations

import time
from collections.abc import Callable

from pegasus.estimate import Remaining
from pegasus.model import Assignment
from pegasus.panel.head import head_lines, waits_line
from pegasus.panel.pieces import PanelPiece, clean, line_of
from pegasus.panel.rows import row_lines
from pegasus.panel.view import PanelView
from pegasus.run_state import RunState

ESTIMATE_PERIOD = 2.0
"""Seconds between two estimates: one takes up to five milliseconds, and its figure is shown in
steps of at least five seconds."""


def panel_lines(view: PanelView, width: int, height: int, *, colour: bool) -> list[str]:
    """Lay out a run for the bottom of a terminal, or for the top of another one.

    Args:
        view: what is shown.
        width: columns of the terminal; each line is narrower than that, since some terminals
            continue in the next row after the last column.
        height: how many lines there may be.
        colour: whether there are colours. They are the only control sequences.
    """
    room = width - 1
    if room <= 0 or height <= 0:
        return []
    counts, bar = head_lines(view, room)
    lines: list[list[PanelPiece]] = [counts, bar]
    if view.notice:
        lines.insert(1, [(clean(view.notice), "attention")])
    waits = waits_line(view)
    if waits and (height > len(lines) + 1 or not view.running):
        lines.append(waits)
    lines = lines[:height]
    lines += row_lines(view, room, height - len(lines))
    return [line_of(line, room, colour=colour) for line in lines]


class LivePanel:
    """The panel of a run that goes on, as a function of the size of its area.

    It makes an estimate now and then, and in between lets the figure run down.

    Args:
        state: of the run.
        waiting: gives how many jobs are in the queue file; None: not counted yet.
        tail_of: gives the last bytes that a running command printed.
        stage: gives what is said about the end of the run; empty before that.
        clock: gives the seconds since the epoch.
    """

    def __init__(
        self,
        state: RunState,
        waiting: Callable[[], int | None],
        tail_of: Callable[[Assignment], bytes],
        stage: Callable[[], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state, self._waiting, self._tail_of = state, waiting, tail_of
        self._stage, self._clock = stage, clock
        self._estimate = Remaining(None, "")
        self._estimated_at = float("-inf")

    @property
    def has_open_jobs(self) -> bool:
        """Whether anything runs, or waits for another try."""
        return bool(self._state.open_jobs)

    def __call__(self, width: int, height: int, colour: bool) -> list[str]:  # noqa: FBT001 -- as the screen calls it
        """Lay out the panel as it is now; see ``panel_lines``."""
        now = self._clock()
        view = PanelView(self._state, now, self._waiting(), self._tail_of, self._stage())
        age = now - self._estimated_at
        # Why there is no figure is known at once, and must not contradict the numbers beside it.
        if self._estimate.seconds is None or not 0.0 <= age < ESTIMATE_PERIOD:
            self._estimate, self._estimated_at, age = view.estimate, now, 0.0
        remaining = self._estimate
        if remaining.seconds is not None:
            remaining = Remaining(max(0.0, remaining.seconds - age))
        view = PanelView(view.state, now, view.waiting, view.tail_of, view.stage, remaining)
        return panel_lines(view, width, height, colour=colour)
