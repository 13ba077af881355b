"""The contract of a shell that waits for a command, whatever is at its other end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    memory_stream_one_way_pair,
)

from pegasus.errors import CannotStart, NodeUnreachable
from pegasus.model import Exited, Lost, NotStarted, Outcome
from pegasus.process import Pipes
from pegasus.transport.shell import KILL_GRACE, NodeShell, open_shell
from pegasus.transport.start_up import READY_LIMIT
from tests.contract import Output, assignment


class FakeChild:
    """The other end of a shell's pipes, played by a test.

    Attributes:
        heard: the lines that came on standard input.
        deaf: whether its standard input is not read any more.
        mark: the shell's, once it has come.
    """

    def __init__(self) -> None:
        self.stdout, self.stderr = self._pipe(), self._pipe()
        self.heard: list[bytes] = []
        self.times: list[float] = []
        self.deaf = False
        self.mark = b""
        self.on_line: Callable[[bytes], Awaitable[None]] | None = None

    def _pipe(self) -> MemoryReceiveStream:
        send, receive = memory_stream_one_way_pair()
        self.ends: list[MemorySendStream] = [*getattr(self, "ends", []), send]
        return receive

    def write_now(self, data: bytes) -> bytes:
        if self.deaf:
            raise BrokenPipeError(32, "Broken pipe")
        if not self.mark:
            self.mark = data.rstrip(b"\n")
        else:
            self.heard.append(data)
            self.times.append(trio.current_time())
        return b""

    async def wait(self) -> int:
        await trio.lowlevel.checkpoint()
        return 255

    async def say(self, letter: bytes, rest: bytes = b"") -> None:
        """Say a mark on both outputs, with what follows it on standard error."""
        await self.ends[0].send_all(self.mark + letter)
        await self.ends[1].send_all(self.mark + letter + rest)

    async def end(self) -> None:
        """Close both outputs."""
        for end in self.ends:
            await end.aclose()


async def lost(status: int) -> Outcome:
    """Diagnose a broken connection."""
    await trio.lowlevel.checkpoint()
    return Lost(f"ssh ended with {status}")


@asynccontextmanager
async def started(child: FakeChild) -> AsyncIterator[Pipes]:
    """Start a fake child."""
    await trio.lowlevel.checkpoint()
    yield cast("Pipes", child)


@asynccontextmanager
async def ready(child: FakeChild) -> AsyncIterator[NodeShell]:
    """Open a shell whose child is ready at once."""
    async with trio.open_nursery() as nursery:

        async def get_ready() -> None:
            while not child.mark:
                await trio.lowlevel.checkpoint()
            await child.say(b"r")

        nursery.start_soon(get_ready)
        async with open_shell(started(child), lost) as shell:
            yield shell


def unreachable(words: str) -> pytest.RaisesExc[NodeUnreachable]:
    """Expect that a node cannot be reached, in these words."""
    return pytest.RaisesExc(NodeUnreachable, match=words)


async def test_a_shell_that_is_never_ready(autojump_clock: MockClock) -> None:
    """The wait for a shell that reports nothing has a limit, which is in the message."""
    began = trio.current_time()
    with pytest.raises(NodeUnreachable, match=f"was not ready in {READY_LIMIT:g} seconds"):
        async with open_shell(started(FakeChild()), lost):
            pass
    assert trio.current_time() - began == pytest.approx(READY_LIMIT, abs=1)


@pytest.mark.parametrize(
    ("said", "words"),
    [(b"", "the shell on the node ended before it was ready"), (b" no sh \n", "^no sh$")],
)
async def test_a_shell_that_ends_first(autojump_clock: MockClock, said: bytes, words: str) -> None:
    """A node's own message explains why there is no shell; without one there is a default."""
    child = FakeChild()
    async with trio.open_nursery() as nursery:

        async def speak() -> None:
            await child.ends[1].send_all(said)
            await child.end()

        nursery.start_soon(speak)
        with unreachable(words):
            async with open_shell(started(child), lost):
                pass


async def test_a_shell_that_cannot_be_started(autojump_clock: MockClock) -> None:
    """No process, no shell: one sub-node cannot be reached, in the system's words."""

    @asynccontextmanager
    async def refused() -> AsyncIterator[Pipes]:
        await trio.lowlevel.checkpoint()
        raise CannotStart("ssh", OSError(24, "Too many open files"))
        yield

    with pytest.raises(NodeUnreachable, match="ssh cannot be started: Too many open files"):
        async with open_shell(refused(), lost):
            pass


