r"""A shell on a sub-node that waits for a command, runs it, and reports how it ended.

See ``script`` for what runs on the node, and for the protocol.

Rule 1: the shell is ready before a job is taken for it; a single write hands the job over.
Rule 2: the shell's standard input is the lifeline: lines on it are signals for the process group of
the command, and its end, for whatever reason, ends that group.
Rule 3: the output of the command is passed on unchanged; the shell's own messages follow a mark of
128 random bits, which a job cannot see or guess.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import trio

from pegasus.detachment import Detachment
from pegasus.errors import NodeUnreachable
from pegasus.events import Printed
from pegasus.model import Assignment, Lost, NotStarted, Outcome, Stream
from pegasus.process import Pipes, read_all
from pegasus.starting import launch_of
from pegasus.transport.answers import send_answers
from pegasus.transport.child_streams import reading, started
from pegasus.transport.environment import slots_environment
from pegasus.transport.marks import Marks, Phase
from pegasus.transport.script import hand_over, read_end
from pegasus.transport.start_up import StartUp

KILL_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for a command that is ended, as documented; ``docker stop``
has the same default."""

ECHO_LIMIT = 2.0
"""Seconds to wait for the reaction to something that takes no time itself: a round trip over a slow
link."""

GONE_LIMIT = 2.0
"""Seconds between the end of a command and the report whether its shell takes another one."""

Show = Callable[[Printed], Awaitable[None]]
Diagnose = Callable[[int], Awaitable[Outcome]]
"""Returns the outcome of a command whose shell did not report it, from the child's exit status."""

Review: TypeAlias = Callable[[Outcome], Awaitable[Outcome]]
"""Looks once more at the outcome of a command that the shell has reported."""


