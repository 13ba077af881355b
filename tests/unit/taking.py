"""What the tests of takes share: a fill that leaves a job as it is, and a scripted picker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pegasus.demand import Nowhere
from pegasus.model import Command, Job, TakenJob
from pegasus.picker import JobFill, Skip
from pegasus.rendered import as_recorded

NOWHERE = Nowhere("no sub-node has this", "Change it", "command")


def unfilled(job: Job) -> tuple[Command, ...]:
    """Give the template itself as the only command."""
    return (as_recorded(job.command),)


class Scripted:
    """A picker whose answers are a script, which begins anew when it is over.

    Args:
        script: for each question ``+`` to pick the job, ``-`` to skip its entry, ``!`` to refuse
            it.
        most: how many jobs it picks.

    Attributes:
        asked: the command of each job that it was asked about, and how many copies there were.
        settled: the numbers of the jobs that were about to leave the file.
        unchanged: whether the file was as the last take left it.
    """

    def __init__(self, script: str, most: int = 1_000) -> None:
        self._script, self._most, self._picked = script, most, 0
        self.asked: list[tuple[str, int]] = []
        self.settled: list[int] = []
        self.unchanged: list[bool] = []

    def begin(self, is_unchanged: Callable[[], bool]) -> None:
        """Begin the script anew."""
        self.unchanged.append(is_unchanged())
        self.asked, self._picked = [], 0

    @property
    def is_full(self) -> bool:
        """Whether it has picked all that it picks."""
        return self._picked == self._most

    def pick(self, job: Job, copies: int) -> JobFill | Skip | Nowhere:
        """Answer as the script says."""
        answer = self._script[len(self.asked) % len(self._script)]
        self.asked.append((job.command, copies))
        if answer == "+":
            self._picked += 1
            return unfilled
        return Skip.ENTRY if answer == "-" else NOWHERE

    def settle(self, jobs: Sequence[TakenJob]) -> None:
        """Remember the numbers."""
        self.settled = [taken.number for taken in jobs]
