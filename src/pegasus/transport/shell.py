r"""A shell on a sub-node that waits for a command, runs it, and says how it ended.

What it is on its node, and how it talks, stands in ``script``.

Rule 1: the shell is ready before a job is taken for it; handing the job over is one write.
Rule 2: its standard input is the lifeline: lines on it are signals for the command's process
group, and its end, for whatever reason, is the end of that group.
Rule 3: what the command prints passes through untouched; what the shell itself has to say stands
behind a mark of 128 random bits, which a job neither sees nor can guess.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import trio

from pegasus.errors import CannotStart, NodeUnreachable, sole_error
from pegasus.events import Printed
from pegasus.model import Assignment, NotStarted, Outcome, Stream
from pegasus.process import Pipes, read_all
from pegasus.terminal_text import on_one_line
from pegasus.transport.marks import Marks, Phase
from pegasus.transport.script import hand_over, read_end

KILL_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for a command that is aborted: what the contract promises,
and what ``docker stop`` and systemd's users are used to."""

READY_LIMIT = 60.0
"""Seconds that a shell may need to get ready: an account's start-up files on a busy node and a
home directory on a slow file system take many, a node that never answers must not take for ever."""

SLOW_START = 5.0
"""Seconds after which a person is told what is waited for: start-up files that take longer may
never end, and only their owner can know."""

ECHO_LIMIT = 2.0
"""Seconds to wait for the echo of something that takes no time itself: a round trip over a slow
link."""

GONE_LIMIT = 2.0
"""Seconds between the end of a command and its shell's word whether it takes another one."""

NOISE_LIMIT = 65536
"""Bytes that are kept of what an account's start-up files print: they may explain a failure."""

