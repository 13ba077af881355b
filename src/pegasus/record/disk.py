"""The files of a run, as the thread that writes them sees them.

Rule 1: nothing here raises: a fault of the disk is told once, by ``on_trouble``.
Rule 2: a line of the journal that could not be written waits for the disk to have room again; a
line that was torn is written again, on a line of its own.
Rule 3: blocks of output are gathered, and written together by ``flush``, or at the job's end.
Rule 4: output that could not be written is gone, and the journal says how much of it, and where.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pegasus import durable
from pegasus.buffers import MOST_BUFFERS, Buffer, without
from pegasus.events import OutputMissing, RunMode
from pegasus.model import Stream
from pegasus.record.encoding import line_of
from pegasus.record.folder import OutputName, RunFolder


class Removed(FileNotFoundError):
    """The record was removed, or moved away, while the run goes on."""


@dataclass(slots=True)
class _File:
    """An output's file.

    Attributes:
        blocks: what was gathered and is to be written.
        fd: None where it could not be opened yet.
        size: bytes in it.
        missing: bytes that are missing at its end.
        words: why.
    """

    blocks: list[bytes] = field(default_factory=list)
    fd: int | None = None
    size: int = 0
    missing: int = 0
    words: str = ""


class Disk:
    """Writes a journal and outputs.

    Args:
        folder: of the run.
        mode: of the run.
        journal_fd: the journal, open for appending; it is closed with the disk.
        on_trouble: is told the first error, and once that the record was Removed.
    """

    def __init__(
        self,
        folder: RunFolder,
        mode: RunMode,
        journal_fd: int,
        on_trouble: Callable[[OSError], None],
    ) -> None:
        self.lines_done = 0
        self._folder = folder
        self._mode = mode
        self._journal = journal_fd
        self._on_trouble = on_trouble
        self._backlog: deque[bytes] = deque()
        self._files: dict[OutputName, _File] = {}
        self._unwritten: dict[OutputName, None] = {}
        self._torn = self._said = self._removed = False

    def write_line(self, line: bytes) -> None:
        """Append a line to the journal, behind those that wait for room."""
        self._backlog.append(line)
        self._write_backlog()
        self.lines_done += 1

    def expect_torn_line(self) -> None:
        """Begin the next line of the journal on a line of its own, whatever stands there."""
        self._torn = True
        self._look()  # somebody else could not write to it

    def gather_output(self, name: OutputName, data: bytes) -> None:
        """Have a block appended to an output; the first byte makes its file."""
        self._files.setdefault(name, _File()).blocks.append(data)
        self._unwritten[name] = None

    def flush(self) -> None:
        """Write what was gathered."""
        while self._unwritten:
            name, _ = self._unwritten.popitem()
            self._write_output(name, self._files[name])

    def close_outputs(self, job: int, sub_node: int) -> None:
        """Close what one command printed."""
        for stream in Stream:
            name = OutputName(job, sub_node, stream)
            if file := self._files.pop(name, None):
                self._close(name, file)

    def close(self) -> None:
        """Close everything."""
        for name, file in self._files.items():
            self._close(name, file)
        self._write_backlog()
        self._look()
        os.close(self._journal)

    @property
    def backlog(self) -> int:
        """How many lines wait for room on the disk."""
        return len(self._backlog)

    def _write_output(self, name: OutputName, file: _File) -> None:
        buffers: list[Buffer] = [*file.blocks]
        file.blocks.clear()
        left = sum(map(len, buffers))
        try:
            fd = self._opened(name, file)
            while left:
                count = os.writev(fd, buffers[:MOST_BUFFERS])
                if file.missing:
                    self._mark_gap(name, file)
                file.size += count
                left -= count
                buffers = without(buffers, count)
        except OSError as error:
            file.missing += left
            file.words = error.strerror or str(error)
            self._note(error)

    def _opened(self, name: OutputName, file: _File) -> int:
        if file.fd is None:
            file.fd = durable.open_private(self._folder.output / name.file_name(self._mode))
            file.size = os.fstat(file.fd).st_size  # more than nothing when a job is tried again
        return file.fd

    def _close(self, name: OutputName, file: _File) -> None:
        if file.blocks:
            self._unwritten.pop(name, None)
            self._write_output(name, file)
        if file.missing:
            self._mark_gap(name, file)
        if file.fd is not None:
            try:
                os.close(file.fd)
            except OSError as error:  # a network file system may say only now that it is full
                self._note(error)

    def _mark_gap(self, name: OutputName, file: _File) -> None:
        gap = OutputMissing(
            name.job, name.sub_node, name.stream, file.size, file.missing, file.words
        )
        line = line_of(gap, time.time())
        self._backlog.append(line)
        file.missing = 0
        self._write_backlog()

    def _write_backlog(self) -> None:
        while self._backlog:
            line = b"\n" + self._backlog[0] if self._torn else self._backlog[0]
            try:
                count = os.write(self._journal, line)
            except OSError as error:
                self._note(error)
                return
            if count == len(line):
                self._torn = False
                self._backlog.popleft()
            elif count:  # the next try says why
                self._torn = line[count - 1] != ord("\n")

    def _look(self) -> None:
        """See whether the journal that is written to is the one that readers find."""
        if self._removed:
            return
        try:
            there = self._folder.journal.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._removed = True
        except OSError:
            return
        else:
            self._removed = not os.path.samestat(there, os.fstat(self._journal))
        if self._removed:
            self._said = True
            self._on_trouble(Removed())

    def _note(self, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            self._look()
        if not self._said:
            self._said = True
            self._on_trouble(error)
