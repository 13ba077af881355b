"""What users may rely on of the bytes that draw the area, and of when they are sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

import pyte
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from pegasus.screen.area import Area, AreaFrame
from pegasus.screen.live import CLOCK_PERIOD, FRAME_PERIOD, LiveArea
from pegasus.screen.output import Output
from tests.unit.screens import Terminal, terminal

COLUMNS, ROWS = 20, 12
SIZE = os.terminal_size((COLUMNS, ROWS))

steps = st.lists(
    st.one_of(
        st.integers(1, 9).map(lambda count: ("log", count)),
        st.integers(1, ROWS // 3).map(lambda rows: ("frame", rows)),
        st.just(("none", 0)),
        st.just(("forget", 0)),
    ),
    max_size=30,
)


class Emulated:
    """A terminal in memory, with what scrolled out of it, and an area."""

    def __init__(self, fd: int) -> None:
        self.area = Area(fd)
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000, ratio=1)
        self.screen.set_mode(pyte.modes.LNM)  # as a terminal does with a newline
        self._stream = pyte.ByteStream(self.screen)

    def write(self, *log: bytes) -> None:
        """Write the log, with the area around it."""
        buffers, frame = self.area.around(log)
        self._stream.feed(b"".join(buffers))
        self.area.written(frame)

    def rows(self) -> list[str]:
        """Give all rows, from the first that scrolled out to the last that is not blank."""
        top = ["".join(row[x].data for x in range(COLUMNS)) for row in self.screen.history.top]
        return "\n".join(map(str.rstrip, [*top, *self.screen.display])).rstrip().split("\n")


@given(steps)
def test_the_log_is_whole_above_the_area(steps: list[tuple[str, int]]) -> None:
    """Whatever the order of lines and frames: the log is whole, and below it is only the area."""
    log: list[str] = []
    area: list[str] = []
    with terminal(COLUMNS, ROWS) as tty:
        emulated = Emulated(tty.fd)
        for what, count in steps:
            if what == "log":
                lines = [f"line {len(log) + number}" for number in range(count)]
                log += lines
                emulated.write(*(f"{line}\n".encode() for line in lines))
                continue
            if what == "forget":  # as after a Ctrl-Z, before which the area is taken away
                emulated.area.show(None)
                emulated.write()
                emulated.area.forget()
                area = []
                continue
            area = [f"{row:=<{COLUMNS - 1}}" for row in range(count)]
            emulated.area.show(AreaFrame(SIZE, tuple(area)) if area else None)
            emulated.write()
            assert not emulated.area.is_pending
        assert emulated.rows() == ([*log, *area] or [""])
        assert emulated.screen.cursor.x == 0


def test_nothing_is_sent_for_nothing(tty: Terminal) -> None:
    """Without an area, and where it has not changed, no byte is sent beside the log."""
    area = Area(tty.fd)
    assert area.around([b"log\n"]) == ([b"log\n"], None)
    frame = AreaFrame(SIZE, ("one", "two"))
    area.show(frame)
    area.written(area.around([])[1])
    assert area.around([]) == ([], frame)


def test_no_mode_is_left_switched_on(tty: Terminal) -> None:
    """Each write switches off what it switches on, hides no cursor, ends at the first cell."""
    area = Area(tty.fd)
    area.show(AreaFrame(SIZE, ("one", "two", "three")))
    sent = b"".join(area.around([b"log\n"])[0])
    assert sent == (b"\x1b[?2026hlog\n\rone\x1b[K\r\ntwo\x1b[K\r\nthree\x1b[J\x1b[2A\r\x1b[?2026l")


def test_a_frame_for_another_size_is_not_drawn(tty: Terminal) -> None:
    """A frame that was made before the size of the terminal changed could be wrapped by it."""
    area = Area(tty.fd)
    area.show(AreaFrame(SIZE, ("one",)))
    area.written(area.around([])[1])
    tty.resize(COLUMNS - 1, ROWS)
    buffers, frame = area.around([])
    assert frame is None
    assert b"\x1b[J\r" in b"".join(buffers)
    assert b"one" not in b"".join(buffers)


@pytest.fixture
def tty() -> Any:
    """A terminal of the size of the frames."""
    with terminal(COLUMNS, ROWS) as made:
        yield made


class Shown:
    """An output that notes when frames come; it writes them at once."""

    gone = False

    def __init__(self, area: Area) -> None:
        self._area = area
        self.times: list[float] = []

    def show_area(self, frame: AreaFrame | None) -> None:
        """Write a frame."""
        self._area.show(frame)
        self._area.written(self._area.around([])[1])
        self.times.append(trio.current_time())


def drawing_on(output: Shown, area: Area, tty: Terminal) -> LiveArea:
    """Make a live area whose lines can always be made."""
    shown = cast("Output", output)
    return LiveArea(
        shown, area, tty.fd, colour=False, on_fault=lambda error: pytest.fail(f"{error}")
    )


@pytest.mark.parametrize("busy", [True, False])
async def test_how_often_frames_come(
    tty: Terminal, autojump_clock: trio.testing.MockClock, *, busy: bool
) -> None:
    """The first frame comes at once; then five a second where much changes, else one."""
    del autojump_clock
    area = Area(tty.fd)
    output = Shown(area)
    drawing = drawing_on(output, area, tty)

    def clock(*_: object) -> Sequence[str]:
        return [f"{trio.current_time():.3f}"]

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drawing.run)
        drawing.start(clock)
        for _ in range(100 if busy else 0):
            await trio.sleep(0.1)
            drawing.note_change()
        await trio.sleep(0 if busy else 10)
        drawing.close()
    period = FRAME_PERIOD if busy else CLOCK_PERIOD
    assert output.times[0] == began
    gaps = [later - one for one, later in zip(output.times, output.times[1:], strict=False)]
    assert gaps
    assert all(gap == pytest.approx(period) for gap in gaps)


async def test_frames_that_are_equal_are_sent_once(
    tty: Terminal, autojump_clock: trio.testing.MockClock
) -> None:
    """Where nothing changes on the screen, nothing is sent."""
    del autojump_clock
    area = Area(tty.fd)
    output = Shown(area)
    drawing = drawing_on(output, area, tty)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drawing.run)
        drawing.start(lambda *_: ["the same"])
        for _ in range(100):
            await trio.sleep(0.1)
            drawing.note_change()
        drawing.close()
    assert len(output.times) == 1