class NodeShell:
    """A shell that waits for a command, and possibly for more commands after that.

    Args:
        child: the pipes to the shell.
        mark: precedes each of the shell's own messages.
        diagnose: returns the outcome of a command whose shell did not report it.
        end: what is behind each mark.
        review: gets each outcome that the shell has reported, and returns the true one.

    Attributes:
        has_read: set after each read; ``answers`` replaces it.
    """

    def __init__(
        self,
        child: Pipes,
        mark: bytes,
        diagnose: Diagnose,
        end: bytes = b"",
        review: Review | None = None,
    ) -> None:
        self._child = child
        self._diagnose = diagnose
        self._review = review
        self._stdout = _OutputState(Stream.STDOUT, Marks(mark, end))
        self._stderr = _OutputState(Stream.STDERR, Marks(mark, end))
        self._reached = Phase.STARTING
        self._beginning, self._progress = trio.lowlevel.ParkingLot(), trio.lowlevel.ParkingLot()
        self._gone = trio.Event()  # both outputs have ended
        self._open_outputs = len(Stream)
        self._assignment: Assignment | None = None
        self._show: Show | None = None
        self._start_up = StartUp(mark)  # of the start-up files, then of the shell itself
        self._handed_over = False
        self._stopped = False
        self.has_read = trio.Event()

    @property
    def key(self) -> str | None:
        """None: the commands of this shell are not detached."""
        return None

    async def wait_key(self) -> None:
        """Return at once: these commands need no folder."""
        await trio.lowlevel.checkpoint()

    @property
    def is_dismissed(self) -> bool:
        """True: there is no folder."""
        return True

    @property
    def seconds(self) -> float | None:
        """None: these commands are not detached."""
        return None

    async def release(self, key: str) -> bool:  # noqa: ARG002 -- see ``ports``
        """Return True: these commands leave no folder."""
        await trio.lowlevel.checkpoint()
        return True

    @property
    def begun(self) -> bool:
        """Whether the command has begun, has ended, or can't begin any more."""
        # The mark of the beginning is on standard error only.
        return self._gone.is_set() or self._stderr.shown >= Phase.RUNNING

    async def wait_begun(self) -> None:
        """Wait until the command has begun, or can't begin any more."""
        # Not `while`: it may have begun and ended since, and the shell wait for the next command.
        if not self.begun:
            await self._beginning.park()

    def send_empty(self) -> None:
        """Send an empty line if the shell will print more; never amid the text of a command."""
        if self._handed_over and self._reached < Phase.AGAIN:
            with suppress(OSError):
                self._child.write_now(b"\n")

    async def _wait_reached(self, phase: Phase) -> None:
        """Wait until both outputs have reached a phase, or have ended."""
        while self._reached < phase:
            await self._progress.park()

    async def wait_ready(self, on_slow: Callable[[str], None]) -> None:
        """Wait until the shell can take a command.

        Args:
            on_slow: gets a sentence, once, where this takes long.

        Raises:
            NodeUnreachable: the shell ended, or did not become ready in time.
        """
        await self._start_up.wait(self._wait_ready, on_slow)

    async def _wait_ready(self) -> None:
        await self._wait_reached(Phase.READY)
        if self._gone.is_set():
            raise NodeUnreachable(
                self._start_up.words or "the shell on the node ended before it was ready"
            )
        self._start_up.forget()

    async def wait_next(self) -> bool:
        """Wait until the shell has finished its command; return whether it takes another one.

        It does where no process of the command is left; else the next command needs a new shell.
        """
        if self._reached < Phase.AGAIN:  # usually reported together with the end
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_reached(Phase.AGAIN)
        # A signal that was sent to the command could reach the next one.
        if self._stopped or self._gone.is_set() or self._reached is not Phase.AGAIN:
            return False
        for output in (self._stdout, self._stderr):
            output.marks.begin()
            output.shown = Phase.READY
        self._reached = Phase.READY
        self._assignment, self._handed_over = None, False
        self._start_up.forget()
        return True

    async def dismiss(self) -> None:
        """End the shell, once it has finished its command, if it had one."""
        if self._assignment is not None:
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_reached(Phase.AGAIN)
        idle = self._assignment is None or self._reached >= Phase.AGAIN
        if idle and not self._gone.is_set() and self._send("bye"):
            # Wait for the reaction: a master drops unsent data when its client disconnects.
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_reached(Phase.GONE)

    async def wait_broken(self) -> None:
        """Wait until the shell is gone."""
        await self._gone.wait()

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Show,
        kill_now: trio.Event,
        detachment: Detachment | None = None,  # noqa: ARG002 -- see ``ports``
    ) -> Outcome:
        """Run a command to its end; cancelled, end it first: SIGTERM, then SIGKILL.

        Args:
            assignment: what to run.
            run_name: the run's name, for the command's environment.
            show: gets the command's output; while it waits, so does a command that prints.
            kill_now: once set, a command that is being ended gets SIGKILL at once.
            detachment: None; see ``ports``.
        """
        if self._gone.is_set():
            return NotStarted("the shell on the node was gone")
        self._assignment, self._show = assignment, show
        words = f"{run_name} {assignment.number} {assignment.sub_node.number}"
        variables = slots_environment(assignment.slots)
        try:
            # No checkpoint before this write: every job that is taken is started.
            lines = hand_over(words, assignment.command, variables, launch_of(assignment))
            rest = self._child.write_now(lines)
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
        marks = self._stderr.marks
        if marks.words is not None:
            unbegun = None if marks.begun else self._start_up.end
            outcome = read_end(marks.words.decode(errors="replace"), unbegun)
            return await self._review(outcome) if self._review else outcome
        if marks.phase is Phase.GONE and marks.begun:
            return Lost("its shell ended and did not report how the command ended")
        if marks.phase is Phase.GONE:
            return NotStarted(self._start_up.end or "the shell on the node went first")
        return await self._diagnose(await self._child.wait())

    async def _stop(self, kill_now: trio.Event) -> None:
        """End the command: SIGTERM to its process group, SIGKILL after KILL_GRACE."""
        self._stopped = True
        if not self._handed_over:
            # A part of a command must never run: the shell exits if it does not get all of it.
            await self._child.stdin.aclose()
            return
        with trio.move_on_after(ECHO_LIMIT):
            await self.wait_begun()
        if not kill_now.is_set() and self._send("TERM"):
            with trio.move_on_after(KILL_GRACE):
                await _wait_first(partial(self._wait_reached, Phase.AGAIN), kill_now.wait)
        if self._reached < Phase.AGAIN and self._send("KILL"):
            with trio.move_on_after(ECHO_LIMIT):
                await self._gone.wait()

    def _send(self, word: str) -> bool:
        try:
            return not self._child.write_now(f"{word}\n".encode())
        except OSError:
            return False

    async def read(self, stream: Stream, source: trio.abc.ReceiveStream) -> None:
        """Read one of the outputs to its end; both are read concurrently."""
        output = self._stdout if stream is Stream.STDOUT else self._stderr
        await read_all(source, partial(self._receive, output))
        self._open_outputs -= 1
        if not self._open_outputs:
            self._gone.set()
            self._reached = Phase.GONE
            self._beginning.unpark_all()
            self._progress.unpark_all()

    async def _receive(self, output: _OutputState, data: bytes) -> None:
        marks = output.marks
        printed = marks.feed(data)
        if marks.phase is Phase.STARTING:
            self._start_up.add(printed)
        elif printed and self._assignment is not None and self._show is not None:
            if output is self._stderr and not marks.begun:
                self._start_up.add(printed)
            else:
                await self._show(Printed(self._assignment, output.stream, printed))
        # After `show`: a command has ended only when the last of its output was shown.
        if output.shown is not marks.phase or marks.phase is Phase.ENDED:
            output.shown = marks.phase
            self._update_reached()
        self.has_read.set()

    def _update_reached(self) -> None:
        """Update the phase that both outputs have reached, and wake the tasks that wait for it."""
        if self.begun:
            self._beginning.unpark_all()
        reached = min(self._stdout.shown, self._stderr.shown)
        incomplete = reached is Phase.ENDED and self._stderr.marks.words is None
        if reached is not self._reached and not incomplete:
            self._reached = reached
            self._progress.unpark_all()


