"""The journal and the output files of a run; used by the thread that writes them.

Rule 1: nothing here raises: a fault of the disk is reported once, to ``on_trouble``.
Rule 2: a line of the journal that could not be written waits until the disk has room again; a
line that was written in part is written again, on a line of its own.
Rule 3: blocks of output are gathered, and written together by ``flush``, or at the job's end.
Rule 4: output that could not be written is lost, and the journal records how much, and where.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pegasus import durable
from pegasus.buffers import MOST_BUFFERS, Buffer, without
from pegasus.events import OutputMissing, RunMode
from pegasus.model import Stream
from pegasus.record.encoding import line_of
from pegasus.record.folder import OutputName, RunFolder

CommandName: TypeAlias = tuple[int, int]
"""Identifies a command that runs: the numbers of its job and of its sub-node."""


class RecordRemoved(FileNotFoundError):
    """The record was removed or moved during the run."""


@dataclass(slots=True)
class OutputFile:
    """The file of one output.

    Attributes:
        blocks: the blocks that were gathered and are not written yet.
        fd: the open file; None where it could not be opened yet.
        size: bytes in it.
        missing: bytes that are missing at its end.
        words: the reason.
    """

    blocks: list[Buffer] = field(default_factory=list)
    fd: int | None = None
    size: int = 0
    missing: int = 0
    words: str = ""

    def another_fd(self) -> list[int]:
        """Open the file once more; nothing where it is not open."""
        return [] if self.fd is None else [os.dup(self.fd)]


class RunFiles:
    """Writes a journal and outputs.

    Args:
        folder: of the run.
        mode: of the run.
        journal_fd: the journal, open for appending; ``close`` closes it.
        on_trouble: called with the first error, and once with RecordRemoved.

    Attributes:
        lines_done: how many lines were handed over so far.
        reported: whether an error was reported.
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
        self._files: dict[OutputName, OutputFile] = {}
        self._unwritten: dict[OutputName, None] = {}
        self._torn = self._removed = False
        self.reported = False

    def write_line(self, line: bytes, about: CommandName | None = None) -> None:  # noqa: ARG002
        """Append a line to the journal, after those that wait for room.

        Args:
            line: with its newline.
            about: the command that it is about, for a class that keeps back its lines.
        """
        self._backlog.append(line)
        self._write_backlog()
        self.lines_done += 1

    def expect_torn_line(self) -> None:
        """Begin the next line of the journal on a line of its own, whatever is before it."""
        self._torn = True
        self._check_removed()  # another writer could not write to it

    def gather_output(self, name: OutputName, data: bytes) -> None:
        """Gather a block for an output; the first one makes its file when it is written."""
        self._files.setdefault(name, OutputFile()).blocks.append(data)
        self._unwritten[name] = None

    def flush(self) -> None:
        """Write the gathered blocks."""
        while self._unwritten:
            name, _ = self._unwritten.popitem()
            self._write_output(name, self._files[name])

    def close_outputs(self, job: int, sub_node: int) -> None:
        """Close the outputs of one command."""
        for stream in Stream:
            name = OutputName(job, sub_node, stream)
            if file := self._files.pop(name, None):
                self._close(name, file)

    def close(self) -> None:
        """Write what waits, and close everything."""
        for name, file in self._files.items():
            self._close(name, file)
        self._write_backlog()
        self._check_removed()
        os.close(self._journal)

    @property
    def backlog(self) -> int:
        """The number of lines that wait for room on the disk."""
        return len(self._backlog)

    def _write_output(self, name: OutputName, file: OutputFile) -> None:
        buffers, file.blocks = file.blocks, []
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
            self._report(error)
            self._leave_out(name, file, buffers, error)

    def _leave_out(
        self,
        name: OutputName,  # noqa: ARG002 -- for a class that keeps them
        file: OutputFile,
        buffers: Sequence[Buffer],
        error: OSError,
    ) -> None:
        """Handle what could not be written of an output."""
        file.missing += sum(map(len, buffers))
        file.words = error.strerror or str(error)

    def _opened(self, name: OutputName, file: OutputFile) -> int:
        if file.fd is None:
            file.fd = durable.open_private(self._folder.output / name.file_name(self._mode))
            file.size = os.fstat(file.fd).st_size  # not 0 when a job is tried again
        return file.fd

    def _close(self, name: OutputName, file: OutputFile) -> None:
        if file.blocks:
            self._unwritten.pop(name, None)
            self._write_output(name, file)
        if file.missing:
            self._mark_gap(name, file)
        if file.fd is not None:
            self._close_fd(file.fd)

    def _close_fd(self, fd: int) -> None:
        try:
            os.close(fd)
        except OSError as error:  # a network file system may report only now that it is full
            self._report(error)

    def _mark_gap(self, name: OutputName, file: OutputFile) -> None:
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
                self._report(error)
                return
            if count == len(line):
                self._torn = False
                self._backlog.popleft()
            elif count:  # the next try raises the reason
                self._torn = line[count - 1] != ord("\n")

    def _check_removed(self) -> None:
        """Check that the journal that is written is still the one that readers find."""
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
            self.reported = True
            self._on_trouble(RecordRemoved())

    def _report(self, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            self._check_removed()
        if not self.reported:
            self.reported = True
            self._on_trouble(error)
