"""Answers to what a shell on Slurm prints."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from pegasus.model import Lost, Outcome
from pegasus.process import FULL_PIPE, Pipes
from pegasus.transport.answers import ANSWER_DELAY, send_answers
from pegasus.transport.script import hand_over
from pegasus.transport.shell import NodeShell
from tests import contract

MARK = b"\x1e" + b"5" * 32
COMMAND = "true " + "x" * 2 * FULL_PIPE
GIVEN = hand_over("run-1 1 0", COMMAND)


class FakeShell:
    """A shell that notes when an empty line comes."""

    def __init__(self) -> None:
        self.has_read = trio.Event()
        self.at: list[float] = []

    def send_empty(self) -> None:
        """Note it."""
        self.at.append(trio.current_time())


async def test_each_read_is_answered_once(autojump_clock: MockClock) -> None:
    """An answer comes after the delay; reads within the delay have one answer together."""
    shell, began = FakeShell(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_answers, shell)
        for pause in (0.0, ANSWER_DELAY / 2, 1.0, ANSWER_DELAY * 3):
            await trio.sleep(pause)
            shell.has_read.set()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    answered = [round(at - began, 4) for at in shell.at]
    third = ANSWER_DELAY / 2 + 1.0
    assert answered == [
        ANSWER_DELAY,
        round(third + ANSWER_DELAY, 4),
        round(third + 4 * ANSWER_DELAY, 4),
    ]


async def test_nothing_read_is_not_answered(autojump_clock: MockClock) -> None:
    """A job that prints nothing costs nothing."""
    shell = FakeShell()
    with trio.move_on_after(3600):
        await send_answers(shell)
    assert shell.at == []


async def lost(_: int) -> Outcome:
    """Diagnose a shell that ends without a report: none here does."""
    await trio.lowlevel.checkpoint()
    return Lost("")


@asynccontextmanager
async def idle_shell() -> AsyncIterator[tuple[NodeShell, int]]:
    """Give a shell that is ready, and the end from which it would read its input."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    nothing = cast("trio.abc.ReceiveStream", None)
    async with trio.lowlevel.FdStream(writing) as stdin, trio.lowlevel.FdStream(reading):
        shell = NodeShell(Pipes(stdin, nothing, nothing), MARK, lost)
        for side in (shell._stdout, shell._stderr):
            await shell._receive(side, MARK + b"r")
        yield shell, reading


def sent(reading: int) -> bytes:
    """Return what is in the pipe to the shell."""
    try:
        return os.read(reading, FULL_PIPE)
    except BlockingIOError:
        return b""


async def test_no_answer_amid_a_command() -> None:
    """A command that is written in pieces arrives as it is; an answer comes only behind it."""
    async with idle_shell() as (shell, reading), trio.open_nursery() as nursery:
        assigned = contract.assignment(COMMAND)
        show = contract.Output().show
        nursery.start_soon(shell.run, assigned, "run-1", show, trio.Event())
        await wait_all_tasks_blocked()
        arrived = b""
        with trio.fail_after(contract.LIMIT):
            while len(arrived) < len(GIVEN):
                shell.send_empty()
                arrived += sent(reading)
                shell.send_empty()  # there is room in the pipe now
                await wait_all_tasks_blocked()
        shell.send_empty()
        arrived += sent(reading)
        assert arrived.startswith(GIVEN)
        assert set(arrived.removeprefix(GIVEN)) == set(b"\n")
        await _end(shell)


async def test_no_answer_between_commands() -> None:
    """A shell that waits for a command gets no answers: the next command would wait for them."""
    async with idle_shell() as (shell, reading), trio.open_nursery() as nursery:
        shell.send_empty()
        assert sent(reading) == b""
        show = contract.Output().show
        nursery.start_soon(shell.run, contract.assignment("true"), "run-1", show, trio.Event())
        await wait_all_tasks_blocked()
        assert sent(reading) == hand_over("run-1 1 0", "true")
        await shell._receive(shell._stderr, MARK + b"b")
        shell.send_empty()
        assert sent(reading) == b"\n"
        await _end(shell)
        shell.send_empty()
        await wait_all_tasks_blocked()  # until it has returned
        with trio.fail_after(contract.LIMIT):
            assert await shell.wait_next()
        shell.send_empty()
        assert sent(reading) == b""


async def test_an_answer_to_a_shell_that_is_gone() -> None:
    """An answer that nobody reads any more is no error."""
    async with idle_shell() as (shell, reading), trio.open_nursery() as nursery:
        show = contract.Output().show
        nursery.start_soon(shell.run, contract.assignment("true"), "run-1", show, trio.Event())
        await wait_all_tasks_blocked()
        assert sent(reading) == hand_over("run-1 1 0", "true")
        await shell._child.stdin.aclose()
        shell.send_empty()
        await _end(shell)


async def _end(shell: NodeShell) -> None:
    """Report the end of a command, and that the shell takes another one."""
    await shell._receive(shell._stderr, MARK + b"b" + MARK + b"e 0\n" + MARK + b"r")
    await shell._receive(shell._stdout, MARK + b"e" + MARK + b"r")
