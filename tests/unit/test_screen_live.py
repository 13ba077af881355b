"""What users may rely on while an area is drawn below the log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from pegasus.events import Ended, Started
from pegasus.model import Exited
from pegasus.screen import open_screen
from pegasus.screen.live import can_be_live
from tests.unit.screens import LIMIT, Terminal, assignment, err, out, pipe, terminal

COLOURS = {"TERM": "xterm-256color"}


def live_on(tty: Terminal, **options: Any) -> Any:
    """Open a live screen on a terminal, as in a shell without redirections."""
    given = {"environ": COLOURS, "color": "never", "live": True, **options}
    return open_screen(stdout_fd=tty.fd, stderr_fd=tty.fd, **given)


def three(width: int, height: int, _colour: bool) -> Sequence[str]:  # noqa: FBT001 - AreaLines
    """Give an area of three rows, the first as wide as it may be."""
    return ["=" * (width - 1), f"{width}x{height}", "last"][:height]


def has_area(rows: list[str]) -> bool:
    """Report whether that area is complete."""
    return rows[-1] == "last"


async def test_the_log_scrolls_above_the_area() -> None:
    """Lines appear above the area, whole and in order; at the end the log is all that is left."""
    job = assignment()
    expected = [f"[node-1] line {number}" for number in range(40)]
    with terminal(40, 12) as tty:
        async with live_on(tty) as screen:
            screen.show_area(three)
            await tty.wait_for(has_area)
            for number in range(40):
                await screen.show(out(job, b"line %d\n" % number))
            rows = await tty.wait_for(lambda rows: expected[-1] in rows and has_area(rows))
            assert rows == [*expected[-9:], "=" * 39, "40x4", "last"]
        assert tty.display() == expected[-9:]


async def test_the_terminal_shows_the_same_without_the_area_afterwards() -> None:
    """After the end a live screen has left nothing but what the screen shows without it."""
    left = []
    for is_live in (True, False):
        with terminal(60, 20) as tty:
            async with live_on(tty, live=is_live) as screen:
                screen.show_area(three)
                screen.tell(Started(assignment()))
                await screen.show(out(assignment(), b"no end"))
                if is_live:
                    await tty.wait_for(has_area)
                screen.tell(Ended(assignment(), Exited(0), 1.0))
                screen.say("1 command")
            left.append(tty.display())
    assert left[0] == left[1]
    assert left[0][-1] == "[Pegasus] 1 command"


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 50), (40, 10), (20, 6)])
async def test_the_area_has_a_third_of_the_screen(columns: int, rows: int) -> None:
    """The area is given a third of the rows at most, and the whole width."""
    sizes: list[tuple[int, int]] = []

    def many(width: int, height: int, _colour: bool) -> Sequence[str]:  # noqa: FBT001
        sizes.append((width, height))
        return ["x" * (width - 1)] * height

    with terminal(columns, rows) as tty:
        async with live_on(tty) as screen:
            screen.show_area(many)
            shown = await tty.wait_for(lambda rows: rows[0] != "")
        assert len(shown) == rows // 3
    assert sizes[0] == (columns, rows // 3)


@pytest.mark.parametrize(("columns", "rows"), [(80, 5), (19, 24), (0, 0), (1, 1)])
async def test_a_small_terminal_has_no_area(columns: int, rows: int) -> None:
    """Where there is no room, there is only the log, with no control sequence."""
    with terminal(columns, rows) as tty:
        async with live_on(tty) as screen:
            screen.show_area(lambda *_: pytest.fail("there is no room"))
            screen.say("x")
            await screen.wait_written()
        assert tty.sent() == b"[Pegasus] x\r\n"


async def test_the_area_follows_the_size_of_the_terminal() -> None:
    """When the size changes, the area is drawn for the new one, and nothing of the old is left."""
    with terminal(40, 24) as tty:
        async with live_on(tty) as screen:
            screen.show_area(three)
            screen.say("before")
            await tty.wait_for(has_area)
            for columns, rows in [(60, 24), (30, 30), (19, 30), (80, 40)]:
                tty.resize(columns, rows)
                area = [] if columns == 19 else list(three(columns, rows // 3, False))
                await tty.wait_for(["[Pegasus] before", *area].__eq__)
        assert tty.display() == ["[Pegasus] before"]


async def test_an_unfinished_line_does_not_mix_with_the_area() -> None:
    """Text without the end of its line appears in the log only when the line is complete."""
    job = assignment()
    with terminal(40, 12) as tty:
        async with live_on(tty) as screen:
            screen.show_area(three)
            await screen.show(out(job, b"first\nbegun"))
            rows = await tty.wait_for(has_area)
            assert rows[:-3] == ["[node-1] first"]
            assert screen.tail_of(job) == b"first\nbegun"
            await screen.show(out(job, b" and done\n"))
            await tty.wait_for(lambda rows: "[node-1] begun and done" in rows and has_area(rows))


async def test_a_terminal_that_stalls() -> None:
    """While nobody reads, frames are dropped and nothing grows; afterwards the screen is right."""
    job, frames = assignment(), [0]

    def counted(*size: Any) -> Sequence[str]:
        frames[0] += 1
        return [f"frame {frames[0]}", *three(*size)]

    with trio.fail_after(LIMIT), terminal(60, 24, reading=False) as tty:
        async with live_on(tty) as screen:
            screen.show_area(counted)
            (file,) = screen._files
            await screen.show(out(job, b"%090d\n" % 0 * 1500))  # more than a terminal takes
            while not file.output.area.is_pending:
                screen.tell(Started(job))
                await trio.sleep(0.01)
            made, waits = frames[0], file.output.waiting
            for _ in range(10):
                await screen.show(out(job, b"goes on\n"))
                file.live._draw()
            assert frames[0] == made
            assert file.output.waiting < waits + 500
            tty.start_reading()
            rows = await tty.wait_for(lambda rows: "[node-1] goes on" in rows and has_area(rows))
            assert rows[-14:-4] == ["[node-1] goes on"] * 10
        assert tty.display()[-1] == "[node-1] goes on"


async def test_a_bug_in_the_area_ends_no_run() -> None:
    """Where the area cannot be made, a message reports it once, and the log goes on."""

    def broken(*_: object) -> Sequence[str]:
        raise ValueError("1\n2")

    words = "[Pegasus] the live screen stops at a bug of Pegasus (ValueError: 1; 2);"
    with terminal(200, 24) as tty:
        async with live_on(tty) as screen:
            screen.show_area(broken)
            await tty.wait_for(lambda rows: rows[0].startswith(words))
            await screen.show(out(assignment(), b"still here\n"))
        assert tty.display()[1:] == ["[node-1] still here"]


def test_where_a_live_screen_is_possible(tmp_path: Path) -> None:
    """It needs a terminal that can move its cursor, and that no other program writes to."""
    with terminal() as tty, terminal() as other, pipe() as pipeline:
        with (tmp_path / "log").open("w") as file, Path(os.devnull).open("w") as null:
            for out_fd, possible in [
                (tty.fd, True),
                (file.fileno(), True),
                (null.fileno(), True),
                (pipeline.fd, False),
                (other.fd, False),
            ]:
                assert can_be_live(out_fd, tty.fd, COLOURS) is possible
            assert not can_be_live(tty.fd, file.fileno(), COLOURS)
        assert not can_be_live(pipeline.fd, pipeline.fd, COLOURS)
        for environ in ({"TERM": "dumb"}, {"TERM": ""}, {}):
            assert not can_be_live(tty.fd, tty.fd, environ)
        assert can_be_live(tty.fd, tty.fd, {**COLOURS, "NO_COLOR": "1"})


async def test_a_progress_bar_is_in_the_log_in_its_last_state() -> None:
    """A bar is one line of the log, when it is complete or at the end of its job."""
    one, two = assignment(1, 0, "a"), assignment(2, 1, "b")
    with terminal(40, 12) as tty:
        async with live_on(tty) as screen:
            screen.show_area(three)
            for percent in (10, 50, 100):
                await screen.show(err(one, b"\r%3d%%" % percent))
                await screen.show(err(two, b"%3d%%\r" % percent))
                assert screen.tail_of(one).endswith(b"\r%3d%%" % percent)
            await screen.show(err(one, b"\nnext\n"))
            await tty.wait_for(lambda rows: "[a] next" in rows and has_area(rows))
            screen.tell(Ended(two, Exited(0), 1.0))
            assert screen.tail_of(two) == b""
        assert tty.display() == [
            "[a] 100%",
            "[a] next",
            "[b] 100%",
            "[b] === done (exit status: 0) ===",
        ]


@pytest.mark.parametrize(("period", "shown"), [(0, []), (2, ["[node-1] 2", "[node-1] 4"])])
async def test_the_area_knows_what_the_log_leaves_out(period: int, shown: list[str]) -> None:
    """With ``-p`` the last line is known too; a bar counts as one line of the log."""
    job = assignment()
    with terminal(40, 12) as tty:
        async with live_on(tty, print_period=period) as screen:
            screen.show_area(three)
            for text in (b"1\n", b"0\r1\r2\n", b"3\n4\n", b"5\n"):
                await screen.show(out(job, text))
                assert screen.tail_of(job).endswith(text)
        assert tty.display() == (shown or [""])


async def test_what_is_known_of_a_long_bar_is_little() -> None:
    """A bar that moves for hours, or a line without an end, needs no more memory than a short one.

    The text is that of the stream to which the command printed last.
    """
    job = assignment()
    with terminal(80, 24) as tty:
        async with live_on(tty) as screen:
            await screen.show(out(job, b"a line\n"))
            for number in range(3000):
                await screen.show(err(job, b"\r%4d/3000 " % number + b"#" * 100))
            (text,) = [each for key, each in screen._texts.items() if key[3].value == "stderr"]
            assert len(text.lines._rest) < 200
            assert len(screen.tail_of(job)) == 4096
            assert screen.tail_of(job).endswith(b"\r2999/3000 " + b"#" * 100)
            await screen.show(out(job, b"another\n"))
            assert screen.tail_of(job) == b"a line\nanother\n"
            await screen.show(err(job, b"x" * 100_000))
            assert screen.tail_of(job) == b"x" * 4096


async def test_standard_output_in_a_file(tmp_path: Path) -> None:
    """With ``> log`` the file gets each state of a bar as before, and the terminal has the area."""
    job = assignment()
    with terminal(40, 12) as tty, (tmp_path / "log").open("wb") as log:
        options: dict[str, Any] = {"environ": COLOURS, "live": True, "color": "never"}
        screen_opened = open_screen(stdout_fd=log.fileno(), stderr_fd=tty.fd, **options)
        async with screen_opened as screen:
            screen.show_area(three)
            await screen.show(out(job, b"1\r2\r3\n"))
            await screen.show(err(job, b"1\r2\r3\n"))
            await tty.wait_for(lambda rows: rows[0] == "[node-1] 3" and has_area(rows))
        assert tty.display() == ["[node-1] 3"]
        assert (tmp_path / "log").read_bytes() == b"[node-1] 1\n[node-1] 2\n[node-1] 3\n"
