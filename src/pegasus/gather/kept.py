"""The bytes of outputs, kept until they are shown: in memory where they are small, else in a file.

Rule 1: two outputs are equal if their bytes are, but for one newline at the end.
Rule 2: the file has no name, so that nothing is left of it, however Pegasus ends.
Rule 3: where the file cannot be written, what is missing is counted, and the rest goes on.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

IN_MEMORY = 64 * 1024
"""Bytes of an output that are kept in memory: most outputs are smaller."""

ALL_IN_MEMORY = 32 * 1024 * 1024
"""Bytes of all outputs together, above which each read goes to the file: memory stays bounded with
thousands of sub-nodes, too."""

OutputKey: TypeAlias = tuple[bytes, bool]
"""What is the same for equal outputs: a digest, and whether there is any output."""


@dataclass(frozen=True, slots=True)
class _KeptPiece:
    """A part of an output in the file."""

    start: int
    size: int


@dataclass(slots=True)
class KeptOutput:
    """One output of one command.

    Attributes:
        size: how many bytes were printed.
        missing: how many of them could not be kept.
    """

    size: int = 0
    missing: int = 0
    memory: bytearray = field(default_factory=bytearray)
    pieces: list[_KeptPiece] = field(default_factory=list)
    _digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    _newline: bool = False

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        if not data:
            return
        self.size += len(data)
        self.memory += data
        if self._newline:  # it was not the last one
            self._digest.update(b"\n")
        self._newline = data.endswith(b"\n")
        self._digest.update(memoryview(data)[: len(data) - self._newline])

    @property
    def key(self) -> OutputKey:
        """The same for equal outputs."""
        return self._digest.digest(), self.size > 0


class OutputStore:
    """Keeps the outputs of all sub-nodes; the file is made when the first output needs it."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._making = threading.Lock()  # outputs of several sub-nodes are written at a time
        self._end = 0
        self._in_memory = 0
        self._held = 0  # pieces of the file that are needed, or being written

    async def add(self, output: KeptOutput, data: bytes) -> None:
        """Keep the next bytes of an output; call it from one task at a time for each output."""
        before = len(output.memory)
        output.add(data)
        self._in_memory += len(output.memory) - before
        if len(output.memory) > IN_MEMORY or self._in_memory > ALL_IN_MEMORY:
            await self._move(output)
        else:
            await trio.lowlevel.checkpoint()

    async def read(self, output: KeptOutput) -> AsyncGenerator[bytes, None]:
        """Give the bytes of an output, in parts."""
        for piece in output.pieces:
            for start in range(0, piece.size, IN_MEMORY):
                size = min(IN_MEMORY, piece.size - start)
                yield await trio.to_thread.run_sync(self._read, piece.start + start, size)
        if output.memory:
            yield bytes(output.memory)

    def forget(self, output: KeptOutput) -> None:
        """Drop an output."""
        self._in_memory -= len(output.memory)
        self._held -= len(output.pieces)
        output.memory.clear()
        output.pieces.clear()

    async def reuse(self) -> None:
        """Empty the file, if nothing of it is needed any more; nothing is added meanwhile."""
        if self._fd is not None and not self._held and self._end:
            await trio.to_thread.run_sync(os.ftruncate, self._fd, 0)
            self._end = 0

    def close(self) -> None:
        """Give the file back to the system."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    async def _move(self, output: KeptOutput) -> None:
        """Move what an output has in memory to the file; where it is cancelled, nothing changes."""
        data = bytes(output.memory)
        piece = _KeptPiece(self._end, len(data))
        self._end += len(data)
        self._held += 1
        try:
            await trio.to_thread.run_sync(self._write, piece.start, data)
        except OSError:
            self._held -= 1
            output.missing += len(data)
        except trio.Cancelled:
            self._held -= 1
            raise
        else:
            output.pieces.append(piece)
        before = len(output.memory)  # it may have been forgotten meanwhile
        del output.memory[: len(data)]
        self._in_memory -= before - len(output.memory)

    def _write(self, start: int, data: bytes) -> None:
        with self._making:
            if self._fd is None:
                self._fd = _nameless_file()
        left = memoryview(data)
        while left:
            count = os.pwrite(self._fd, left, start)
            left, start = left[count:], start + count

    def _read(self, start: int, size: int) -> bytes:
        assert self._fd is not None  # noqa: S101 -- a piece was written to it
        return os.pread(self._fd, size, start)


def _nameless_file() -> int:
    with tempfile.TemporaryFile(prefix="pegasus-") as file:
        return os.dup(file.fileno())
