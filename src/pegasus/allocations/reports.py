"""What the task that has an allocation tells the user and the record.

Rule 1: what Slurm says again and again is told once; memory for that is bounded, since a run may
wait for weeks.
"""

from __future__ import annotations

from collections import deque
from math import inf

from pegasus import duration
from pegasus.allocations.client import AllocationStatus
from pegasus.allocations.hooks import RequesterHooks
from pegasus.events import AllocationChanged, AllocationState
from pegasus.node_sets import fold

MOST_REMEMBERED = 50
"""Sentences that are not told again."""


class AllocationReports:
    """Tells what happens to the allocations of one request.

    Args:
        request: its options, as on a command line.
        hooks: the run.
    """

    def __init__(self, request: str, hooks: RequesterHooks) -> None:
        self._request, self._hooks = request, hooks
        self._said: deque[str] = deque(maxlen=MOST_REMEMBERED)
        self._told: AllocationChanged | None = None

    def say(self, words: str) -> None:
        """Tell the user."""
        self._hooks.note(words)

    def say_once(self, words: str) -> None:
        """Tell the user, unless it was told before."""
        if words in self._said:
            self._said.remove(words)  # and so the last to be forgotten
        else:
            self._hooks.note(words)
        self._said.append(words)

    def tell(self, job: str, state: AllocationState, words: str = "") -> None:
        """Tell the run what an allocation does, where this has changed.

        Args:
            job: its id.
            state: what it does.
            words: why it waits, or how it ended, in Slurm's words.
        """
        event = AllocationChanged(job, self._request, state, words)
        if event != self._told:
            self._told = event
            self._hooks.report(event)

    def wait(self, status: AllocationStatus) -> None:
        """Tell why an allocation waits."""
        self.tell(status.job, "waiting", status.reason)
        reason = f": {status.reason}" if status.reason else ""
        does = "is suspended" if status.phase == "suspended" else "waits"
        self.say_once(f"Slurm allocation {status.job} ({self._request}) {does}{reason}.")

    def begin(self, status: AllocationStatus, *, goes_on: bool) -> None:
        """Tell that an allocation has its nodes, or has them again."""
        self.tell(status.job, "running")
        until = "" if status.left == inf else f", for {duration.words(status.left)}"
        does = "goes on" if goes_on else "has begun"
        self.say(f"Slurm allocation {status.job} {does}: {fold(status.nodes)}{until}.")
