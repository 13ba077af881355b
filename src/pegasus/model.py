"""The value types of Pegasus, which all other modules use.

Rule 1: only frozen data; no behaviour except text for messages.
Rule 2: every text is the user's own, exactly as typed; nothing here converts it.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass, field
from typing import Literal, NewType, TypeAlias

Params: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of parameters, in the order written."""


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a file; lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


TransportKind: TypeAlias = Literal["ssh", "local"]
"""How a sub-node is reached: over SSH, or as a process of this machine."""


@dataclass(frozen=True, slots=True)
class SubNode:
    """One place on a node where one command runs at a time.

    Attributes:
        number: its number in ``hosts.yaml``, from 0; it distinguishes identical sub-nodes.
        hostname: the SSH destination, in the form that ssh accepts.
        params: its parameters, without ``hostname``.
        transport: how it is reached. Its entry in ``hosts.yaml`` decides that.
    """

    number: int
    hostname: str
    params: Params = ()
    transport: TransportKind = "ssh"

    def __str__(self) -> str:
        """Return the name for messages: ``node-1 (container=gpu0)``."""
        if not self.params:
            return self.hostname
        return f"{self.hostname} ({', '.join(f'{name}={value}' for name, value in self.params)})"


@dataclass(frozen=True, slots=True)
class Job:
    """One command template with one value for each parameter: the unit that is taken and run.

    Attributes:
        command: the template.
        params: the values, in the order of the entry.
        position: where its entry begins in the queue file, if it was read from one. It does not
            count when two jobs are compared.
    """

    command: str
    params: Params = ()
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class StepOrigin:
    """Identifies a step of a broadcast by the take that removed it from the queue file.

    Attributes:
        run: the name of the run that took it.
        job: its number in that run.
    """

    run: str
    job: int


Command = NewType("Command", str)
"""The text of a job for one sub-node: rendered and checked. Only ``rendered`` makes one."""


@dataclass(frozen=True, slots=True)
class TakenJob:
    """A job that one take removed from the queue file.

    Attributes:
        number: its number in the run, from 1.
        job: the job, as it was in the file.
        commands: the job rendered, one command for each sub-node that was asked for.
    """

    number: int
    job: Job
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of ``queue.yaml``: commands x parameters, the last varying fastest.

    Attributes:
        commands: at least one command template.
        params: each parameter's name and its values, at least one, in the order written.
        position: the position where the entry begins in its file.
    """

    commands: tuple[str, ...]
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job that was assigned to a sub-node.

    Attributes:
        number: the job's number in the run, from 1; in a broadcast all sub-nodes share it.
        job: the job as it was taken.
        sub_node: the sub-node that runs it.
        command: the job's text, rendered for this sub-node.
        key: where the command is detached, the name of its folder on the node; None otherwise.
    """

    number: int
    job: Job
    sub_node: SubNode
    command: Command
    key: str | None = None


class Stream(enum.Enum):
    """One of the two output streams of a command."""

    STDOUT = "stdout"
    STDERR = "stderr"

    __hash__ = object.__hash__  # a member is one object; Enum's own hash is slow, and asked often


@dataclass(frozen=True, slots=True)
class Exited:
    """The command ended by itself with an exit status, 0 to 255."""

    status: int

    def __str__(self) -> str:
        return f"exit status: {self.status}"


@dataclass(frozen=True, slots=True)
class Killed:
    """A signal that Pegasus did not send ended the command.

    Attributes:
        signal: its number.
        words: who sent it, where that is known; may be empty.
    """

    signal: int
    words: str = ""

    def __str__(self) -> str:
        try:
            name = f" ({signal.Signals(self.signal).name})"
        except ValueError:
            name = ""
        return f"killed by signal {self.signal}{name}" + (f": {self.words}" if self.words else "")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Pegasus ended the command because a user requested it."""

    def __str__(self) -> str:
        return "cancelled"


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Pegasus ended the command because it ran longer than the limit, in seconds."""

    limit: float

    def __str__(self) -> str:
        return f"timed out after {self.limit:g} s"


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection broke while the command ran: whether and how it ended is unknown."""

    words: str

    def __str__(self) -> str:
        return f"lost: {self.words}"


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The command certainly never started."""

    words: str

    def __str__(self) -> str:
        return f"not started: {self.words}"


Outcome: TypeAlias = Exited | Killed | Cancelled | TimedOut | Lost | NotStarted
"""The result of one job on one sub-node."""


@dataclass(frozen=True, slots=True)
class Apart:
    """The connection to a detached command broke; what became of it is to be found on its node.

    Attributes:
        words: why the connection broke.
    """

    words: str


def succeeded(outcome: Outcome) -> bool:
    """Tell whether the outcome is exit status 0."""
    return isinstance(outcome, Exited) and outcome.status == 0
