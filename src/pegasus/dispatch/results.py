"""Two results of dispatch: a take that the disk refused, and the stop of a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pegasus.errors import PegasusError
from pegasus.model import Assignment, TakenJob


@dataclass(frozen=True, slots=True)
class RefusedBatch:
    """A take that the disk refused."""

    fault: PegasusError
    jobs: Sequence[TakenJob] = ()


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
