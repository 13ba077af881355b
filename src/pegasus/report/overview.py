"""The runs of a queue and what waits in it, as ``pegasus status`` reports them.

Rule 1: reading on costs as much as what has changed: the new lines of a journal, and the queue
file now and then where it is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.estimate import Remaining
from pegasus.queue_file import QueueFile, WaitingJobs
from pegasus.record import (
    RunRecord,
    UnreadableRecords,
    choose_run,
    current_runs,
    find_runs,
    newest_with_jobs,
    refreshed,
)
from pegasus.report.run_meant import no_such_queue
from pegasus.run_state import remaining_of


@dataclass(frozen=True, slots=True)
class Overview:
    """What ``pegasus status`` reports.

    Attributes:
        queue_file: its path as the user gave it.
        waiting: how many jobs are in it; None where there is no such file.
        fault: why some of them could not be counted.
        runs: the runs that were asked for, read.
        warnings: which runs could not be read, and why.
        all_runs: whether all runs were asked for, each in one line.
    """

    queue_file: str
    waiting: int | None
    fault: str | None
    runs: Sequence[RunRecord]
    warnings: Sequence[str]
    all_runs: bool

    @property
    def running(self) -> Sequence[RunRecord]:
        """The runs that go on."""
        return [run for run in self.runs if run.liveness == "running"]

    def waiting_for(self, run: RunRecord) -> int:
        """Estimate how many of the waiting jobs a run will take: several share one queue.

        Each gets as many as its share of the sub-nodes and slots of all runs that go on.
        """
        total = sum(each.state.places for each in self.running)
        if not total:  # all wait for their sub-nodes
            return self.waiting or 0
        return round((self.waiting or 0) * run.state.places / total)

    def remaining_of(self, run: RunRecord, now: float) -> Remaining | None:
        """Estimate the remaining time of a run; None for one that does not go on."""
        if run.liveness != "running":
            return None
        return remaining_of(run.state, now, self.waiting_for(run))


class OverviewReader:
    """Reads an overview, again and again.

    Args:
        queue_file: its path as the user gave it.
        run: a run's name or a part of it; None for those that go on, otherwise those that did at an
            earlier look, otherwise the newest that took a job or has something to report.
        all_runs: whether all runs are meant.
    """

    def __init__(self, queue_file: Path, run: str | None, *, all_runs: bool) -> None:
        self._queue = QueueFile(queue_file)
        self._run = run
        self._all_runs = all_runs
        self._known: dict[str, RunRecord] = {}
        self._went_on: set[str] = set()
        self._queue_state: object = ()
        self._waiting = WaitingJobs(self._queue, self._taken)
        self._before: tuple[list[str], list[str]] | None = None

    def read(self, *, exact: bool = False) -> tuple[Overview, bool]:
        """Read on.

        Args:
            exact: whether the queue is counted now if it has changed. Otherwise that takes no more
                than a hundredth of the time, and before the next count the jobs that the runs have
                taken are subtracted.

        Returns:
            The overview, and whether anything changed since the last one.

        Raises:
            PegasusError: there is no such run, neither a record nor a queue, or it can't be read.
        """
        warnings: list[str] = []
        runs = [self._known.setdefault(run.name, run) for run in self._runs_meant(warnings)]
        changed = [_refreshed(run, warnings) for run in runs]
        going_on = [run for run in runs if run.liveness == "running"]
        for run in runs:
            run.beside = [each for each in going_on if each is not run]
        names = [run.name for run in runs]
        state = self._queue.states(), self._queue.real
        if exact or (self._before and names != self._before[0]):
            self._waiting = WaitingJobs(self._queue, self._taken)
        if self._waiting.is_due():
            self._waiting.count()
            changed.append(True)
        changed.append(state != self._queue_state)
        before, self._before = self._before, (names, warnings)
        self._queue_state = state
        waiting = None if self._waiting.is_missing else self._waiting.jobs
        overview = Overview(
            self._queue.path, waiting, self._waiting.fault, runs, warnings, self._all_runs
        )
        return overview, any(changed) or before != self._before

    def _taken(self) -> int:
        return sum(run.state.taken for run in self._known.values())

    def _runs_meant(self, warnings: list[str]) -> Sequence[RunRecord]:
        try:
            runs = find_runs(self._queue.real, warnings)
        except UnreadableRecords as error:
            runs = []
            warnings[:] = [str(error)]
        if not runs and self._run is None and self._queue.state() is None:
            raise no_such_queue(self._queue.path)
        if self._run is not None:
            return [choose_run(runs, self._run)]
        return runs if self._all_runs else self._current(runs)

    def _current(self, runs: Sequence[RunRecord]) -> Sequence[RunRecord]:
        current = current_runs(runs)
        going_on = {run.name for run in current if run.alive}
        if not going_on:
            return [run for run in runs if run.name in self._went_on] or self._newest(current, runs)
        self._went_on |= going_on
        return current

    def _newest(
        self, current: Sequence[RunRecord], runs: Sequence[RunRecord]
    ) -> Sequence[RunRecord]:
        """Return the newest run; one of an empty queue does not hide the run that a user means."""
        known = [self._known.get(run.name, run) for run in runs]
        return [newest_with_jobs(known)] if current and _is_uneventful(known[-1]) else current


def _is_uneventful(run: RunRecord) -> bool:
    """Tell whether a run took nothing and ended well, so that there is nothing to report of it."""
    if not refreshed(run, None):
        return False
    state, end = run.state, run.state.end
    has_news = state.jobs or state.missing or run.warnings or run.began.resumes
    return not has_news and end is not None and end.exit_status == 0 and not end.reason


def _refreshed(run: RunRecord, warnings: list[str]) -> bool:
    """Read on in a run; one that was removed meanwhile is shown once more, as it was."""
    try:
        return run.refresh()
    except PegasusError as error:
        warnings.append(str(error))
        return False
