"""How often Slurm is asked, and how long an allocation is waited for, or kept."""

from __future__ import annotations

from math import inf

import trio

from pegasus import duration

FIRST_LOOK, LAST_LOOK = 1.0, 15.0
"""Seconds between two questions to Slurm: while something has just changed, and later. Its
scheduler looks every 30 to 180 seconds, and sites ask users not to poll more often."""

UNUSED_LIMIT = 30.0
"""Seconds without work for an allocation before it is given back: a user who adds jobs by hand
should not have to wait in Slurm's queue again."""

IDLE_LOOK = 5.0
"""Seconds between two questions to Slurm while an allocation is idle."""

WORK_AGE = 2.0
"""Seconds for which there has to be work before an allocation is requested, where the run has other
sub-nodes: they may take it."""

LISTED_AFTER = 5.0
"""Seconds after which a request that ``sbatch`` has sent without an answer is in Slurm's list."""

FIRST_PAUSE, LONGEST_PAUSE = 30.0, 900.0
"""Seconds until the next request after one that was refused, or whose allocation ended early."""

EARLY = 60.0
"""Seconds; an allocation that ends sooner has been of no use."""

CANCEL_AGAIN = 60.0
"""Seconds after which an allocation that goes on is cancelled once more: Slurm sends it SIGKILL
after 30, and may have lost the order."""


class RequestPause:
    """The pause before the next request; it gets longer while requests are of no use."""

    def __init__(self) -> None:
        self._until, self._length = -inf, FIRST_PAUSE

    @property
    def is_over(self) -> bool:
        """Whether there may be a request now."""
        return trio.current_time() >= self._until

    @property
    def words(self) -> str:
        """How long the next pause is."""
        return duration.words(self._length)

    def reset(self) -> None:
        """Begin again with the shortest pause: an allocation was of use."""
        self._length = FIRST_PAUSE

    def begin(self) -> None:
        """Begin a pause, and leave its length as it is."""
        self._until = trio.current_time() + self._length

    def begin_longer(self) -> None:
        """Begin a pause, and let the next one be twice as long."""
        self.begin()
        self._length = min(2 * self._length, LONGEST_PAUSE)
