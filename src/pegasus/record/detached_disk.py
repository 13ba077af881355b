"""The journal and the outputs of a run with detached commands; used by the thread that writes them.

Another Pegasus may follow a detached command later, from the byte at which its record ends. So,
beside the rules of ``disk``:

Rule 1: what is recorded of an output has no gap: a block that could not be written is kept, and
written later. Whoever shows output waits meanwhile, which keeps what is kept bounded.
Rule 2: the end of a command is in the journal only when all of its output is in its files.
Rule 3: what was written since the last sync is known, and stays open until it is synced.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pegasus.buffers import Buffer
from pegasus.events import RunMode
from pegasus.model import Stream
from pegasus.record.disk import CommandName, OutputFile, RunFiles
from pegasus.record.folder import OutputName, RunFolder, output_stem


@dataclass(frozen=True, slots=True)
class Unsynced:
    """What was written since the last sync.

    Attributes:
        fds: of the files; who syncs them closes them, or gives them back.
        folders: folders with new entries.
        waits: whether lines of the journal wait for room.
        incomplete: the names, without suffixes, of outputs that are not completely written.
        held: those of them whose commands have ended.
        gone: whether the record was removed.
    """

    fds: Sequence[int] = ()
    folders: Sequence[Path] = ()
    waits: bool = False
    incomplete: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    gone: bool = False


class DetachedRunFiles(RunFiles):
    """Writes a journal and outputs without gaps; see ``RunFiles``.

    Args:
        folder: of the run.
        mode: of the run.
        journal_fd: the journal, open for appending; ``close`` closes it.
        on_trouble: called with the first error, and once with RecordRemoved.

    Attributes:
        stuck: the outputs with blocks that could not be written; readable from any thread.
    """

    def __init__(
        self,
        folder: RunFolder,
        mode: RunMode,
        journal_fd: int,
        on_trouble: Callable[[OSError], None],
    ) -> None:
        super().__init__(folder, mode, journal_fd, on_trouble)
        self.stuck: dict[OutputName, None] = {}
        self._held: dict[str, deque[bytes]] = {}  # lines that wait for an output, by its name
        self._ended: dict[str, CommandName] = {}  # whose lines these are
        self._dirty: dict[OutputName, None] = {}
        self._unsynced: dict[tuple[int, int], int] = {}  # closed otherwise, by device and inode
        records = folder.path.parent
        self._new_entries = dict.fromkeys((records.parent, records, folder.path))

    def write_line(self, line: bytes, about: CommandName | None = None) -> None:
        """Append a line, after those that wait for the same output."""
        held = self._held.get(self._stem(about)) if about and self._held else None
        if held is None:
            super().write_line(line)
        else:
            held.append(line)
            self.lines_done += 1

    def gather_output(self, name: OutputName, data: bytes) -> None:
        """Gather a block for an output, after those that could not be written yet."""
        if name in self.stuck:
            self._files[name].blocks.append(data)
        else:
            super().gather_output(name, data)

    def flush(self) -> None:
        """Write the gathered blocks, and what waited for them."""
        super().flush()
        for stem, command in list(self._ended.items()):
            if not self._is_stuck(command):
                lines = self._held.pop(stem)
                del self._ended[stem]
                super().close_outputs(*command)
                self._backlog.extend(lines)
                self._write_backlog()

    def retry(self) -> None:
        """Write what could not be written before."""
        self._check_removed()
        for name in list(self.stuck):
            file = self._files[name]
            self._write_output(name, file)
            if not file.blocks:
                self.stuck.pop(name, None)
        self.flush()
        self._write_backlog()

    def close_outputs(self, job: int, sub_node: int) -> None:
        """Close the outputs of one command; lines about it wait until they are complete."""
        for name in _names(job, sub_node):
            if name in self._unwritten:
                del self._unwritten[name]
                self._write_output(name, self._files[name])
        if self._is_stuck((job, sub_node)):
            stem = self._stem((job, sub_node))
            self._held.setdefault(stem, deque())
            self._ended[stem] = job, sub_node
        else:
            super().close_outputs(job, sub_node)

    def collect(self) -> Unsynced:
        """Write what waits, and give what is not synced yet; it counts as synced from now on.

        Raises:
            OSError: a file cannot be opened once more; nothing has changed.
        """
        self.retry()
        fds = [os.dup(self._journal)]
        try:
            for name in self._dirty:
                fds.extend(self._files[name].another_fd())
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        fds += self._unsynced.values()
        folders = list(self._new_entries)
        self._dirty, self._unsynced, self._new_entries = {}, {}, {}
        held = frozenset(self._held)
        stuck = frozenset(self._stem((name.job, name.sub_node)) for name in self.stuck)
        return Unsynced(fds, folders, bool(self._backlog), stuck | held, held, self._removed)

    def take_back(self, found: Unsynced | None, error: OSError) -> None:
        """Report that a sync failed; what was to be synced is so no more than before."""
        self._report(error)
        if found is not None:
            self._new_entries.update(dict.fromkeys(found.folders))
            for fd in found.fds:
                self._keep_unsynced(fd)

    def _keep_unsynced(self, fd: int) -> None:
        status = os.fstat(fd)
        kept = self._unsynced.setdefault((status.st_dev, status.st_ino), fd)
        if kept != fd:
            os.close(fd)

    def close(self) -> None:
        """Write what waits, and close everything; a line that waits for an output is left out."""
        self.retry()
        super().close()
        for fd in self._unsynced.values():
            os.close(fd)

    def _stem(self, command: CommandName) -> str:
        return output_stem(*command, self._mode)

    def _is_stuck(self, command: CommandName) -> bool:
        return any(name in self.stuck for name in _names(*command))

    def _write_output(self, name: OutputName, file: OutputFile) -> None:
        size, is_new = file.size, file.fd is None
        super()._write_output(name, file)
        if file.size > size:
            self._dirty[name] = None
        if is_new and file.fd is not None:
            self._new_entries[self._folder.output] = None

    def _leave_out(
        self, name: OutputName, file: OutputFile, buffers: Sequence[Buffer], error: OSError
    ) -> None:
        if self._removed:
            super()._leave_out(name, file, buffers, error)
            file.missing = 0  # nobody would read of the gap
        else:
            file.blocks = [*buffers]
            self.stuck[name] = None

    def _close(self, name: OutputName, file: OutputFile) -> None:
        if name in self._dirty and file.fd is not None:
            del self._dirty[name]
            with suppress(OSError):
                self._keep_unsynced(os.dup(file.fd))
        super()._close(name, file)


def _names(job: int, sub_node: int) -> list[OutputName]:
    return [OutputName(job, sub_node, stream) for stream in Stream]
