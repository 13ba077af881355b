"""The live screen: when the area below the log is drawn, how large it is, and when it is away.

Rule 1: a frame is made only when the last one has been looked at: a terminal that stalls costs
frames, and nothing waits for it.
Rule 2: the area is there only while Pegasus is in the foreground of its terminal.
Rule 3: a fault in the area never ends a run.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping

import trio

from pegasus.interrupt import stop_when_asked
from pegasus.screen.area import Area, AreaFrame, AreaLines
from pegasus.screen.output import Output
from pegasus.standard_streams import has_cursor
from pegasus.terminal_modes import HiddenKeys, in_background

FRAME_PERIOD = 0.25
"""Seconds between two frames at least, and until a change of the terminal's size is seen. A bar at
four frames a second looks alive; a frame takes half a millisecond."""

CLOCK_PERIOD = 1.0
"""Seconds between two frames at most: the times that are shown have seconds."""

FEWEST_ROWS, FEWEST_COLUMNS = 6, 20
"""A smaller terminal has no room for an area beside the log."""

SHARE = 3
"""The area has at most one in this many rows of the terminal."""

_STOP_WAIT = 0.3
"""Seconds that Ctrl-Z waits for a terminal that stalls, until the area is taken away."""


def can_be_live(stdout_fd: int, stderr_fd: int, environ: Mapping[str, str]) -> bool:
    """Report whether there can be an area on standard error.

    It has to be a terminal that can move its cursor, and no other program may write to it: what
    reads a pipe on standard output (``| tee log``) usually writes to the same terminal.
    """
    if not has_cursor(environ) or not os.isatty(stderr_fd):
        return False
    try:
        out, err = os.fstat(stdout_fd), os.fstat(stderr_fd)
    except OSError:  # closed
        return True
    is_same = (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
    is_device = stat.S_ISCHR(out.st_mode) and not os.isatty(stdout_fd)
    return is_same or is_device or stat.S_ISREG(out.st_mode)


class LiveArea:
    """Draws the area of one terminal, from ``start`` on, until its output is closed.

    Args:
        output: of the terminal.
        area: that of the output.
        fd: the terminal.
        colour: whether the area has colours.
        on_fault: called with the error where the lines of the area cannot be made.
    """

    def __init__(
        self,
        output: Output,
        area: Area,
        fd: int,
        *,
        colour: bool,
        on_fault: Callable[[Exception], None],
    ) -> None:
        self._output = output
        self._area = area
        self._fd = fd
        self._colour = colour
        self._on_fault = on_fault
        self._keys = HiddenKeys(fd)
        self._lines: AreaLines | None = None
        self._started = trio.Event()
        self._scope = trio.CancelScope()
        self._last: AreaFrame | None = None
        self._last_size = os.terminal_size((0, 0))
        self._last_at = 0.0
        self._is_changed = self._is_paused = False

    def start(self, lines: AreaLines) -> None:
        """Draw what this gives, from now on."""
        self._lines = lines
        self._started.set()

    def note_change(self) -> None:
        """Have a frame drawn soon, since what it shows has changed."""
        self._is_changed = True

    def close(self) -> None:
        """Draw nothing more."""
        self._is_paused = True
        self._scope.cancel(reason="the screen is closed")

    async def run(self) -> None:
        """Draw, until it is closed."""
        try:
            with self._scope:
                await self._run()
        finally:
            self._keys.close()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_when_asked, self._pause, self._go_on)
            await self._started.wait()
            while True:
                self._draw()
                await trio.sleep(FRAME_PERIOD)

    async def _pause(self) -> None:
        """Take the area away before Pegasus stops, and let typed keys be shown again."""
        self._is_paused = True
        self._output.show_area(None)
        with trio.move_on_after(_STOP_WAIT):
            await self._output.wait_written()
        self._keys.show()

    def _go_on(self) -> None:
        """Draw the area below what other programs have written since."""
        self._is_paused = False
        self._keys.forget()
        self._area.forget()
        self._leave()

    def _leave(self) -> None:
        """Draw anew when the time has come, whatever was drawn before."""
        self._last, self._is_changed = None, True

    def _draw(self) -> None:
        if self._is_paused or self._output.gone or self._area.is_pending:
            return
        if in_background(self._fd):
            self._leave()
            return
        self._keys.hide()
        now = trio.current_time()
        size = _size_of(self._fd)
        is_due = self._is_changed or now - self._last_at > CLOCK_PERIOD - FRAME_PERIOD / 2
        if size == self._last_size and not is_due:
            return
        self._is_changed, self._last_at, self._last_size = False, now, size
        frame = self._frame(size)
        if frame != self._last:
            self._last = frame
            self._output.show_area(frame)

    def _frame(self, size: os.terminal_size) -> AreaFrame | None:
        if self._lines is None or size.lines < FEWEST_ROWS or size.columns < FEWEST_COLUMNS:
            return None
        try:
            lines = self._lines(size.columns, size.lines // SHARE, self._colour)
        except Exception as error:  # noqa: BLE001 - rule 3
            self._lines = None
            self._on_fault(error)
            return None
        return AreaFrame(size, tuple(lines)) if lines else None


def _size_of(fd: int) -> os.terminal_size:
    try:
        return os.get_terminal_size(fd)
    except OSError:  # it is gone
        return os.terminal_size((0, 0))
