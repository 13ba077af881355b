"""What the runs of one queue tell each other about slots and barriers, as protocols.

Rule 1: the methods wait for the disk: they are called in threads, except where it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from pegasus.barriers import BarrierOpen, BarrierVerdict
from pegasus.holds import DoubtfulCommand, DoubtfulHold, Hold
from pegasus.model import Barrier


class SharedHolds(Protocol):
    """What the runs of one queue tell each other about slots."""

    @property
    def problems(self) -> Sequence[str]:
        """A sentence for each thing that is amiss, in the order in which they were found."""

    def others(self) -> Collection[Hold]:
        """Give what other runs hold; in a thread, under the lock of the queue."""

    def write(self, holds: Collection[Hold]) -> bool:
        """Tell the other runs what this one holds; in a thread. Return False to be called again."""

    def release_of(self, run: str, job: int) -> None:
        """Remove what a job of an earlier run held; in a thread."""

    def doubtful(self) -> Collection[DoubtfulHold]:
        """Give what runs hold that are over, as it was when ``others`` was called last."""

    def forget(self, holds: Collection[Hold]) -> None:
        """Remove holds of runs that are over; in a thread, under the lock of the queue."""


class NothingShared:
    """Where there is no folder to share: only this run counts."""

    problems: Sequence[str] = ()

    def others(self) -> Collection[Hold]:
        """Give nothing."""
        return ()

    def write(self, holds: Collection[Hold]) -> bool:  # noqa: ARG002
        """Tell nobody."""
        return True

    def release_of(self, run: str, job: int) -> None:
        """Remove nothing."""

    def doubtful(self) -> Collection[DoubtfulHold]:
        """Give nothing."""
        return ()

    def forget(self, holds: Collection[Hold]) -> None:
        """Remove nothing."""


class BarrierJudge(Protocol):
    """Decides whether a barrier may open, for all runs of the queue."""

    def prepare(self, barrier: Barrier) -> Callable[[], BarrierVerdict]:
        """Note the state of this run, in Trio's thread; give what decides, in another one."""

    @property
    def may_doubt(self) -> bool:
        """Whether a barrier waited for commands of killed runs at the last look; never waits."""

    def doubtful(self) -> Collection[DoubtfulCommand]:
        """Give these commands."""

    def forget(self, commands: Iterable[DoubtfulCommand]) -> None:
        """Count commands as gone."""


class OpenBarriers:
    """Where there is no record to look at: a barrier opens once this run has nothing to do."""

    def prepare(self, barrier: Barrier) -> Callable[[], BarrierVerdict]:  # noqa: ARG002
        """Let it open."""
        return BarrierOpen

    @property
    def may_doubt(self) -> bool:
        """Return False."""
        return False

    def doubtful(self) -> Collection[DoubtfulCommand]:
        """Give nothing."""
        return ()

    def forget(self, commands: Iterable[DoubtfulCommand]) -> None:
        """Forget nothing."""


OPEN_BARRIERS = OpenBarriers()
NOTHING_SHARED = NothingShared()