NOISE_SHOWN = 300
"""Characters of it that are shown; the last ones, as a question or a prompt comes last."""

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""What a prompt prints for a terminal: colours, modes, a title."""

Show = Callable[[Printed], Awaitable[None]]
Judge = Callable[[int], Awaitable[Outcome]]


class Shell:
    """A shell that waits for a command, and perhaps for another one after that.

    Args:
        child: the pipes of what is, or leads to, the shell.
        mark: what its own words stand behind.
        judge: tells what became of a command whose shell went without a word, from the exit
            status of the child.
    """

    def __init__(self, child: Pipes, mark: bytes, judge: Judge) -> None:
        self._child = child
        self._judge = judge
        self._stdout = _Side(Stream.STDOUT, Marks(mark))
        self._stderr = _Side(Stream.STDERR, Marks(mark))
        self._reached = Phase.STARTING
        self._beginning, self._progress = trio.lowlevel.ParkingLot(), trio.lowlevel.ParkingLot()
        self._over = trio.Event()
        self._open = len(Stream)
        self._assignment: Assignment | None = None
        self._show: Show | None = None
        self._mark, self._noise = mark, b""
        self._handed_over = False
        self._stopped = False

    @property
    def begun(self) -> bool:
        """Whether the command runs, or has ended, or can't begin any more."""
        # Standard error tells for both.
        return self._over.is_set() or self._stderr.shown >= Phase.RUNNING

    async def wait_begun(self) -> None:
        """Wait until the command runs, or can't any more."""
        if not self.begun:  # not `while`: it may have ended since it began, and the next be awaited
            await self._beginning.park()

    async def _wait_reached(self, phase: Phase) -> None:
        """Wait until both outputs have come as far, or to their end."""
        while self._reached < phase:
            await self._progress.park()

    async def wait_ready(self, on_slow: Callable[[str], None]) -> None:
        """Wait until the shell can take a command.

        Args:
            on_slow: is told once what is waited for, where it takes long.

        Raises:
            NodeUnreachable: it can't.
        """
        with trio.move_on_after(SLOW_START):
            return await self._wait_ready()
        on_slow(
            f"waiting for a shell; after {SLOW_START:g} seconds the account's start-up files have "
            f"not ended, and have printed {self._quoted}"
        )
        with trio.move_on_after(READY_LIMIT - SLOW_START):
            return await self._wait_ready()
        raise NodeUnreachable(
            f"the shell on the node was not ready in {READY_LIMIT:g} seconds; the account's "
            f"start-up files have printed {self._quoted}"
        )

    async def _wait_ready(self) -> None:
        await self._wait_reached(Phase.READY)
        if self._over.is_set():
            raise NodeUnreachable(
                self._printed or "the shell on the node ended before it was ready"
            )

    @property
    def _printed(self) -> str:
        """What the start-up files printed, or whatever else came before the shell, as text."""
        text = self._noise.replace(self._mark[1:], b"").decode(errors="replace")
        return _ESCAPE.sub("", text).strip()

    @property
    def _quoted(self) -> str:
        """The end of what was printed, on one line: a question or a prompt comes last."""
        words = on_one_line(self._printed, NOISE_LIMIT)
        return (words if len(words) <= NOISE_SHOWN else f"…{words[-NOISE_SHOWN:]}") or "nothing"

    async def wait_next(self) -> bool:
        """Wait until the shell is through with its command; tell whether it takes another one.

        It does where nothing is left of the one before; else the next one needs a fresh shell.
        """
        if self._reached < Phase.AGAIN:  # it comes with the end, as a rule
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_reached(Phase.AGAIN)
        # A signal that is on its way would meet the next command.
        if self._stopped or self._over.is_set() or self._reached is not Phase.AGAIN:
            return False
        for side in (self._stdout, self._stderr):
            side.marks.begin()
            side.shown = Phase.READY
        self._reached = Phase.READY
        self._assignment, self._handed_over = None, False
        return True

    async def dismiss(self) -> None:
        """Let the shell go, once it is through with its command, if it had one."""
        if self._assignment is not None:
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_reached(Phase.AGAIN)
        idle = self._assignment is None or self._reached >= Phase.AGAIN
        if idle and not self._over.is_set() and self._say("bye"):
            # Not before it is heard: a master whose client goes drops what is on its way.
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_reached(Phase.GONE)

    async def wait_broken(self) -> None:
        """Wait until the shell is gone."""
        await self._over.wait()

    async def run(
        self, assignment: Assignment, run_name: str, show: Show, kill_now: trio.Event
    ) -> Outcome:
        """Run the command to its end; cancelled, end it first: SIGTERM, then SIGKILL.

        Args:
            assignment: what to run.
            run_name: the run's name, for the command's environment.
            show: is given what the command prints; while it waits, so does a command that prints.
            kill_now: once set, a command that is being ended gets SIGKILL at once.
        """
        if self._over.is_set():
            return NotStarted("the shell on the node was gone")
        self._assignment, self._show = assignment, show
        words = f"{run_name} {assignment.number} {assignment.sub_node.number}"
        try:
            # No checkpoint before this: a job that was taken is started.
            rest = self._child.write_now(hand_over(words, assignment.command))
        except OSError as error:
            return NotStarted(f"the shell on the node was gone ({error.strerror or error})")
        try:
            if rest:
                await self._send_rest(rest)
            self._handed_over = True
            await self._wait_reached(Phase.ENDED)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await self._stop(kill_now)
            raise
        return await self._outcome()

    async def _send_rest(self, rest: bytes) -> None:
        with suppress(trio.BrokenResourceError):
            await self._child.stdin.send_all(rest)

    async def _outcome(self) -> Outcome:
        words = self._stderr.marks.words
        if words is not None:
            return read_end(words.decode(errors="replace"))
        if self._stderr.marks.phase is Phase.GONE:
            return NotStarted("the shell on the node went first")
        return await self._judge(await self._child.wait())

    async def _stop(self, kill_now: trio.Event) -> None:
        """End the command: SIGTERM to its process group, SIGKILL after KILL_GRACE."""
        self._stopped = True
        if not self._handed_over:
            # Half a command must never run; a shell that is not given all of it goes.
            await self._child.stdin.aclose()
            return
        with trio.move_on_after(ECHO_LIMIT):
            await self.wait_begun()
        if not kill_now.is_set() and self._say("TERM"):
            with trio.move_on_after(KILL_GRACE):
                await _wait_first(partial(self._wait_reached, Phase.AGAIN), kill_now.wait)
        if self._reached < Phase.AGAIN and self._say("KILL"):
            with trio.move_on_after(ECHO_LIMIT):
                await self._over.wait()

    def _say(self, word: str) -> bool:
        try:
            return not self._child.write_now(f"{word}\n".encode())
        except OSError:
            return False

    async def read(self, stream: Stream, source: trio.abc.ReceiveStream) -> None:
        """Read one of the outputs to its end; the two run side by side."""
        side = self._stdout if stream is Stream.STDOUT else self._stderr
        await read_all(source, partial(self._take_in, side))
        self._open -= 1
        if not self._open:
            self._over.set()
            self._reached = Phase.GONE
            self._beginning.unpark_all()
            self._progress.unpark_all()

    async def _take_in(self, side: _Side, data: bytes) -> None:
        marks = side.marks
        output = marks.feed(data)
        if marks.phase is Phase.STARTING:
            self._noise = (self._noise + output)[-NOISE_LIMIT:]
        elif output and self._assignment is not None and self._show is not None:
            await self._show(Printed(self._assignment, side.stream, output))
        # Only now: the other stream must not tell of an end while this one's last words still wait.
        if side.shown is not marks.phase or marks.phase is Phase.ENDED:
            side.shown = marks.phase
            self._see_how_far()

    def _see_how_far(self) -> None:
        """Wake whoever waits for what one of the outputs has just come to."""
        if self.begun:
            self._beginning.unpark_all()
        reached = min(self._stdout.shown, self._stderr.shown)
        words_lack = reached is Phase.ENDED and self._stderr.marks.words is None
        if reached is not self._reached and not words_lack:
            self._reached = reached
            self._progress.unpark_all()


