"""How fast a run works: what its commands and steps have taken so far, for an estimate.

Rule 1: pure, and an event costs the same however many commands there were.
Rule 2: only commands that ended by themselves or at their time limit count: another end says
nothing about how long a job takes.
"""

from __future__ import annotations

from collections import deque

from pegasus.events import Ended
from pegasus.model import Assignment, Exited, Killed, TimedOut

LATEST_DURATIONS = 1024
"""How many durations are kept, the latest ones: enough for a stable estimate, small enough that it
costs about a millisecond, and old enough ones are no sign of what comes."""

LATEST_GAPS = 255
"""How many gaps are kept. Their median counts: a few are long."""

LATEST_WIDTHS = 255
"""How many widths are kept. Their mean counts, which changes slowly along a queue."""

LONGEST_GAP = 2.0
"""Seconds beyond which a sub-node waited for a job to be added, and not for Pegasus to start it."""


class Pace:
    """The durations of a run.

    Attributes:
        durations: seconds of the latest commands that ended, and their sub-nodes' numbers.
        ends: how many commands have ended so far.
        again: how many of these ends were followed by another try of the job.
        gaps: seconds from the end of a command to the next start on its sub-node, the latest ones.
        widths: the slots that the latest commands took that started on sub-nodes with pools: the
            number of each pool, by its name.
        steps: seconds of the latest steps of a broadcast, from the take to the last end.
        is_broadcast: whether the run has steps.
    """

    def __init__(self) -> None:
        self.durations: deque[tuple[float, int]] = deque(maxlen=LATEST_DURATIONS)
        self.ends = self.again = 0
        self.steps: deque[float] = deque(maxlen=LATEST_DURATIONS)
        self.gaps: deque[float] = deque(maxlen=LATEST_GAPS)
        self.widths: deque[dict[str, int]] = deque(maxlen=LATEST_WIDTHS)
        self.is_broadcast = False
        self._last_end_at = 0.0
        self._free_since: dict[int, float] = {}

    def add_start(self, assignment: Assignment, at: float) -> None:
        """Count the start of a command."""
        if assignment.slots:
            self.widths.append({each.pool: len(each.slots) for each in assignment.slots})
        since = self._free_since.pop(assignment.sub_node.number, None)
        if since is not None and 0.0 <= at - since <= LONGEST_GAP:
            self.gaps.append(at - since)

    def add_end(self, event: Ended, at: float) -> None:
        """Count the end of a command that had started."""
        self._last_end_at = self._free_since[event.assignment.sub_node.number] = at
        if isinstance(event.outcome, Exited | Killed | TimedOut):
            self.durations.append((max(0.0, event.seconds), event.assignment.sub_node.number))
            self.ends += 1
            self.again += event.again

    def mean_width(self, pool: str) -> float:
        """Give how many slots of a pool a command took in the mean; 0 where none took any."""
        taken = [each[pool] for each in self.widths if pool in each]
        return sum(taken) / len(taken) if taken else 0.0

    @property
    def gap(self) -> float:
        """The usual time between two commands on a sub-node, in seconds."""
        return sorted(self.gaps)[len(self.gaps) // 2] if self.gaps else 0.0

    def add_step(self, taken_at: float) -> None:
        """Count a step that is over.

        Args:
            taken_at: when its job was taken.
        """
        self.steps.append(max(0.0, self._last_end_at - taken_at))
