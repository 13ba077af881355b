"""What the tests of the screen share: jobs, pipes with and without readers, terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyte
import trio

from pegasus.events import Printed
from pegasus.model import Assignment, Command, Job, Stream, SubNode
from tests.whole_frames import WholeFrames

LIMIT = 20.0
"""Seconds after which a test that waits has failed; never reached on a machine that works."""


def assignment(
    number: int = 1, sub_node: int = 0, name: str = "node-1", command: str = "true"
) -> Assignment:
    """Make a job given to a sub-node."""
    return Assignment(number, Job(command), SubNode(sub_node, name), Command(command))


def out(job: Assignment, data: bytes) -> Printed:
    """Make a read of a job's standard output."""
    return Printed(job, Stream.STDOUT, data)


def err(job: Assignment, data: bytes) -> Printed:
    """Make a read of a job's standard error."""
    return Printed(job, Stream.STDERR, data)


class Pipe:
    """A pipe whose other end is read when the test says so."""

    def __init__(self) -> None:
        self._read, self.fd = os.pipe()
        self._pieces: list[bytes] = []
        self._reader: threading.Thread | None = None

    def start_reading(self) -> None:
        """Read to the end from now on, in a thread."""
        self._reader = threading.Thread(target=self._read_to_end, daemon=True)
        self._reader.start()

    def text(self) -> bytes:
        """Close the writing end; give everything that was written."""
        self.close_writer()
        if self._reader is None:
            self._read_to_end()
        else:
            self._reader.join(LIMIT)
            assert not self._reader.is_alive()
        return b"".join(self._pieces)

    async def read_some(self) -> bytes:
        """Read once, waiting for it."""
        return await trio.to_thread.run_sync(os.read, self._read, 65536)

    def close_reader(self) -> None:
        """Go away without having read."""
        if self._read >= 0:
            os.close(self._read)
            self._read = -1

    def close_writer(self) -> None:
        """Let the reader see the end."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read_to_end(self) -> None:
        while data := os.read(self._read, 1 << 20):
            self._pieces.append(data)


@contextmanager
def pipe(*, reading: bool = True) -> Iterator[Pipe]:
    """A pipe, read by a thread or by nobody."""
    made = Pipe()
    if reading:
        made.start_reading()
    try:
        yield made
    finally:
        if made._reader is None:
            made.close_reader()  # first: a writer that is stuck comes free
            made.close_writer()
        else:
            made.close_writer()
            made._reader.join(LIMIT)
            made.close_reader()


class Terminal:
    """A terminal that a person looks at."""

    def __init__(self, columns: int, rows: int, *, reading: bool = True) -> None:
        self.master, self.fd = pty.openpty()
        self._bytes, self._shown = b"", 0
        self._screen = pyte.Screen(columns, rows)
        self._stream = WholeFrames(self._screen)
        self.resize(columns, rows)
        self._reader = threading.Thread(target=self._read_to_end, daemon=True)
        if reading:
            self._reader.start()

    def start_reading(self) -> None:
        """Show what was sent, from now on."""
        self._reader.start()

    def resize(self, columns: int, rows: int = 24) -> None:
        """Drag the window's corner; ``now`` follows where rows do not become fewer."""
        self.now()
        self._screen.resize(rows, columns)
        self._size = columns, rows
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def sent(self) -> bytes:
        """Hang up; give all that was sent to it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            if self._reader.ident is not None:
                self._reader.join(LIMIT)
            os.close(self.master)
        return self._bytes

    def screen(self) -> pyte.Screen:
        """Hang up; give what stands on the screen."""
        screen = pyte.Screen(*self._size)
        pyte.ByteStream(screen).feed(self.sent())
        return screen

    def now(self) -> list[str]:
        """Give the rows that stand on the screen now, without what is blank."""
        new, self._shown = self._bytes[self._shown :], len(self._bytes)
        self._stream.feed(new)
        return _rows(self._screen)

    async def wait_for(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the rows that stand on the screen meet a condition; give them."""
        with trio.fail_after(LIMIT):
            while not condition(rows := self.now()):
                await trio.sleep(0.01)
        return rows

    def display(self) -> list[str]:
        """Hang up; give the rows that stand on the screen, without what is blank."""
        return _rows(self.screen())

    def _read_to_end(self) -> None:
        try:
            while data := os.read(self.master, 65536):
                self._bytes += data
        except OSError:  # Linux's way to say that nobody writes any more
            return


def _rows(screen: pyte.Screen) -> list[str]:
    return "\n".join(row.rstrip() for row in screen.display).rstrip().split("\n")


@contextmanager
def terminal(columns: int = 80, rows: int = 24, *, reading: bool = True) -> Iterator[Terminal]:
    """A terminal of this size, which shows what is sent to it, or does not yet."""
    made = Terminal(columns, rows, reading=reading)
    try:
        yield made
    finally:
        made.sent()
