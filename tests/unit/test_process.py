"""What users may rely on when a pipe is read: all of it, in order, and no more of it than fits."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from pegasus.process import BAR_PERIOD, FULL_PIPE, STEPS_OF_A_BAR, WIDE_PIPE, read_all
from tests.unit.screens import LIMIT

MUCH = os.urandom(FULL_PIPE) * 160
"""Ten megabytes that would show if a piece were missing, or stood in another's place."""


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[trio.lowlevel.FdStream, trio.lowlevel.FdStream]]:
    """Make a pipe: the end that is read, and the one that is written to."""
    reading, writing = (trio.lowlevel.FdStream(fd) for fd in os.pipe())
    async with reading, writing:
        yield reading, writing


async def write(writing: trio.lowlevel.FdStream, data: bytes) -> None:
    """Write everything and close."""
    async with writing:
        await writing.send_all(data)


async def test_everything_is_read_in_order() -> None:
    """However much a command prints, and however fast: it arrives as it was."""
    pieces: list[bytes] = []

    async def take(piece: bytes) -> None:
        pieces.append(piece)
        await trio.lowlevel.checkpoint()

    with trio.fail_after(LIMIT):
        async with pipe() as (reading, writing), trio.open_nursery() as nursery:
            nursery.start_soon(write, writing, MUCH)
            await read_all(reading, take)
    assert b"".join(pieces) == MUCH
    assert max(map(len, pieces)) <= WIDE_PIPE


async def test_a_command_waits_for_whoever_takes_what_it_prints() -> None:
    """While the data is not taken, only one piece is read, and the pipe holds the rest back."""
    taken: list[bytes] = []
    go_on = trio.Event()

    async def take(piece: bytes) -> None:
        taken.append(piece)
        if len(taken) > 1:
            await go_on.wait()

    with trio.fail_after(LIMIT):
        async with pipe() as (reading, writing), trio.open_nursery() as nursery:
            nursery.start_soon(write, writing, MUCH)
            nursery.start_soon(read_all, reading, take)
            await wait_all_tasks_blocked(0.01)
            assert len(taken) == 2
            assert sum(map(len, taken)) <= FULL_PIPE + WIDE_PIPE
            assert writing.fileno() >= 0
            go_on.set()
    assert b"".join(taken) == MUCH


async def test_a_command_that_printed_much_is_still_read_as_it_prints() -> None:
    """A line that comes after a lot of output is there at once, and not when the pipe is full."""
    send, receive = trio.open_memory_channel[bytes](100)

    with trio.fail_after(LIMIT):
        async with pipe() as (reading, writing), trio.open_nursery() as nursery:
            nursery.start_soon(read_all, reading, send.send)
            await writing.send_all(MUCH)
            left = len(MUCH)
            while left:
                left -= len(await receive.receive())
            for _ in range(3):
                await writing.send_all(b"a line\n")
                assert await receive.receive() == b"a line\n"
            await writing.aclose()


async def test_an_end_that_was_closed_here_ends_the_reading() -> None:
    """Closing a pipe that is being read ends the reading without a failure."""

    async def take(_: bytes) -> None:
        await trio.lowlevel.checkpoint()

    with trio.fail_after(LIMIT):
        async with pipe() as (reading, _), trio.open_nursery() as nursery:
            nursery.start_soon(read_all, reading, take)
            await wait_all_tasks_blocked()
            await reading.aclose()


async def test_a_pipe_that_was_closed_here_before_ends_the_reading() -> None:
    """Closing a pipe between two reads ends the reading without a failure, too."""

    async def take(_: bytes) -> None:
        await reading.aclose()

    with trio.fail_after(LIMIT):
        async with pipe() as (reading, writing), trio.open_nursery() as nursery:
            nursery.start_soon(read_all, reading, take)
            await writing.send_all(b"a line\n")


class Steps(trio.abc.Instrument):
    """Counts how often a task was run.

    Args:
        name: of the task.
    """

    def __init__(self, name: str) -> None:
        self.count = 0
        self._name = name

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count it."""
        self.count += task.name == self._name


async def test_a_command_that_prints_a_little_costs_one_step_each_time() -> None:
    """Reading a step of a progress bar takes one round of Trio's loop."""
    taken: list[bytes] = []

    async def take(data: bytes) -> None:
        taken.append(data)

    with trio.fail_after(LIMIT):
        async with pipe() as (reading, writing), trio.open_nursery() as nursery:
            nursery.start_soon(read_all, reading, take, name="reader")
            await wait_all_tasks_blocked()
            steps = Steps("reader")
            trio.lowlevel.add_instrument(steps)
            for _ in range(5):
                os.write(writing.fileno(), b"\r10 %")
                await wait_all_tasks_blocked(0.01)
            trio.lowlevel.remove_instrument(steps)
            await writing.aclose()
    assert steps.count == len(taken) == 5


async def write_steps(writing: trio.lowlevel.FdStream, taken: list[bytes]) -> None:
    """Print as many steps of a bar, each read by itself, as show that it is one."""
    for number in range(STEPS_OF_A_BAR):
        os.write(writing.fileno(), b"\r%d %%" % number)
        while len(taken) <= number:
            await trio.lowlevel.checkpoint()


async def test_a_progress_bar_is_read_now_and_then(mock_clock: trio.testing.MockClock) -> None:
    """A bar that moves on is read a few times a second, and none of its bytes is lost."""
    taken: list[bytes] = []

    async def take(data: bytes) -> None:
        taken.append(data)

    async with pipe() as (reading, writing), trio.open_nursery() as nursery:
        nursery.start_soon(read_all, reading, take)
        await write_steps(writing, taken)
        for number in range(10, 15):
            os.write(writing.fileno(), b"\r%d %%" % number)
            await wait_all_tasks_blocked()
        assert len(taken) == STEPS_OF_A_BAR
        mock_clock.jump(BAR_PERIOD)
        while len(taken) == STEPS_OF_A_BAR:
            await trio.lowlevel.checkpoint()
        await writing.aclose()
        mock_clock.jump(BAR_PERIOD)
    assert taken[STEPS_OF_A_BAR:] == [b"\r10 %\r11 %\r12 %\r13 %\r14 %"]


async def test_lines_beside_a_progress_bar_are_read_at_once(
    mock_clock: trio.testing.MockClock,
) -> None:
    """Once a command has printed a line, what it prints next is read without a pause."""
    taken: list[bytes] = []

    async def take(data: bytes) -> None:
        taken.append(data)

    async with pipe() as (reading, writing), trio.open_nursery() as nursery:
        nursery.start_soon(read_all, reading, take)
        await write_steps(writing, taken)
        os.write(writing.fileno(), b"\nepoch 1\n")
        mock_clock.jump(BAR_PERIOD)
        for number in range(2, 5):
            while len(taken) < STEPS_OF_A_BAR + number - 1:
                await trio.lowlevel.checkpoint()
            os.write(writing.fileno(), b"epoch %d\n" % number)
        await writing.aclose()
    assert b"".join(taken).endswith(b"\nepoch 1\nepoch 2\nepoch 3\nepoch 4\n")
