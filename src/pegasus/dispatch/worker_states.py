"""The states of a worker, each with the data that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pegasus.dispatch.ports import Shell
from pegasus.model import Assignment


@dataclass(frozen=True, slots=True)
class Connecting:
    """The first try to connect is under way."""


@dataclass(frozen=True, slots=True)
class Preparing:
    """The sub-node is connected, and no shell is ready yet for the next command."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A shell waits for a command."""

    shell: Shell


@dataclass(frozen=True, slots=True)
class Busy:
    """A command was assigned, and its end is not reported yet."""

    shell: Shell
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Away:
    """The last try to connect failed, or a connection ``broke``, for this reason."""

    words: str
    broke: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The worker's task has ended."""


WorkerState: TypeAlias = Connecting | Preparing | Ready | Busy | Away | Finished
