r"""The area below the log: which bytes take it away before a write, and which draw it afterwards.

Rule 1: after each write the cursor is at the first cell of the area. So the area is taken away
without counting its rows: a terminal that wraps rows anew when its size changes moves the cursor
with its cell.
Rule 2: no row is as wide as the terminal, and none is ever wrapped by it.
Rule 3: no mode of the terminal is left switched on by a write, and the cursor is never hidden: a
``kill -9`` at any moment leaves a terminal that works.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pegasus.buffers import Buffer
from pegasus.terminal_modes import in_background
from pegasus.terminal_text import FRAME_BEGINS, FRAME_ENDS

AreaLines: TypeAlias = Callable[[int, int, bool], Sequence[str]]
"""Gives the lines of the area for a width and a height in cells, with colours or without: no more
lines than the height, each narrower than the width, with no control characters but colours."""

_TAKE_AWAY = b"\r\x1b[K\x1b[C\x1b[J\r"
"""Clears the row of the cursor, and from its second cell on the rest of the screen. From the first
cell of the screen on, tmux would take it for a whole screen, and keep the area in its history."""

_CUT_ROWS, _WRAP_ROWS = "\x1b[?7l", "\x1b[?7h"
"""Around the rows: a terminal that has become narrower while they were on their way to it cuts
them, and does not wrap them. Otherwise there would be more rows than are counted here."""


@dataclass(frozen=True, slots=True)
class AreaFrame:
    """The area at one moment.

    Attributes:
        size: of the terminal that it was laid out for.
        lines: its lines, at least one.
    """

    size: os.terminal_size
    lines: tuple[str, ...]

    def drawn(self) -> bytes:
        """Give the bytes that draw it from the cursor's row on, over what is there."""
        rows = "\x1b[K\r\n".join(self.lines)
        up = f"\x1b[{len(self.lines) - 1}A" if len(self.lines) > 1 else ""
        return f"{_CUT_ROWS}\r{rows}\x1b[J{up}\r{_WRAP_ROWS}".encode("utf-8", "backslashreplace")


class Area:
    """The area of one terminal.

    Trio's thread calls ``show``; the thread that writes calls ``around`` and ``written``.

    Args:
        fd: the terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._wanted: AreaFrame | None = None
        self._seen: AreaFrame | None = None  # the last one that the thread has looked at
        self._drawn: AreaFrame | None = None

    @property
    def is_pending(self) -> bool:
        """Whether the thread has not looked yet at what was shown last."""
        return self._seen is not self._wanted

    def show(self, frame: AreaFrame | None) -> None:
        """Have a frame drawn at the next write; None takes the area away."""
        self._wanted = frame

    def forget(self) -> None:
        """Forget what is drawn: another program has written to the terminal since."""
        self._drawn = None

    def around(self, log: Sequence[Buffer]) -> tuple[list[Buffer], AreaFrame | None]:
        """Put the bytes for the area around the bytes of the log, which are whole lines.

        Returns:
            What is to be written, and what is drawn afterwards.
        """
        frame = self._wanted
        self._seen = frame
        if frame is not None and not self._has_room(frame):
            frame = None
        drawn = self._drawn
        if frame is drawn and not log:
            return [], drawn
        # Where only the area changes, it is drawn over the old one: that flickers less.
        stays = not log and frame is not None and drawn is not None and frame.size == drawn.size
        before = _TAKE_AWAY if drawn is not None and not stays else b""
        after = frame.drawn() if frame is not None else b""
        if not before and not after:
            return list(log), None
        return [FRAME_BEGINS + before, *log, after + FRAME_ENDS], frame

    def written(self, frame: AreaFrame | None) -> None:
        """Note what is drawn now."""
        self._drawn = frame

    def _has_room(self, frame: AreaFrame) -> bool:
        try:
            return os.get_terminal_size(self._fd) == frame.size and not in_background(self._fd)
        except OSError:  # it is gone
            return False
