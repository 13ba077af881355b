"""The nouns of Pegasus, as frozen types: what every other room talks about.

Rule 1: nothing here does anything; it only says what things are.
Rule 2: every text is the user's own, exactly as typed; nothing here converts one.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from typing import NewType, TypeAlias

Params: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of parameters, in the order in which they were written."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands; lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class SubNode:
    """One place on a node where one command runs at a time.

    Attributes:
        number: its number in ``hosts.yaml``, from 0; two alike differ in it.
        hostname: the SSH destination, as ssh takes it.
        params: its parameters, without ``hostname``.
    """

    number: int
    hostname: str
    params: Params = ()

    def __str__(self) -> str:
        """Give the name that people see: ``node-1 (container=gpu0)``."""
        if not self.params:
            return self.hostname
        return f"{self.hostname} ({', '.join(f'{name}={value}' for name, value in self.params)})"


@dataclass(frozen=True, slots=True)
class Job:
    """One command template with one value for each of its parameters: what is taken and run."""

    command: str
    params: Params = ()


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
    """What the user wrote in ``queue.yaml``: commands x parameters, the last varying fastest.

    Attributes:
        commands: at least one command template.
        params: each parameter's name and its values, at least one, in the order written.
        place: where the entry begins in its file.
    """

    commands: tuple[str, ...]
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job given to a sub-node.

    Attributes:
        number: the job's number in the run, from 1; in a broadcast all sub-nodes share it.
        job: the job as it was taken.
        sub_node: where it runs.
        command: the job, rendered for this sub-node.
    """

    number: int
    job: Job
    sub_node: SubNode
    command: Command


class Stream(enum.Enum):
    """One of a command's two outputs."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class Exited:
    """The command ended by itself with an exit status, 0 to 255."""

    status: int

    def __str__(self) -> str:
        return f"exit status: {self.status}"


@dataclass(frozen=True, slots=True)
class Killed:
    """The command was ended by a signal that Pegasus did not send."""

    signal: int

    def __str__(self) -> str:
        try:
            name = f" ({signal.Signals(self.signal).name})"
        except ValueError:
            name = ""
        return f"killed by signal {self.signal}{name}"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Pegasus ended the command because a person asked for it."""

    def __str__(self) -> str:
        return "cancelled"


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Pegasus ended the command because it ran longer than it was allowed to (in seconds)."""

    limit: float

    def __str__(self) -> str:
        return f"timed out after {self.limit:g} s"


@dataclass(frozen=True, slots=True)
class Lost:
    """The way to the command broke while it ran: nobody knows how it ended, or whether."""

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
"""What became of one job on one sub-node."""


def succeeded(outcome: Outcome) -> bool:
    """Tell whether the outcome is the one that everybody hopes for: exit status 0."""
    return outcome == Exited(0)
