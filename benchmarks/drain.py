"""Where output goes: a pipe or a terminal that is read as fast as it can be."""

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

CHUNK = 1 << 16  # bytes a read: what a pipe holds
ROWS, COLUMNS = 50, 120  # of the terminal


class Drain:
    """Reads all that comes, and remembers when.

    Attributes:
        bytes: how many have come.
        first: when the first came, in seconds since the epoch.
        last: when the last came, likewise.
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
    """Open a pipe or a terminal; give what drains it, and the file descriptor to write to.

    When the block is left, all that was written has been read.
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
    """Open a pseudo-terminal of a usual size; give its end for reading and the terminal itself."""
    reading, writing = pty.openpty()
    size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
    fcntl.ioctl(writing, termios.TIOCSWINSZ, size)
    return reading, writing
