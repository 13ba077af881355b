"""The record of a run, as readers see it: its folder, and the state that its journal leads to.

Rule 1: a journal is read as far as its last whole line, and on from there when asked again.
Rule 2: whether a run lives is looked up before its journal is read: what is read of a run that was
killed is complete then.
Rule 3: a line that is damaged or unknown is counted and skipped; it changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from pegasus.errors import PegasusError
from pegasus.events import RunBegan
from pegasus.model import Assignment, Stream
from pegasus.record import decoding, fields
from pegasus.record import folder as folders
from pegasus.record.encoding import FORMAT
from pegasus.record.folder import OutputName, RunFolder
from pegasus.run_state import Execution, JobState, RunState

Liveness: TypeAlias = Literal["running", "ended", "died"]
"""Whether a run goes on, came to its end, or was killed."""

_RUN_ENDED = "run_ended"
"""The event of the last line of a run that is over."""

_LAST_LINE = 4096
"""Bytes at the end of a journal that hold this line."""

_CHUNK = 1 << 20
"""Bytes of a journal that are read at once."""


class RunRecord:
    """A run's folder and its state; ``refresh`` reads on.

    Attributes:
        folder: where the record is.
        began: what the first line of the journal contains.
        began_at: when the run began, in seconds since the epoch.
        alive: whether the run's Pegasus lives.
        state: the state of the run, as far as the journal was read.
        beside: the other runs on this queue that go on, as far as they are read.
        damaged: how many lines could not be read.
        unknown: how many lines contain an event that this version does not know.
    """

    def __init__(self, folder: RunFolder, began: RunBegan, began_at: float) -> None:
        self.folder = folder
        self.began = began
        self.began_at = began_at
        self.state = RunState()
        self.state.apply(began, began_at)
        self.beside: Sequence[RunRecord] = ()
        self.damaged = self.unknown = 0
        self._offset = 0
        self._look_alive()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.began.name

    @property
    def liveness(self) -> Liveness:
        """Whether the run goes on, came to its end, or was killed."""
        if self.state.end is not None:
            return "ended"
        return "running" if self.alive else "died"

    @property
    def warnings(self) -> list[str]:
        """What a reader should know about this record, in parts of sentences."""
        warnings = []
        if self.began.format > FORMAT:
            warnings.append(
                f"a newer Pegasus ({self.began.pegasus}) wrote this record; what this one does "
                "not know is left out"
            )
        if self.damaged:
            warnings.append(f"{_lines(self.damaged)} of the journal cannot be read")
        if missing := self.state.lines_missing:
            warnings.append(f"{_lines(missing)} of the journal could not be written to the disk")
        return warnings

    def refresh(self) -> bool:
        """Read on, and tell whether there was anything new.

        Raises:
            PegasusError: the record can't be read.
        """
        was_alive, offset = self.alive, self._offset
        self._look_alive()
        try:
            for line in self._new_lines():
                self._read(line)
        except OSError as error:
            raise PegasusError(
                f"{self.folder.journal}: {error.strerror or error}. Only its owner can read a "
                "record, while it is there."
            ) from error
        return (offset, was_alive) != (self._offset, self.alive)

    def held_beside(self) -> Iterator[tuple[str, Assignment]]:
        """Give the commands of other runs that may hold slots of this one, each with words."""
        for run in self.beside:
            for each in run.state.holding():
                # On two hosts, "localhost" is not the same machine.
                if each.sub_node.transport != "local" or run.began.host == self.began.host:
                    yield f"job {each.number} of run {run.name}", each

    # Files.

    def output(self, job: int, sub_node: int, stream: Stream) -> Path:
        """Give the path of what a job printed on a sub-node; without output there is no file."""
        return self.folder.output / OutputName(job, sub_node, stream).file_name(self.began.mode)

    def printed(self, job: JobState, stream: Stream) -> int:
        """Give how many bytes of a job's output are recorded."""
        # A set: in queue mode all executions of a job share one file.
        files = {self.output(job.number, each.sub_node.number, stream) for each in job.executions}
        return sum(_size(file) for file in files)

    def ends_with_nothing_left(self) -> bool:
        """Return whether the run has said at its end that it has left nothing on nodes.

        Only the end of the journal is read: a queue may have had many long runs.
        """
        return self._last_line().get("left") == 0

    def has_ended(self) -> bool:
        """Return whether the run has said that it ended.

        Only the end of the journal is read.
        """
        return bool(self._last_line())

    def ended_well(self) -> bool:
        """Return whether the run has said at its end that all jobs were run and succeeded.

        Only the end of the journal is read.
        """
        last = self._last_line()
        return (last.get("how"), last.get("exit_status")) == ("done", 0)

    def _last_line(self) -> fields.Data:
        """Read the line in which the run says how it ended; empty where it is not the last one."""
        try:
            with folders.open_to_read(self.folder.journal) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_LINE))
                line, newline, rest = file.read().rpartition(b"\n")
            data = decoding.data_of(line.rpartition(b"\n")[2])
        except (OSError, ValueError):
            return {}
        is_end = bool(newline) and not rest and data.get("event") == _RUN_ENDED
        return data if is_end else {}

    def is_last(self, job: JobState, execution: Execution) -> bool:
        """Return whether no later try printed to the same files."""
        return self._sharing(job, execution)[-1] is execution

    def recorded_before(self, job: JobState, execution: Execution, stream: Stream) -> int:
        """Give at which byte of its file the output of a try begins.

        In queue mode all tries of a job share a file, in a broadcast those on one sub-node. What is
        missing of any of them counts: before this one, nobody else appends.
        """
        sharing = self._sharing(job, execution)
        earlier = sharing[: sharing.index(execution)]
        printed = sum(each.printed.get(stream, 0) for each in earlier)
        return max(0, printed - sum(each.missing.get(stream, 0) for each in sharing))

    def last_bytes(self, job: JobState, execution: Execution, stream: Stream, most: int) -> bytes:
        """Give the end of what a try printed; nothing where it printed nothing or has no file.

        Args:
            job: the job.
            execution: the try.
            stream: which stream.
            most: bytes at most.
        """
        sharing = self._sharing(job, execution)
        later = sharing[sharing.index(execution) + 1 :]
        begin = self.recorded_before(job, execution, stream)
        try:
            with folders.open_to_read(
                self.output(job.number, execution.sub_node.number, stream)
            ) as file:
                end = os.fstat(file.fileno()).st_size
                if later:
                    end = min(end, self.recorded_before(job, later[0], stream))
                begin = max(begin, end - most)
                file.seek(begin)
                return file.read(max(0, end - begin))
        except OSError:  # it was removed, or another user's
            return b""

    def _sharing(self, job: JobState, execution: Execution) -> list[Execution]:
        if self.began.mode == "queue":
            return job.executions
        return [each for each in job.executions if each.sub_node == execution.sub_node]

    def size(self) -> int:
        """Give the size of the record in bytes: the journal, and the output so far."""
        total = _size(self.folder.journal) + self.state.recorded_bytes
        for job in self.state.open_jobs.values():
            total += sum(self._size_of(job, each) for each in job.executions if _is_unended(each))
        return max(total, 0)  # a damaged line may have hidden what was printed

    def _size_of(self, job: JobState, execution: Execution) -> int:
        number = execution.sub_node.number
        return sum(_size(self.output(job.number, number, stream)) for stream in Stream)

    # Reading.

    def is_alive(self) -> bool:
        """Look whether the run's Pegasus lives; it is cheap, and reads no journal."""
        return folders.is_held(self.folder, self.began, self.state.follower)

    def _look_alive(self) -> None:
        self.alive = self.is_alive()
        self.state.interrupted = not self.alive

    def _new_lines(self) -> Iterator[bytes]:
        with folders.open_to_read(self.folder.journal) as file:
            file.seek(self._offset)
            rest = b""
            while chunk := file.read(_CHUNK):
                whole, newline, rest = (rest + chunk).rpartition(b"\n")
                self._offset += len(whole) + len(newline)
                yield from filter(None, whole.split(b"\n"))

    def _read(self, line: bytes) -> None:
        try:
            data = decoding.data_of(line)
            at = data.get("at")
            if type(at) is not float or not 0.0 <= at <= fields.LATEST_TIME:
                at = fields.moment(data, "at")
            event = decoding.event_of(data, self.state)
            if event is not None:
                self.state.apply(event, at)
            elif data["event"] != "run_started":
                self.unknown += 1
                self.state.last_at = at
        except (ValueError, KeyError):  # a field is wrong, or a job or a sub-node is unknown
            self.damaged += 1


def _is_unended(execution: Execution) -> bool:
    return execution.outcome is None


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
