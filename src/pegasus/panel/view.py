"""What the panel shows, at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pegasus.estimate import Remaining
from pegasus.model import Assignment
from pegasus.run_state import (
    OUTCOME_WORDS,
    Execution,
    JobState,
    RunState,
    remaining_of,
)

PAUSED_WORDS = "paused: nothing is taken or started until `pegasus resume`; what runs goes on"


@dataclass(frozen=True)
class PanelView:
    """A run at one moment.

    Attributes:
        state: of the run.
        now: seconds since the epoch.
        waiting: how many jobs are in the queue file; None where they are not counted yet.
        tail_of: gives the last bytes that a running command printed, up to 4 KiB.
        stage: what is said about the end of the run while it ends; empty before that.
        remaining: the estimate, where it was made before; None: it is made here.
    """

    state: RunState
    now: float
    waiting: int | None
    tail_of: Callable[[Assignment], bytes]
    stage: str = ""
    remaining: Remaining | None = None

    @cached_property
    def running(self) -> list[tuple[JobState, Execution]]:
        """The commands that run now, by their sub-nodes, and there by their slots."""
        running = list(self.state.running())
        if not self.state.has_pools:
            return sorted(running, key=lambda each: each[1].sub_node.number)
        return sorted(running, key=lambda each: _place_of(each[1]))

    @cached_property
    def estimate(self) -> Remaining:
        """How long the run will take from now on."""
        if self.remaining is not None:
            return self.remaining
        return remaining_of(self.state, self.now, self.waiting, takes_no_more=bool(self.stage))

    @cached_property
    def totals(self) -> Totals:
        """The numbers of commands."""
        state = self.state
        counts = state.counts()
        ended = sum(counts[word] for word in OUTCOME_WORDS)
        running = counts["running"] + counts["detached"]
        retries = 0
        if counts["taken"]:
            retries = sum(
                each.again and each.outcome is not None
                for job in state.open_jobs.values()
                for each in job.final
            )
        return Totals(ended, state.failure_count, running, counts["taken"], retries)

    @property
    def notice(self) -> str:
        """What is said about the end of the run, or about a pause; empty for neither."""
        return self.stage or (PAUSED_WORDS if self.state.is_paused else "")

    @property
    def elapsed(self) -> float:
        """How long the run has taken so far, in seconds."""
        end = self.state.end
        return max(0.0, (self.now if end is None else end.at) - self.state.began_at)

    @property
    def connecting(self) -> int:
        """How many sub-nodes are not connected yet."""
        return sum(each.connection == "connecting" for each in self.state.present)

    @property
    def waits_for_jobs(self) -> bool:
        """Whether there is nothing to do at present."""
        if self.state.is_over or self.notice or self.waiting != 0:
            return False
        return not self.totals.running and not self.totals.taken


def _place_of(execution: Execution) -> tuple[int, int, int, str, int]:
    """Give what orders commands: the sub-node, the first pool of which it has slots, the first."""
    given = execution.assignment
    for rank, held in enumerate(given.slots):
        if held.slots:
            first = held.slots[0].id  # of numbers without a sign, the shorter one is less
            return given.sub_node.number, rank, len(first), first, given.number
    return given.sub_node.number, len(given.slots), 0, "", given.number


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of commands.

    Attributes:
        ended: with whatever outcome.
        failed: of these, how many did not succeed.
        running: now.
        taken: how many were taken, and do not run.
        retries: of these, how many wait for another try.
    """

    ended: int
    failed: int
    running: int
    taken: int
    retries: int
