"""What can happen in a run, as frozen types, and the protocol of those who listen.

Rule 1: an event is a fact in the past tense. It carries no clock and no text for the screen.
Rule 2: dispatch and sessions emit events. Listeners (screen, record, run state) receive them and
do not know each other.
Rule 3: the journal holds the same events: each line decodes to one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from pegasus.events.slots import AllocationChanged as AllocationChanged
from pegasus.events.slots import AllocationState as AllocationState
from pegasus.events.slots import Awaited as Awaited
from pegasus.events.slots import BarrierPassed as BarrierPassed
from pegasus.events.slots import Probed as Probed
from pegasus.events.slots import SlotSeen as SlotSeen
from pegasus.events.slots import WaitingFor as WaitingFor
from pegasus.model import Assignment, Job, Outcome, StepOrigin, Stream, SubNode

RunMode: TypeAlias = Literal["queue", "broadcast"]
"""Whether each job runs once, or on every sub-node."""

RunResult: TypeAlias = Literal["done", "drained", "aborted", "failed", "left"]
"""How a run ended: all jobs were run; a person or a failed job ended the taking; a person ended
the commands; an error ended the run; or a person left it, and its detached commands go on."""

OutputSizes: TypeAlias = Mapping[Stream, int]
"""How many bytes a command has written to each of its streams; a stream without an entry: 0."""


@dataclass(frozen=True, slots=True)
class RunBegan:
    """A run began.

    Attributes:
        name: its name.
        number: its number, higher than that of each earlier run of its folder; None where it is
            not recorded, or where a version of Pegasus without such numbers recorded it.
        mode: whether each job runs once, or on every sub-node.
        queue_file: the real path of the queue file.
        hosts_file: its path as the user gave it.
        sub_nodes: all sub-nodes at the beginning.
        pid: the process ID of Pegasus.
        host: the machine on which Pegasus runs.
        locked: whether the run could lock its record.
        format: the version of the journal's format.
        pegasus: the version of Pegasus.
        detached: whether the run's commands are detached.
        boot: identifies the time since the last start of the host of Pegasus; empty where unknown.
        resumes: the name of the run whose broadcast this one continues; empty where it is a new
            one.
    """

    name: str
    number: int | None
    mode: RunMode
    queue_file: str
    hosts_file: str
    sub_nodes: tuple[SubNode, ...]
    pid: int
    host: str
    locked: bool
    format: int
    pegasus: str
    detached: bool = False
    boot: str = ""
    resumes: str = ""


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run came to its end.

    Attributes:
        exit_status: what the shell gets; None where an error left no time to determine it.
        result: how the run ended.
        left: how many folders of detached commands may be left on nodes; None in a run without
            detached commands.
        reason: the message of the error that ended it; empty where none did.
    """

    exit_status: int | None
    result: RunResult
    left: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunDraining:
    """The run takes nothing more; what runs goes on to its end, or is being ended."""


@dataclass(frozen=True, slots=True)
class RunPaused:
    """A user paused the run: it takes and starts nothing until ``RunResumed``."""


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A user let a paused run go on."""


@dataclass(frozen=True, slots=True)
class SubNodeAdded:
    """A sub-node was added to ``hosts.yaml`` during the run."""

    sub_node: SubNode


@dataclass(frozen=True, slots=True)
class Connected:
    """A sub-node is ready for jobs."""

    sub_node: SubNode


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A sub-node could not be connected to, or its connection broke.

    Attributes:
        words: ssh's own error text.
        again_in: seconds until the next try; None where there will be none.
    """

    sub_node: SubNode
    words: str
    again_in: float | None


@dataclass(frozen=True, slots=True)
class Missing:
    """A broadcast goes on without a sub-node, since it cannot be reached.

    Attributes:
        words: ssh's own error text.
    """

    sub_node: SubNode
    words: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A job was removed from the queue file and recorded in ``consumed.yaml``.

    Attributes:
        number: its number in the run.
        resumes: where an earlier run has removed it, and this run continues it; else None.
    """

    number: int
    job: Job
    resumes: StepOrigin | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A command was handed to its sub-node."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Returned:
    """A command certainly never started on its sub-node; another sub-node gets the job.

    Attributes:
        words: why.
    """

    assignment: Assignment
    words: str


@dataclass(frozen=True, slots=True)
class Printed:
    """A command wrote bytes; they come as they were read, not line by line."""

    assignment: Assignment
    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Progressed:
    """A command has printed more; emitted now and then while it prints, not for each read.

    Attributes:
        printed: how many bytes it has written since it started.
    """

    assignment: Assignment
    printed: OutputSizes


@dataclass(frozen=True, slots=True)
class Stalled:
    """A command has printed nothing for long; reported once for each silence, see ``--stall``.

    The next ``Progressed`` of the command ends the silence.

    Attributes:
        seconds: for how long it has printed nothing.
    """

    assignment: Assignment
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A command ended, with whatever outcome.

    Attributes:
        seconds: how long it ran.
        again: whether the job will be tried once more; otherwise the outcome is final.
        printed: how many bytes it has written.
    """

    assignment: Assignment
    outcome: Outcome
    seconds: float
    again: bool = False
    printed: OutputSizes = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder for the next detached command was made on a sub-node.

    Attributes:
        key: its name.
    """

    sub_node: SubNode
    key: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """A folder in which no command ever started was removed from a sub-node.

    Attributes:
        key: its name.
    """

    sub_node: SubNode
    key: str


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Another Pegasus took over the detached commands of a run whose own Pegasus had ended.

    Attributes:
        pid: the process ID of that Pegasus.
        host: the machine on which it runs.
        by: the name of its own run; empty for ``pegasus attach``.
        boot: as in ``RunBegan``, of that machine.
    """

    pid: int
    host: str
    by: str
    boot: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection to a detached command broke; the command goes on, as far as is known.

    Attributes:
        words: why.
    """

    assignment: Assignment
    words: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """A detached command is followed again, after ``Cut`` or after another Pegasus had ended."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class StopStored:
    """A user ended a detached command that could not be reached; it is ended once it can be."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Released:
    """The folder of a detached command that has ended was removed from its node."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Noted:
    """A message for the user: a wait, a fault in a file, a stage of the end."""

    text: str


@dataclass(frozen=True, slots=True)
class LinesMissing:
    """Lines of the journal could not be written."""

    lines: int


@dataclass(frozen=True, slots=True)
class OutputMissing:
    """Bytes of a command's output could not be written to the record.

    Attributes:
        number: the job's number in the run.
        sub_node: the sub-node's number.
        stream: which output.
        at_byte: the size of the file before the gap.
        size: how many bytes are missing there.
        words: why.
    """

    number: int
    sub_node: int
    stream: Stream
    at_byte: int
    size: int
    words: str


Event: TypeAlias = (
    RunBegan
    | RunEnded
    | RunDraining
    | RunPaused
    | RunResumed
    | SubNodeAdded
    | Connected
    | Unreachable
    | Missing
    | Taken
    | Started
    | Returned
    | Progressed
    | Stalled
    | Ended
    | Prepared
    | Discarded
    | TakenOver
    | Cut
    | Reconnected
    | StopStored
    | Released
    | Probed
    | Awaited
    | BarrierPassed
    | AllocationChanged
    | Noted
    | LinesMissing
    | OutputMissing
)
"""Everything but output. To emit an event never waits."""


class Listener(Protocol):
    """Receives the events and the output of a run."""

    def tell(self, event: Event) -> None:
        """Receive an event; never waits, never fails."""

    async def show(self, printed: Printed) -> None:
        """Receive a command's output; may wait, which delays only the command that prints."""