@dataclass(slots=True)
class _OutputState:
    """One of the outputs.

    Attributes:
        stream: which one.
        marks: removes the marks from it.
        shown: the last phase before which all output was shown.
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


def _ignore(words: str) -> None:
    """Ignore the report of a slow start."""


@asynccontextmanager
async def open_shell(
    pipes: AbstractAsyncContextManager[Pipes],
    diagnose: Diagnose,
    on_slow: Callable[[str], None] = _ignore,
    end: bytes = b"",
    review: Review | None = None,
    *,
    answers: bool = False,
) -> AsyncIterator[NodeShell]:
    """Start a shell; it is ready when the block begins.

    Args:
        pipes: starts the shell, or a connection to it, and ends it.
        diagnose: returns the outcome of a command whose shell did not report it.
        on_slow: gets a sentence, once, where the start takes long.
        end: what is behind each mark: the script's line end, if it has one.
        review: gets each outcome that the shell has reported, and returns the true one.
        answers: whether what is read is answered with an empty line while a command runs. A way
            that holds back a small message until the one before is acknowledged needs this: an
            acknowledgement travels at once with data, and otherwise up to 40 ms later.

    Raises:
        NodeUnreachable: the shell did not become ready; in ssh's or the shell's own words.
    """
    mark = b"\x1e" + secrets.token_hex(16).encode()
    async with started(pipes) as child:
        shell = NodeShell(child, mark, diagnose, end, review)
        beside = partial(send_answers, shell) if answers else None
        async with reading(shell.read, child, beside):
            with suppress(OSError):
                child.write_now(mark + b"\n")
            await shell.wait_ready(on_slow)
            try:
                yield shell
            finally:
                with trio.CancelScope(shield=True):
                    await shell.dismiss()