async def test_a_job_for_a_shell_that_is_gone(autojump_clock: MockClock) -> None:
    """A command that could not be handed over has certainly not started."""
    child = FakeChild()
    async with ready(child) as shell:
        child.deaf = True
        outcome = await shell.run(assignment("true"), "run", Output().show, trio.Event())
        await child.end()
    assert outcome == NotStarted("the shell on the node was gone (Broken pipe)")


async def test_a_job_for_a_shell_whose_outputs_have_ended(autojump_clock: MockClock) -> None:
    """A command for a shell that has ended has not started, also if its input can be written to."""
    child = FakeChild()
    async with ready(child) as shell:
        await child.end()
        await shell.wait_broken()
        outcome = await shell.run(assignment("true"), "run", Output().show, trio.Event())
    assert outcome == NotStarted("the shell on the node was gone")
    assert child.heard == []


async def test_a_shell_that_ends_without_a_report(autojump_clock: MockClock) -> None:
    """The connection determines the outcome of its command, from the status of its end."""
    child = FakeChild()
    async with ready(child) as shell, trio.open_nursery() as nursery:
        nursery.start_soon(child.end)
        outcome = await shell.run(assignment("true"), "run", Output().show, trio.Event())
        assert shell.begun
    assert outcome == Lost("ssh ended with 255")


async def test_a_shell_that_exits_without_a_report(autojump_clock: MockClock) -> None:
    """A command that has begun is lost, and never not started: it would run twice."""
    child = FakeChild()

    async def exit_during_command() -> None:
        await child.ends[1].send_all(child.mark + b"b")
        await child.say(b"x")
        await child.end()

    async with ready(child) as shell, trio.open_nursery() as nursery:
        nursery.start_soon(exit_during_command)
        outcome = await shell.run(assignment("true"), "run", Output().show, trio.Event())
    assert outcome == Lost("its shell ended and did not report how the command ended")


async def test_an_idle_shell_is_dismissed(autojump_clock: MockClock) -> None:
    """A shell without a command is ended, and one whose command has ended, too."""
    idle, used = FakeChild(), FakeChild()
    async with ready(idle):
        pass
    assert idle.heard == [b"bye\n"]

    async def begin_and_end() -> None:
        await used.say(b"b")
        await used.say(b"e", b" 0\n")
        await used.say(b"r")

    async with ready(used) as shell, trio.open_nursery() as nursery:
        nursery.start_soon(begin_and_end)
        outcome = await shell.run(assignment("true"), "run", Output().show, trio.Event())
        assert await shell.wait_next()
    assert outcome == Exited(0)
    assert used.heard[1:] == [b"bye\n"]


@pytest.mark.parametrize("at_once", [False, True])
async def test_an_aborted_command(autojump_clock: MockClock, *, at_once: bool) -> None:
    """It gets SIGTERM, and SIGKILL ten seconds later; where there is no time, SIGKILL at once."""
    child, kill_now = FakeChild(), trio.Event()
    if at_once:
        kill_now.set()
    async with ready(child) as shell:
        with trio.move_on_after(5) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child.say, b"b")
                await shell.run(assignment("sleep"), "run", Output().show, kill_now)
        assert scope.cancelled_caught
        assert not await shell.wait_next()
    told = [line for line in child.heard if line in {b"TERM\n", b"KILL\n"}]
    assert told == ([b"KILL\n"] if at_once else [b"TERM\n", b"KILL\n"])
    if not at_once:
        at = [when for line, when in zip(child.heard, child.times, strict=True) if line in told]
        assert at[1] - at[0] == pytest.approx(KILL_GRACE)


async def test_kill_now_cuts_the_grace_short(autojump_clock: MockClock) -> None:
    """A third Ctrl-C ends what the second gave ten seconds."""
    child, kill_now = FakeChild(), trio.Event()
    async with ready(child) as shell, trio.open_nursery() as nursery:
        nursery.start_soon(child.say, b"b")

        async def run() -> None:
            with trio.move_on_after(5):
                await shell.run(assignment("sleep"), "run", Output().show, kill_now)

        nursery.start_soon(run)
        await trio.sleep(7)
        assert child.heard[-1] == b"TERM\n"
        kill_now.set()
        await trio.sleep(0.1)
        assert child.heard[-1] == b"KILL\n"
