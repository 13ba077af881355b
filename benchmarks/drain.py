"""Readers of output: a pipe or a terminal that is read as fast as possible."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

Target: TypeAlias = Literal["pipe", "terminal"]

CHUNK = 1 << 16  # bytes for each read: the capacity of a pipe
ROWS, COLUMNS = 50, 120  # of the terminal


class Drain:
    """Reads all output and records the times.

    Attributes:
        bytes: how many were read.
        first: when the first was read, in seconds since the epoch.
        last: when the last was read, likewise.
        marked: when the marker was last seen, likewise; 0 if never.
    """

    def __init__(self, marker: bytes = b"") -> None:
        self.bytes = 0
        self.first = self.last = self.marked = 0.0
        self._marker = marker

    def read(self, fd: int) -> None:
        """Read to the end; a terminal ends with an error."""
        while True:
            try:
                chunk = os.read(fd, CHUNK)
            except OSError:
                return
            if not chunk:
                return
            self.last = time.time()
            self.first = self.first or self.last
            self.bytes += len(chunk)
            if self._marker and self._marker in chunk:
                self.marked = self.last


@contextmanager
def open_drain(target: Target, marker: bytes = b"") -> Iterator[tuple[Drain, int]]:
    """Open a pipe or a terminal; yield its reader and the file descriptor to write to.

    At the end of the block, everything that was written has been read.
    """
    drain = Drain(marker)
    reading, writing = os.pipe() if target == "pipe" else open_terminal()
    thread = threading.Thread(target=drain.read, args=(reading,), daemon=True)
    thread.start()
    try:
        yield drain, writing
    finally:
        os.close(writing)
        thread.join()
        os.close(reading)


def open_terminal() -> tuple[int, int]:
    """Open a pseudo-terminal of a usual size; return its end for reading and the terminal."""
    reading, writing = pty.openpty()
    size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
    fcntl.ioctl(writing, termios.TIOCSWINSZ, size)
    return reading, writing
