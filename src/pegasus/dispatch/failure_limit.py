"""How many jobs may fail permanently before a run takes nothing more.

Rule 1: a job counts once, on however many sub-nodes of a broadcast it has failed.
"""

from __future__ import annotations

from collections.abc import Callable

from pegasus.share import Share


class FailureLimit:
    """Counts the jobs that have failed permanently.

    Args:
        most: at so many failed jobs nothing more is taken; None: at no number.
        known: gives how many jobs are known: those that were taken, and those in the queue file;
            None while the file has not been counted. Only a percentage needs it.
    """

    def __init__(self, most: Share | None, known: Callable[[], int | None]) -> None:
        self._most = most
        self._known = known
        self._failed: set[tuple[str, int]] = set()

    def add(self, run_name: str, number: int) -> None:
        """Count a job.

        Args:
            run_name: the run that has taken it.
            number: its number in that run.
        """
        self._failed.add((run_name, number))

    def words(self) -> str:
        """Say that the limit is reached; empty where it is not."""
        most, count = self._most, len(self._failed)
        if most is None or not count or not self._is_reached(most, count):
            return ""
        if most == Share(1):
            return "A job failed: nothing more is taken."
        what = "1 job failed" if count == 1 else f"{count:,} jobs failed"
        return f"{what} (--max-failures {most}): nothing more is taken."

    def _is_reached(self, most: Share, count: int) -> bool:
        if not most.is_percentage:
            return most.is_reached(count, count)
        known = self._known()
        return known is not None and most.is_reached(count, known)
