"""Child processes: each has its own session and three pipes, and leaves nothing behind.

Rule 1: a child runs in its own session, so that the terminal's Ctrl-C never reaches it.
Rule 2: a child is ended with its process group, and never outlives the block that opened it.
Rule 3: this module depends on neither ssh nor jobs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from subprocess import DEVNULL, PIPE

import trio

from pegasus.errors import CannotStart, sole_error

CHILD_KILL_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL for a child that should have nothing left to do: ssh closes a
connection in a few milliseconds; a stopped or stuck one does not deserve a longer wait."""

SPARE = 3
"""One in this many open files is reserved for the queue and for the outputs of jobs, and not used
for children and connections: a child takes four files, and its outputs two."""

FULL_PIPE = 64 * 1024
"""The capacity of a Linux pipe, in bytes."""

WIDE_PIPE = 256 * 1024
"""The capacity, in bytes, of a pipe from which much is read. With four times as much per read the
fixed cost of a read counts a quarter; with more, the data leaves the processor's cache before it is
written."""

REFILL_PAUSE = 0.001
"""Seconds to wait for a pipe to fill again, when little was read after much: a reader that is
faster than a job that prints much would otherwise read small pieces, and take processor time from
the job and ssh. A job that stopped printing costs this wait once."""

BAR_PERIOD = 0.25
"""Seconds between two reads of a pipe on which a progress bar moves. The screen shows at most four
of its states each second. All bars are read at the same moments, so that Pegasus wakes up four
times a second, and not for each step of each bar: that was most of what eight bars cost."""

STEPS_OF_A_BAR = 10
"""Steps of a progress bar in a row, with nothing else printed, after which ``BAR_PERIOD`` applies.
A short command is never slowed down by it."""

LARGEST_STEP = 4096
"""Bytes in which a step of a progress bar ends; a bar that moves so fast that there are more in
``BAR_PERIOD`` is read without a pause, so that its command need not wait."""

SLOW_READ_PAUSE = 0.01
"""Seconds between two reads of what is of little use: a child that writes without end then costs
one or two percent of a processor."""

LAST_ERROR_LIMIT = 0.5
"""Seconds for the rest of a child's standard error once it has ended; a process that it has left in
the background may keep the pipe open."""

_MALLOC_WARM_UP = 8 * 1024 * 1024
"""Bytes that are allocated once and freed unused; after that the GNU C library keeps blocks of such
sizes instead of returning them to the system. Otherwise each piece of output would be new memory,
which costs five times as much as copying it."""


GIVEN_OPEN_FILES, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
"""The soft limit of open files with which Pegasus was started; its children get this limit."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """The three pipes to a running command, and its end."""

    stdin: trio.lowlevel.FdStream
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream

    def write_now(self, data: bytes) -> bytes:
        """Write to its standard input without waiting, and return the data that did not fit.

        Raises:
            OSError: nothing reads its standard input any more, or the pipe is closed.
        """
        try:
            return data[os.write(self.stdin.fileno(), data) :]
        except BlockingIOError:
            return data

    async def wait(self) -> int:
        """Wait for its end, and return its exit status; minus N for a signal N."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Child(Pipes):
    """A child process and its three pipes."""

    process: trio.Process

    async def wait(self) -> int:
        """Wait for its end, and return its exit status; minus N for a signal N."""
        return await self.process.wait()


