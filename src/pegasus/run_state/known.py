"""What is known of a run, and the questions that readers ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pegasus.events import (
    AllocationChanged,
    RunBegan,
    TakenOver,
    WaitingFor,
)
from pegasus.model import Assignment, Outcome, SubNode, succeeded
from pegasus.run_state.folders_left import FoldersLeft
from pegasus.run_state.jobs import (
    INTERRUPTED,
    INTERRUPTED_BEFORE_START,
    NEVER_STARTED,
    End,
    Execution,
    JobState,
    Result,
    StatusWord,
    SubNodeState,
    by_end,
    latest_of,
    result_of,
    word_of,
)
from pegasus.run_state.pace import Pace
from pegasus.run_state.slots import PoolUse, SlotCounts, pool_uses, slot_counts, slots_counted


class KnownRun:
    """What is known of a run; ``RunState`` changes it.

    Args:
        keep_successes: whether jobs that succeeded stay in ``jobs``; a live run may take weeks.

    Attributes:
        began: what is known of the run from its beginning; None before it.
        began_at: when it began, in seconds since the epoch.
        end: how it ended; None where it goes on or was interrupted.
        own_end: how it ended before another Pegasus took over its detached commands.
        paused_at: since when a user has paused it, in seconds since the epoch; None where it is not
            paused. A run that was killed while it was paused still has this time.
        draining_at: since when it takes nothing more, likewise; None before that.
        interrupted: whether Pegasus was killed. Readers of a journal set it. What has no end then
            is lost, but for detached commands, which go on.
        follower: the Pegasus that took over the run's detached commands last; None before that.
        sub_nodes: by number.
        jobs: by number, in the order in which they were taken.
        taken: how many jobs were taken.
        open_jobs: those that have not come to an end.
        folders: those of detached commands that may still be on their nodes.
        recorded_bytes: how much output of commands that have ended is in the record.
        lines_missing: how many lines the journal lacks.
        pace: how long its commands and steps took.
        waiting_for: what jobs at the head of the queue waited for when that was said last.
        allocations: those that the run has requested of Slurm and that are not over, by their ids.
        barriers_passed: how many barriers the run has passed.
        last_at: when the last event was.
    """

    def __init__(self, *, keep_successes: bool = True) -> None:
        self.began: RunBegan | None = None
        self.began_at = self.last_at = 0.0
        self.end: End | None = None
        self.own_end: End | None = None
        self.paused_at: float | None = None
        self.draining_at: float | None = None
        self.interrupted = False
        self.follower: TakenOver | None = None
        self.sub_nodes: dict[int, SubNodeState] = {}
        self.jobs: dict[int, JobState] = {}
        self.open_jobs: dict[int, JobState] = {}
        self.taken = self.recorded_bytes = self.lines_missing = 0
        self._failures: dict[Execution, JobState] = {}  # final tries, the latest end last
        self._successes: dict[Execution, JobState] = {}
        self.folders = FoldersLeft()
        self.pace = Pace()
        self.waiting_for: tuple[WaitingFor, ...] = ()
        self.barriers_passed = 0
        self.allocations: dict[str, AllocationChanged] = {}
        self._closed: Counter[StatusWord] = Counter()  # the final tries of jobs that are not open
        self._ends = 0
        self._broadcast = False
        self._keep_successes = keep_successes

    # What readers ask.

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen in the run."""
        return self.end is not None or self.interrupted

    @property
    def is_draining(self) -> bool:
        """Whether it takes nothing more and has not ended."""
        return self.draining_at is not None and not self.is_over

    @property
    def is_paused(self) -> bool:
        """Whether the run goes on, and takes and starts nothing."""
        return self.paused_at is not None and not self.is_over

    @property
    def present(self) -> list[SubNodeState]:
        """The sub-nodes without those whose Slurm allocation is over."""
        return [each for each in self.sub_nodes.values() if not each.has_left]

    def outcome_of(self, execution: Execution) -> Outcome | None:
        """Give the outcome of a try; None while it runs."""
        if execution.outcome is None and self.is_over and not execution.outlives_pegasus:
            return INTERRUPTED
        return execution.outcome

    def outcomes(self, job: JobState) -> list[Outcome | None]:
        """Give the outcome of each try that counts; None for a job that has not come to an end."""
        waits = not self._assigns_no_more
        if not job.final:
            detached = self.began is not None and self.began.detached
            never = NEVER_STARTED if detached else INTERRUPTED_BEFORE_START
            return [None if waits else never]
        return [None if each.again and waits else self.outcome_of(each) for each in job.final]

    @property
    def _assigns_no_more(self) -> bool:
        """Whether no job is started any more: who takes over commands starts none."""
        return self.is_over or self.follower is not None

    def words_of(self, job: JobState) -> list[StatusWord]:
        """Give the word by which each try that counts is counted."""
        executions: list[Execution | None] = [*job.final] or [None]
        outcomes = self.outcomes(job)
        return [
            word_of(*each, is_over=self.is_over) for each in zip(executions, outcomes, strict=True)
        ]

    def counts(self) -> Counter[StatusWord]:
        """Count commands by their words; in a broadcast a job has one for each sub-node."""
        counts = self._closed.copy()
        for job in self.open_jobs.values():
            counts.update(self.words_of(job))
        return +counts

    def running(self) -> Iterator[tuple[JobState, Execution]]:
        """Give the commands that run now."""
        if not self.is_over:
            for job in self.open_jobs.values():
                yield from ((job, each) for each in job.final if each.outcome is None)

    # Slots.

    @property
    def has_pools(self) -> bool:
        """Whether any sub-node has slots."""
        return any(each.sub_node.pools for each in self.present)

    @property
    def places(self) -> int:
        """How many commands of one slot can run at once, as far as the slots are known."""
        if not self.has_pools:
            return len(self.present)
        plain = sum(not each.sub_node.pools for each in self.present)
        return plain + sum(max(1, len(each.slots)) for each in self.pool_uses() if each.is_first)

    def pool_uses(self, beside: Iterable[tuple[str, Assignment]] = ()) -> list[PoolUse]:
        """Give the pools of all machines, with who holds and who uses their slots now.

        Args:
            beside: commands of other runs that hold slots, each with words for it.
        """
        if not self.has_pools:
            return []
        nodes = [(each.sub_node, each.answers) for each in self.sub_nodes.values()]
        return pool_uses(nodes, self.holding(), beside)

    def slot_counts(self) -> dict[str, SlotCounts]:
        """Count the slots of all machines by the names of their pools."""
        if not self.has_pools:
            return {}
        nodes = [(each.sub_node, each.answers) for each in self.sub_nodes.values()]
        return slot_counts(nodes, self.holding())

    @property
    def has_free_slots(self) -> bool:
        """Whether a slot of the first pool of any sub-node is free, as far as is known."""
        first = {each.sub_node.pools[0].name for each in self.present if each.sub_node.pools}
        counts = self.slot_counts()
        return any(counts[name].size > counts[name].held + counts[name].used for name in first)

    def holding(self) -> Iterator[Assignment]:
        """Give the commands that hold slots: those that run, also where no Pegasus follows them."""
        if not self.is_over:
            yield from (each.assignment for _, each in self.running())
            return
        for job in self.open_jobs.values():
            yield from (each.assignment for each in job.final if each.outlives_pegasus)

    # Detached commands, failures and successes.

    def left(self) -> Iterator[tuple[JobState, Execution]]:
        """Give the detached commands whose folders may still be on their nodes.

        Among them are commands that run, that have ended, and that were given up.
        """
        return iter(self.folders)

    def busy_seconds(self) -> dict[int, float]:
        """Give the seconds in which commands ran on each sub-node, as ``SubNodeState.busy`` counts.

        A detached command that still runs counts up to the last event.
        """
        busy = {number: each.busy for number, each in self.sub_nodes.items()}
        for _, execution in self.left():
            if execution.outcome is None and execution.started_at is not None:
                ran = max(0.0, self.last_at - execution.started_at)
                busy[execution.sub_node.number] += ran * slots_counted(execution.assignment)
        return busy

    @property
    def failure_count(self) -> int:
        """How many commands ended and did not succeed, with those that have no end."""
        return len(self._failures) + len(self._without_end())

    @property
    def missing(self) -> list[SubNode]:
        """The sub-nodes without which the broadcast goes on, since they could not be reached."""
        return [each.sub_node for each in self.sub_nodes.values() if each.missing]

    def failures(self, limit: int | None = None) -> list[Result]:
        """Give what ended and did not succeed, the latest end last, and last what has no end.

        Args:
            limit: give no more than the last so many; None for all.
        """
        without_end = self._without_end()
        if without_end:
            results = [result_of(job, each) for each, job in self._failures.items()]
            results = sorted(results + without_end, key=by_end)
            return results if limit is None else results[-limit:]
        return latest_of(self._failures, limit)

    def _without_end(self) -> list[Result]:
        """Give what has no end and never will have one, because the run is over."""
        results: list[Result] = []
        for job in self.open_jobs.values() if self._assigns_no_more else ():
            tries: list[Execution | None] = [*job.final] or [None]
            for execution, outcome in zip(tries, self.outcomes(job), strict=True):
                if outcome is None or succeeded(outcome):
                    continue
                if execution is None or execution.is_open:
                    results.append(Result(job, execution, outcome))
        return results

    def successes(self, limit: int) -> list[Result]:
        """Give the latest commands that succeeded, the latest last; never more than so many."""
        return latest_of(self._successes, limit)
