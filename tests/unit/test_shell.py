"""What a shell on a node makes of its words, fed to it in one piece as a busy machine does."""

from __future__ import annotations

from typing import cast

import trio
from trio.testing import MockClock

from pegasus.model import Lost, Outcome
from pegasus.process import Pipes
from pegasus.transport.shell import Shell
from tests.contract import LIMIT, begin_to_wait

MARK = b"\x1e" + b"5" * 32


async def lost(_: int) -> Outcome:
    """Judge a shell that goes without a word: none here does."""
    await trio.lowlevel.checkpoint()
    return Lost("")


async def test_a_command_that_is_over_before_anybody_looks(autojump_clock: MockClock) -> None:
    """Who waited for its beginning hears of it, although the next command is awaited by then."""
    shell = Shell(cast("Pipes", None), MARK, lost, trio.Event())  # no words go to the node here
    for side in (shell._stdout, shell._stderr):
        await shell._take_in(side, MARK + b"r")
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            waits = trio.Event()
            nursery.start_soon(begin_to_wait, shell, waits)
            await waits.wait()
            await shell._take_in(shell._stderr, MARK + b"b" + MARK + b"e 0\n" + MARK + b"r")
            await shell._take_in(shell._stdout, MARK + b"e" + MARK + b"r")
            assert await shell.wait_next()
            assert not shell.begun