async def read_all(
    source: trio.abc.ReceiveStream, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Read a pipe to its end; once it was full, it is widened and read in larger pieces.

    Args:
        source: the pipe.
        take: gets the data; while it waits, so does the writer.
    """
    piece, much, steps = FULL_PIPE, False, 0
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await _receive(source, piece):
            before, much = much, len(data) >= FULL_PIPE
            if much and piece == FULL_PIPE:
                piece = _widen(source)
            await take(bytes(data))
            steps = steps + 1 if _is_step_of_a_bar(data) else 0
            if before and not much:
                await trio.sleep(REFILL_PAUSE)
            elif steps >= STEPS_OF_A_BAR:
                # The same number for all of them: one pass of Trio's loop wakes them.
                await trio.sleep_until((trio.current_time() // BAR_PERIOD + 1) * BAR_PERIOD)


def _is_step_of_a_bar(data: bytes | bytearray) -> bool:
    """Tell whether a command has printed nothing but a step of a progress bar."""
    return len(data) < LARGEST_STEP and b"\r" in data and b"\n" not in data


async def _receive(source: trio.abc.ReceiveStream, piece: int) -> bytes | bytearray:
    """Receive the next data, and nothing at the end.

    A stream of Trio goes through its loop once before it tries to read, and again when it waits. A
    command that prints a little now and then, as a progress bar does, would cost both each time.
    """
    if not isinstance(source, trio.lowlevel.FdStream):
        return await source.receive_some(piece)
    while True:
        if source.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(source)
        try:
            return os.read(source.fileno(), piece)
        except BlockingIOError:  # another process that reads the same pipe was faster
            continue
        except OSError as error:
            raise trio.BrokenResourceError from error


def _widen(pipe: trio.abc.ReceiveStream) -> int:
    """Increase the capacity of a pipe, where the system can; return how much to read at once."""
    bytes(_MALLOC_WARM_UP)
    if isinstance(pipe, trio.lowlevel.FdStream) and sys.platform == "linux":
        # Not permitted where this user's pipes use much of the system's memory already.
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, WIDE_PIPE)
    return WIDE_PIPE


async def end_group(process: trio.Process) -> None:
    """End a child's whole process group: SIGTERM, and SIGKILL after CHILD_KILL_GRACE.

    Trio runs this shielded and cancels it as soon as the child itself has ended.
    """
    signal_group(process, signal.SIGTERM)
    try:
        await trio.sleep(CHILD_KILL_GRACE)
    finally:
        # Also when the child ended at once: a process of its group may have ignored SIGTERM.
        signal_group(process, signal.SIGKILL)


def signal_group(process: trio.Process, number: int) -> None:
    """Send a signal to the child's process group; a group that has ended is no error."""
    # PermissionError: the rest of the group belongs to another user (sudo, a setuid program).
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@asynccontextmanager
async def open_child(argv: Sequence[str], exit_limit: float) -> AsyncIterator[Child]:
    """Start a child with three pipes, in its own session; leaving the block ends it.

    Its standard input is closed first; a child that does not exit then is ended with its process
    group.

    Args:
        argv: what to start.
        exit_limit: seconds for it to exit by itself.

    Raises:
        CannotStart: it could not be started.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    shield = trio.CancelScope(shield=True)
    with sole_error():
        async with trio.open_nursery() as nursery:
            # Shielded: a child that starts at the moment of a cancellation would never end, since
            # nothing would close its input.
            with trio.CancelScope(shield=True):
                try:
                    process: trio.Process = await nursery.start(_run, shield, argv)
                except OSError as error:
                    raise CannotStart(argv[0], error) from error
            child = Child(*_pipes(process), process)
            try:
                yield child
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(exit_limit):
                    await child.stdin.aclose()
                    await child.wait()
                shield.cancel(reason="the block that opened this child is left")


async def _run(  # noqa: ASYNC114, ASYNC128 -- run_process says that it has started
    shield: trio.CancelScope, argv: Sequence[str], task_status: trio.TaskStatus[trio.Process]
) -> None:
    """Run a child to its end; the block that opened it handles a cancellation."""
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


async def run_fed(
    argv: Sequence[str],
    data: bytes,
    take_error: Callable[[bytes], None],
    environ: Mapping[str, str],
) -> int:
    """Run a child in its own session to its end, with data as its standard input.

    Its standard output is dropped. Cancelled, this ends the child with its process group. It does
    not wait for a process that the child leaves in the background.

    Args:
        argv: what to start.
        data: the child need not read it.
        take_error: gets what it writes to its standard error, not faster than a few MB/s.
        environ: its whole environment.

    Returns:
        Its exit status; minus N for a signal N.

    Raises:
        CannotStart: it could not be started.
    """
    with sole_error():
        async with trio.open_nursery() as nursery:
            run = partial(
                trio.run_process,
                argv,
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=PIPE,
                check=False,
                start_new_session=True,
                deliver_cancel=end_group,
                env=environ,
            )
            try:
                spare_open_files()
                process: trio.Process = await nursery.start(run)
            except OSError as error:
                raise CannotStart(argv[0], error) from error
            error_read = trio.Event()
            nursery.start_soon(_feed, process, data)
            nursery.start_soon(_read_error, process, take_error, error_read)
            status = await process.wait()
            with trio.move_on_after(LAST_ERROR_LIMIT):
                await error_read.wait()
            nursery.cancel_scope.cancel(reason="the child has ended")
    return status


async def _feed(process: trio.Process, data: bytes) -> None:
    if process.stdin is not None:
        with suppress(trio.BrokenResourceError):  # it does not read this
            async with process.stdin as stdin:
                await stdin.send_all(data)


async def _read_error(
    process: trio.Process, take: Callable[[bytes], None], is_read: trio.Event
) -> None:
    if process.stderr is not None:
        async with process.stderr as stderr:
            while data := await stderr.receive_some(FULL_PIPE):
                take(bytes(data))
                await trio.sleep(SLOW_READ_PAUSE)
    is_read.set()


def _pipes(
    process: trio.Process,
) -> tuple[trio.lowlevel.FdStream, trio.abc.ReceiveStream, trio.abc.ReceiveStream]:
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if not isinstance(stdin, trio.lowlevel.FdStream) or stdout is None or stderr is None:
        raise TypeError("this is no child with three pipes of a POSIX system")
    return stdin, stdout, stderr


def raise_open_files_limit() -> None:
    """Raise the limit of open files to the maximum: a child needs three, a socket one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def given_open_files() -> str:
    """Return the limit of open files with which Pegasus was started, as ``ulimit`` takes it."""
    unlimited = GIVEN_OPEN_FILES == resource.RLIM_INFINITY
    return "unlimited" if unlimited else str(GIVEN_OPEN_FILES)


def spare_open_files() -> None:
    """Fail where too few open files would be left for everything else.

    Raises:
        OSError: the same as the system's when no more files can be opened.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(lowest_free)
    if soft != resource.RLIM_INFINITY and lowest_free >= soft - soft // SPARE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