@dataclass(slots=True)
class _Side:
    """One of the outputs.

    Attributes:
        stream: which one.
        marks: what takes the marks out of it.
        shown: how far it has come with all before that shown.
    """

    stream: Stream
    marks: Marks
    shown: Phase = Phase.STARTING


async def _wait_first(*waits: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:

        async def run(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(run, wait)


def _say_nothing(words: str) -> None:
    """Be told what is waited for and leave it at that."""


@asynccontextmanager
async def open_shell(
    pipes: AbstractAsyncContextManager[Pipes],
    judge: Judge,
    on_slow: Callable[[str], None] = _say_nothing,
) -> AsyncIterator[Shell]:
    """Start a shell; it is ready when the block begins.

    Args:
        pipes: starts what is, or leads to, the shell, and ends it.
        judge: see Shell.
        on_slow: is told once what is waited for, where it takes long.

    Raises:
        NodeUnreachable: the shell did not get ready; in ssh's or the shell's own words.
    """
    mark = b"\x1e" + secrets.token_hex(16).encode()
    async with AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(pipes)
        except CannotStart as error:
            raise NodeUnreachable(str(error)) from error
        shell = Shell(opened, mark, judge)
        await stack.enter_async_context(_reading(shell, opened))
        with suppress(OSError):
            opened.write_now(mark + b"\n")
        await shell.wait_ready(on_slow)
        try:
            yield shell
        finally:
            with trio.CancelScope(shield=True):
                await shell.dismiss()


@asynccontextmanager
async def _reading(shell: Shell, child: Pipes) -> AsyncIterator[None]:
    """Read the child's outputs, also while the block is being cancelled.

    What a command says while it is ended is its last word, and worth hearing; so the readers end
    with the block and not with the cancellation.
    """
    with sole_error():
        async with trio.open_nursery() as nursery:
            shield = trio.CancelScope(shield=True)

            async def read(stream: Stream, source: trio.abc.ReceiveStream) -> None:
                async with source:
                    await shell.read(stream, source)

            async def read_both() -> None:
                with shield:
                    async with trio.open_nursery() as readers:
                        readers.start_soon(read, Stream.STDOUT, child.stdout)
                        readers.start_soon(read, Stream.STDERR, child.stderr)

            nursery.start_soon(read_both)
            try:
                yield
            finally:
                shield.cancel(reason="the command ended")
