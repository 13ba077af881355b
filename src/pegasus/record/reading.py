"""What the journals of runs come to.

Rule 1: a journal is read as far as its last whole line, and on from there when asked again.
Rule 2: whether a run lives is asked before its journal is read: what is read of a dead run is all
there ever will be.
Rule 3: nothing here is surprised: a line that is broken or unknown is counted, and passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pegasus import summary
from pegasus.errors import PegasusError
from pegasus.model import Job, Lost, Outcome, Stream, SubNode
from pegasus.record import fields, journal
from pegasus.record import folder as folders
from pegasus.record.fields import Data
from pegasus.record.folder import OutputName, RunFolder
from pegasus.record.journal import FORMAT, Facts

DIED = Lost("interrupted by the death of Pegasus")
"""What became of whatever ran when Pegasus died."""

DIED_BEFORE = Lost("taken, and not seen to start before the death of Pegasus")
"""What became of a job that a Pegasus had taken when it died, and nothing more."""

RunState: TypeAlias = Literal["running", "ended", "died"]

_CHUNK = 1 << 22
"""Bytes to read of a journal at once."""


@dataclass(slots=True)
class Execution:
    """A command on a sub-node.

    Attributes:
        sub_node: its number.
        command: the job filled in; None where it never started.
        started_at: seconds since the epoch; None where it never started.
        ended_at: the same; None where no end is known.
        outcome: what became of it; None where no end is known, see ``RunRecord.outcome_of``.
        seconds: how long it took.
        again: whether the job was to be tried once more after this end.
        printed: how many bytes it wrote, by stream; known at its end.
        missing: how many of them the disk had no room for, by stream.
        rank: by which those that ended are ordered, the latest last; 0 where no end is known.
    """

    sub_node: int
    command: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    seconds: float | None = None
    again: bool = False
    printed: dict[Stream, int] = field(default_factory=dict)
    missing: dict[Stream, int] = field(default_factory=dict)
    rank: int = 0


@dataclass(slots=True)
class JobRecord:
    """A job that was taken.

    Attributes:
        number: in the run.
        job: exactly as it was taken.
        taken_at: seconds since the epoch.
        executions: in the order in which they started; those that were returned are not there.
    """

    number: int
    job: Job
    taken_at: float
    executions: list[Execution] = field(default_factory=list)

    def latest(self, sub_node: int) -> Execution | None:
        """Give the last execution on a sub-node."""
        for execution in reversed(self.executions):
            if execution.sub_node == sub_node:
                return execution
        return None


@dataclass(slots=True)
class SubNodeRecord:
    """A sub-node, and the way to it.

    Attributes:
        sub_node: it.
        state: what is known of the way to it.
        words: ssh's own, where it cannot be reached.
    """

    sub_node: SubNode
    state: Literal["connecting", "connected", "unreachable"] = "connecting"
    words: str = ""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run, as it said itself.

    Attributes:
        at: seconds since the epoch.
        exit_status: what the shell got; None where an error left no time to say.
        how: ``done``, ``drained``, ``aborted`` or ``failed``.
    """

    at: float
    exit_status: int | None
    how: str


