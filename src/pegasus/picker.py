"""Which jobs of a queue are wanted: what a take asks before it takes a job.

Rule 1: a picker answers for one job at a time, in the order of the file. It is asked in a worker
thread, under the lock of the queue.
Rule 2: an answer is not a start: the file may have changed, and is then read again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from pegasus.demand import Nowhere
from pegasus.model import Command, Job, TakenJob

JobFill: TypeAlias = Callable[[Job], tuple[Command, ...]]
"""Renders a job; raises TemplateFault if that is impossible."""


class Skip(enum.Enum):
    """The answer for a job that stays in the file for now."""

    ENTRY = "entry"
    """Neither this job nor a later one of its entry; the next entry may have one."""


PickAnswer: TypeAlias = JobFill | Skip | Nowhere
"""What a picker says of a job: what renders it, or why it stays in the file."""


class Picker(Protocol):
    """Picks jobs of a queue, which is read from its head."""

    def begin(self, is_unchanged: Callable[[], bool]) -> None:
        """Forget all picks: the file was read, perhaps not for the first time.

        It may be empty, missing or faulty, so that no question follows.

        Args:
            is_unchanged: tells whether the file is exactly what the last take left of it.
        """

    @property
    def is_full(self) -> bool:
        """Whether no more jobs are wanted, so that the rest of the file need not be read."""

    def pick(self, job: Job, copies: int) -> PickAnswer:
        """Decide about a job.

        Args:
            job: the job; the earlier ones of its entry were picked.
            copies: how many jobs of its entry are left, this one included.

        Returns:
            What renders it, if it is picked. After ``Skip.ENTRY`` and ``Nowhere`` the rest of the
            entry stays in the file, and the next entry follows.
        """

    def settle(self, jobs: Sequence[TakenJob]) -> None:
        """Do what must be done right before the picked jobs leave the file.

        It is not called where there are none. If the file has changed meanwhile, ``begin`` follows.

        Args:
            jobs: the jobs in the order of the file, with their numbers.

        Raises:
            PegasusError: it could not be done; nothing is taken.
        """


class FirstJobs:
    """Picks the first jobs of a queue, whatever they are.

    Args:
        fills: job number i is rendered by fill number i.
    """

    def __init__(self, fills: Sequence[JobFill]) -> None:
        self._fills = fills
        self._given = 0

    def begin(self, _is_unchanged: Callable[[], bool], /) -> None:
        """Begin with the first fill again."""
        self._given = 0

    @property
    def is_full(self) -> bool:
        """Whether there is a job for each fill."""
        return self._given == len(self._fills)

    def pick(self, _job: Job, _copies: int, /) -> JobFill:
        """Give the next fill."""
        self._given += 1
        return self._fills[self._given - 1]

    def settle(self, jobs: Sequence[TakenJob]) -> None:
        """Do nothing."""
