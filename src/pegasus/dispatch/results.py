"""Two results of dispatch: a take that gave nothing, and the stop of a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pegasus.errors import FileFault, PegasusError
from pegasus.model import Assignment, Barrier, TakenJob


@dataclass(frozen=True, slots=True)
class EmptyBatch:
    """A take that gave nothing: there is nothing, or the disk refused it with a fault."""

    fault: PegasusError | None = None
    jobs: Sequence[TakenJob] = ()
    refused: Sequence[FileFault] = ()
    barrier: Barrier | None = None
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class StoppedJob:
    """What a stop of one job did.

    Attributes:
        running: the commands that are being ended.
        waiting: the last tries of the job where it waited for a sub-node.
        unreachable: the detached commands that are ended as soon as they can be reached.
    """

    running: list[Assignment]
    waiting: list[Assignment]
    unreachable: list[Assignment] = field(default_factory=list)
