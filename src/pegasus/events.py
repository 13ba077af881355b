"""What can happen in a run, as frozen types, and who may be told of it.

Rule 1: events are facts in the past tense; they carry no clock and no text for the screen.
Rule 2: dispatch and sessions tell; the screen and the record listen, and know nothing of
each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pegasus.model import Assignment, Job, Outcome, Stream, SubNode


@dataclass(frozen=True, slots=True)
class Connected:
    """A sub-node can take jobs now."""

    sub_node: SubNode


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A sub-node could not be connected to, or its connection broke.

    Attributes:
        words: ssh's own words.
        again_in: seconds until the next try; None where there will be none.
    """

    sub_node: SubNode
    words: str
    again_in: float | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A job left the queue file and stands in ``consumed.yaml`` now."""

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class Started:
    """A command was handed to its sub-node."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Returned:
    """A command certainly never started on its sub-node; another one gets the job.

    Attributes:
        words: why.
    """

    assignment: Assignment
    words: str


@dataclass(frozen=True, slots=True)
class Printed:
    """A command wrote bytes; pieces come as they were read, not line by line."""

    assignment: Assignment
    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A command ended, one way or another.

    Attributes:
        seconds: how long it ran.
        again: whether the job is to be tried once more; else this is what became of it.
    """

    assignment: Assignment
    outcome: Outcome
    seconds: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a person should read once: a wait, a fault in a file, a stage of the end."""

    text: str


Event: TypeAlias = Connected | Unreachable | Taken | Started | Returned | Ended | Noted
"""Everything but output: telling it never waits."""


class Listener(Protocol):
    """Somebody who wants to know what happens in a run."""

    def tell(self, event: Event) -> None:
        """Take note of an event; never waits, never fails."""

    async def show(self, printed: Printed) -> None:
        """Take a command's output; may wait, which holds back only the command that prints."""
