"""A child process: its own session, its streams, and an end that leaves nothing behind.

Rule 1: a child lives in a session of its own, so that the terminal's Ctrl-C never reaches it.
Rule 2: a child is ended by its process group, and never outlives the block that opened it.
Rule 3: this room knows neither ssh nor jobs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from subprocess import PIPE

import trio

from pegasus.errors import CannotStart, sole_error

END_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL for a child that should have nothing left to do: ssh needs
a few milliseconds to close a connection; a stopped or stuck one is not worth a longer wait."""

SPARE = 3
"""One part in so many of the open files is not for children and connections, but for the queue and
for the outputs of jobs: two files for each four that a child takes."""

FULL_PIPE = 64 * 1024
"""Bytes that a pipe of Linux holds."""

WIDE_PIPE = 256 * 1024
"""Bytes that one holds of which much is read. With four times as much a read, what each costs
besides the copying counts a quarter; with more, what was read leaves the processor's cache before
it is written."""

GATHER = 0.001
"""Seconds in which a pipe may fill up again of which much was read, and then little: whoever is
ahead of a job that prints much would else read crumbs, and take the processor away from it and
ssh. One that has fallen silent is waited for once."""

_TAUGHT = 8 * 1024 * 1024
"""Bytes that are got from the C library once and given back unused, after which the GNU one keeps
blocks of such sizes for later instead of returning them to the system. Else each piece of output
would be fresh memory, and cost five times what it costs to copy it."""


GIVEN_OPEN_FILES, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
"""The soft limit of open files with which Pegasus was started: what belongs to its children."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """The three pipes of something that runs, and its end."""

    stdin: trio.lowlevel.FdStream
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream

    def write_now(self, data: bytes) -> bytes:
        """Write to its standard input without waiting, and give back what did not fit.

        Raises:
            OSError: it does not read any more, or its standard input is closed.
        """
        try:
            return data[os.write(self.stdin.fileno(), data) :]
        except BlockingIOError:
            return data

    async def wait(self) -> int:
        """Wait for its end, and give its exit status; minus N for a signal N."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Child(Pipes):
    """A child process and its three pipes."""

    process: trio.Process

    async def wait(self) -> int:
        """Wait for its end, and give its exit status; minus N for a signal N."""
        return await self.process.wait()


async def read_all(
    source: trio.abc.ReceiveStream, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Read a pipe to its end; from one that was found full more is read at once from then on.

    Args:
        source: the pipe.
        take: is given what was read; while it waits, so does whoever writes.
    """
    piece, much = FULL_PIPE, False
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await source.receive_some(piece):
            before, much = much, len(data) >= FULL_PIPE
            if much and piece == FULL_PIPE:
                piece = _widen(source)
            await take(bytes(data))
            if before and not much:
                await trio.sleep(GATHER)


def _widen(pipe: trio.abc.ReceiveStream) -> int:
    """Let a pipe hold more, where the system knows how to; give how much to read at once."""
    bytes(_TAUGHT)
    if isinstance(pipe, trio.lowlevel.FdStream) and sys.platform == "linux":
        # Not allowed where this user's pipes take much of the system's memory already.
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, WIDE_PIPE)
    return WIDE_PIPE


async def end_group(process: trio.Process) -> None:
    """End a child's whole process group: SIGTERM, and SIGKILL after END_GRACE.

    Trio runs this shielded and cancels it as soon as the child itself is gone.
    """
    signal_group(process, signal.SIGTERM)
    try:
        await trio.sleep(END_GRACE)
    finally:
        # Also when the child went at once: something in its group may have ignored SIGTERM.
        signal_group(process, signal.SIGKILL)


def signal_group(process: trio.Process, number: int) -> None:
    """Send a signal to the child's process group; a group that is gone is no error."""
    # PermissionError: what is left of the group belongs to somebody else (sudo, a setuid program).
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@asynccontextmanager
async def open_child(argv: Sequence[str], patience: float) -> AsyncIterator[Child]:
    """Start a child with three pipes, in a session of its own; leaving the block ends it.

    The end is the closing of its standard input, and for a child that doesn't take the hint the
    end of its process group.

    Args:
        argv: what to start.
        patience: seconds that it may take to end by itself.

    Raises:
        CannotStart: it could not be.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    shield = trio.CancelScope(shield=True)
    with sole_error():
        async with trio.open_nursery() as nursery:
            # Shielded: Trio would leave a child that starts in the very moment of a cancellation to
            # its own end, which is never, as nobody would be there to close its input.
            with trio.CancelScope(shield=True):
                try:
                    process: trio.Process = await nursery.start(_run, shield, argv)
                except OSError as error:
                    raise CannotStart(argv[0], error) from error
            child = Child(*_pipes(process), process)
            try:
                yield child
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(patience):
                    await child.stdin.aclose()
                    await child.wait()
                shield.cancel(reason="the block that opened this child is left")


async def _run(  # noqa: ASYNC114, ASYNC128 -- run_process says that it has started
    shield: trio.CancelScope, argv: Sequence[str], task_status: trio.TaskStatus[trio.Process]
) -> None:
    """Run a child to its end; a cancellation is for the block that opened it to act upon."""
    spare_open_files()
    with shield:
        await trio.run_process(
            argv,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            check=False,
            start_new_session=True,
            deliver_cancel=end_group,
            task_status=task_status,
        )


def _pipes(
    process: trio.Process,
) -> tuple[trio.lowlevel.FdStream, trio.abc.ReceiveStream, trio.abc.ReceiveStream]:
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if not isinstance(stdin, trio.lowlevel.FdStream) or stdout is None or stderr is None:
        raise TypeError("this is no child with three pipes of a POSIX system")
    return stdin, stdout, stderr


def raise_open_files_limit() -> None:
    """Allow this process as many open files as it may have: three a child, and one a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def given_open_files() -> str:
    """Give the limit of open files with which Pegasus was started, as ``ulimit`` takes it."""
    unlimited = GIVEN_OPEN_FILES == resource.RLIM_INFINITY
    return "unlimited" if unlimited else str(GIVEN_OPEN_FILES)


def spare_open_files() -> None:
    """Refuse to open more where too few open files would be left for everything else.

    Raises:
        OSError: as the system does when there are none left at all.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(lowest_free)
    if soft != resource.RLIM_INFINITY and lowest_free >= soft - soft // SPARE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