class RunRecord:
    """What the journal of a run comes to; ``refresh`` reads on.

    Attributes:
        folder: where it is.
        facts: what its first line says.
        alive: whether the run goes on.
        jobs: by number, in the order in which they were taken.
        sub_nodes: by number.
        end: how it ended; None where it goes on or died.
        broken: how many lines could not be read.
        unknown: how many say what this version does not know.
        gaps: how many lines are missing because the disk had no room for them.
        last_at: when the last thing happened, in seconds since the epoch.
    """

    def __init__(self, folder: RunFolder, facts: Facts) -> None:
        self.folder = folder
        self.facts = facts
        self.alive = folders.is_held(folder, facts)
        self.jobs: dict[int, JobRecord] = {}
        self.sub_nodes = {each.number: SubNodeRecord(each) for each in facts.sub_nodes}
        self.end: RunEnd | None = None
        self.broken = self.unknown = self.gaps = 0
        self.last_at = facts.started_at
        self._offset = self._ends = 0
        self._handlers: dict[str, Callable[[Data, float], None]] = {
            "run_started": lambda *_: None,
            "sub_node": self._sub_node,
            "connected": self._connected,
            "unreachable": self._unreachable,
            "taken": self._taken,
            "started": self._started,
            "returned": self._returned,
            "ended": self._ended,
            "noted": lambda *_: None,
            "gap": self._gap,
            "run_ended": self._run_ended,
        }

    @property
    def name(self) -> str:
        """The run's name."""
        return self.facts.name

    @property
    def state(self) -> RunState:
        """Whether the run goes on, came to its end, or was killed."""
        if self.end is not None:
            return "ended"
        return "running" if self.alive else "died"

    @property
    def warnings(self) -> list[str]:
        """Say what a reader should know about this record."""
        says = []
        if self.facts.format > FORMAT:
            says.append(
                f"a newer Pegasus ({self.facts.pegasus}) wrote this record; what this one does "
                "not know is left out"
            )
        if self.broken:
            says.append(f"{self.broken} lines of the journal are broken")
        if self.gaps:
            says.append(f"{self.gaps} lines of the journal are missing: the disk took no more")
        return says

    def refresh(self) -> bool:
        """Read on, and tell whether there was anything new.

        Raises:
            PegasusError: the record can't be read.
        """
        was_alive, self.alive = self.alive, folders.is_held(self.folder, self.facts)
        offset = self._offset
        try:
            for line in self._new_lines():
                self._read(line)
        except OSError as error:
            raise PegasusError(
                f"{self.folder.journal}: {error.strerror or error}. Only its owner can read a "
                "record, while it is there."
            ) from error
        return (offset, was_alive) != (self._offset, self.alive)

    # What it comes to.

    def outcome_of(self, execution: Execution) -> Outcome | None:
        """Tell how a command ended; None while it runs."""
        return DIED if execution.outcome is None and self._is_over else execution.outcome

    def final(self, job: JobRecord) -> list[Execution]:
        """Give what counts of a job: the last execution, in a broadcast the last on each node."""
        if self.facts.mode == "queue":
            return job.executions[-1:]
        return list({each.sub_node: each for each in job.executions}.values())

    def outcomes(self, job: JobRecord) -> list[Outcome | None]:
        """Tell what became of a job, for each execution that counts; None stands for not yet.

        A job that is to be tried once more has not come to its end, while the run goes on.
        """
        final = self.final(job)
        if not final:
            return [DIED_BEFORE if self._is_over else None]
        return [
            None if each.again and not self._is_over else self.outcome_of(each) for each in final
        ]

    def running(self) -> Iterator[tuple[JobRecord, Execution]]:
        """Give what runs now."""
        if not self._is_over:
            for job in self.jobs.values():
                yield from ((job, each) for each in self.final(job) if each.outcome is None)

    def counts(self) -> dict[str, int]:
        """Count commands by what became of them; ``running`` and ``taken`` are none yet."""
        return Counter(word for job in self.jobs.values() for word in self.words_of(job))

    def words_of(self, job: JobRecord) -> list[str]:
        """Give, for each outcome of a job, the word by which it is counted.

        It is ``running``, or ``taken`` for a job that waits for a sub-node, for the first time
        or once more.
        """
        words = []
        executions: list[Execution | None] = [*self.final(job)] or [None]
        for execution, outcome in zip(executions, self.outcomes(job), strict=True):
            if outcome is not None:
                words.append(summary.kind(outcome))
            else:
                runs = execution is not None and execution.outcome is None
                words.append("running" if runs else "taken")
        return words

    def output(self, job: int, sub_node: int, stream: Stream) -> Path:
        """Give the path of what a job printed on a sub-node; there is no file for nothing."""
        return self.folder.output / OutputName(job, sub_node, stream).file_name(self.facts.mode)

    def printed(self, job: JobRecord, stream: Stream) -> int:
        """Give how many bytes of a job's output are recorded."""
        # A set: in a queue all executions of a job share one file.
        files = {self.output(job.number, each.sub_node, stream) for each in job.executions}
        return sum(_size(file) for file in files)

    def size(self) -> int:
        """Give the bytes of the record: its journal, and what was printed so far."""
        total = _size(self.folder.journal)
        for job in self.jobs.values():
            for execution in job.executions:
                if execution.outcome is not None:
                    total += sum(execution.printed.values()) - sum(execution.missing.values())
                else:
                    files = [self.output(job.number, execution.sub_node, each) for each in Stream]
                    total += sum(_size(file) for file in files)
        return max(total, 0)  # a broken line may have hidden what was printed

    @property
    def _is_over(self) -> bool:
        return self.end is not None or not self.alive

    # Reading.

    def _new_lines(self) -> Iterator[bytes]:
        with folders.open_to_read(self.folder.journal) as file:
            file.seek(self._offset)
            rest = b""
            while chunk := file.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._offset += len(line) + 1
                    if line:
                        yield line

    def _read(self, line: bytes) -> None:
        try:
            data = journal.data_of(line)
            at = fields.moment(data, "at")
            handler = self._handlers.get(data["event"])
            if handler is None:
                self.unknown += 1
            else:
                handler(data, at)
            self.last_at = at
        except (ValueError, KeyError):  # a field, or a job or a sub-node that nobody has heard of
            self.broken += 1

    # Each handler reads all fields before it changes anything: a broken line changes nothing.

    def _sub_node(self, data: Data, _: float) -> None:
        sub_node = journal.sub_node_of(data)
        self.sub_nodes[sub_node.number] = SubNodeRecord(sub_node)

    def _connected(self, data: Data, _: float) -> None:
        record = self.sub_nodes[fields.whole(data, "sub_node")]
        record.state, record.words = "connected", ""

    def _unreachable(self, data: Data, _: float) -> None:
        record, words = self.sub_nodes[fields.whole(data, "sub_node")], fields.text(data, "words")
        record.state, record.words = "unreachable", words

    def _taken(self, data: Data, at: float) -> None:
        number = fields.whole(data, "job", least=1)
        job = Job(fields.text(data, "command"), journal.params_of(data))
        self.jobs[number] = JobRecord(number, job, at)

    def _started(self, data: Data, at: float) -> None:
        job, number = self._job(data), fields.whole(data, "sub_node")
        job.executions.append(Execution(number, fields.text(data, "command"), at))

    def _job(self, data: Data) -> JobRecord:
        return self.jobs[fields.whole(data, "job")]

    def _returned(self, data: Data, _: float) -> None:
        job = self._job(data)
        execution = job.latest(fields.whole(data, "sub_node"))
        if execution is not None and execution.outcome is None:
            job.executions.remove(execution)

    def _ended(self, data: Data, at: float) -> None:
        job, number = self._job(data), fields.whole(data, "sub_node")
        outcome = journal.outcome_of(fields.part(data, "outcome"))
        seconds, again = fields.seconds(data, "seconds"), fields.flag(data, "again")
        printed = {stream: fields.whole(data, stream.value) for stream in Stream}
        execution = job.latest(number)
        known = execution is not None and (execution.outcome is None or execution.again)
        if execution is None or not known:  # it never started
            execution = Execution(number)
            job.executions.append(execution)
        self._ends += 1
        execution.rank = self._ends
        execution.ended_at, execution.seconds = at, seconds
        execution.printed = printed
        execution.outcome, execution.again = outcome, again

    def _gap(self, data: Data, _: float) -> None:
        if "lines" in data:
            self.gaps += fields.whole(data, "lines")
        elif execution := self._job(data).latest(fields.whole(data, "sub_node")):
            stream, count = Stream(fields.text(data, "stream")), fields.whole(data, "bytes")
            execution.missing[stream] = execution.missing.get(stream, 0) + count

    def _run_ended(self, data: Data, at: float) -> None:
        status = fields.maybe(fields.whole, data, "exit_status")
        self.end = RunEnd(at, status, fields.text(data, "how"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
