"""A shell whose messages arrive in one piece, as on a busy machine."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import MockClock

from pegasus.errors import NodeUnreachable
from pegasus.model import Lost, Outcome
from pegasus.process import Pipes
from pegasus.transport.shell import NodeShell
from pegasus.transport.start_up import READY_LIMIT, SLOW_START
from tests.contract import LIMIT, begin_to_wait

MARK = b"\x1e" + b"5" * 32


async def lost(_: int) -> Outcome:
    """Diagnose a shell that ends without a report: none here does."""
    await trio.lowlevel.checkpoint()
    return Lost("")


async def test_a_command_that_is_over_before_anybody_looks(autojump_clock: MockClock) -> None:
    """A task that waits for its beginning is woken, although the shell is ready again by then."""
    shell = NodeShell(cast("Pipes", None), MARK, lost)  # no words go to the node here
    for side in (shell._stdout, shell._stderr):
        await shell._receive(side, MARK + b"r")
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            waits = trio.Event()
            nursery.start_soon(begin_to_wait, shell, waits)
            await waits.wait()
            await shell._receive(shell._stderr, MARK + b"b" + MARK + b"e 0\n" + MARK + b"r")
            await shell._receive(shell._stdout, MARK + b"e" + MARK + b"r")
            assert await shell.wait_next()
            assert not shell.begun


async def wait_ready(shell: NodeShell, said: list[tuple[float, str]]) -> None:
    """Wait for a shell, and record what is reported meanwhile, and when."""
    began = trio.current_time()
    await shell.wait_ready(lambda words: said.append((trio.current_time() - began, words)))


async def test_start_up_files_that_never_end(autojump_clock: MockClock) -> None:
    """After five seconds the wait is reported, with what was printed, on one line."""
    shell = NodeShell(cast("Pipes", None), MARK, lost)
    await shell._receive(shell._stdout, b"\x1b[1mChoose:\x1b[0m\r\n 1) one\n\n2) two\x07\xff\n")
    await shell._receive(shell._stderr, b"\x1b]0;title\x07bash: " + MARK + b": command not found\n")
    said: list[tuple[float, str]] = []
    printed = "Choose:; 1) one; 2) two\\x07\N{REPLACEMENT CHARACTER}; bash: command not found"
    with pytest.raises(NodeUnreachable) as caught:
        await wait_ready(shell, said)
    assert trio.current_time() == pytest.approx(READY_LIMIT)
    ((when, words),) = said
    assert when == pytest.approx(SLOW_START)
    assert words == (
        "waiting for a shell; after 5 seconds the account's start-up files have not ended, "
        f"and have printed {printed}"
    )
    assert caught.value.words == (
        "the shell on the node was not ready in 60 seconds; "
        f"the account's start-up files have printed {printed}"
    )


async def test_start_up_files_that_print_much(autojump_clock: MockClock) -> None:
    """Of much output the end is shown, where a question stands."""
    shell = NodeShell(cast("Pipes", None), MARK, lost)
    await shell._receive(shell._stdout, b"news of the day\n" * 9000 + b"Continue? [y/n] ")
    said: list[tuple[float, str]] = []
    with pytest.raises(NodeUnreachable):
        await wait_ready(shell, said)
    assert said[0][1].endswith("of the day; Continue? [y/n]")
    assert len(said[0][1]) < 500


async def test_a_shell_that_is_ready_in_time(autojump_clock: MockClock) -> None:
    """Nothing is reported about start-up files that end."""
    shell = NodeShell(cast("Pipes", None), MARK, lost)
    said: list[tuple[float, str]] = []
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_ready, shell, said)
            await trio.sleep(SLOW_START - 1)
            for side in (shell._stdout, shell._stderr):
                await shell._receive(side, b"welcome\n" + MARK + b"r")
    assert said == []
