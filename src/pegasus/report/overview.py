"""The runs of a queue and what waits in it, as ``pegasus status`` reports them.

Rule 1: reading on costs as much as what has changed: the new lines of a journal, and the queue
file where it is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus import grid
from pegasus.errors import FileFault, PegasusError
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, UnreadableRecords, choose_run, current_runs, find_runs


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


class OverviewReader:
    """Reads an overview, again and again.

    Args:
        queue_file: its path as the user gave it.
        run: a run's name or a part of it; None for those that go on, otherwise the newest.
        all_runs: whether all runs are meant.
    """

    def __init__(self, queue_file: Path, run: str | None, *, all_runs: bool) -> None:
        self._queue = QueueFile(queue_file)
        self._run = run
        self._all_runs = all_runs
        self._known: dict[str, RunRecord] = {}
        self._queue_state: object = ()
        self._waiting: tuple[int | None, str | None] = None, None
        self._before: object = None

    def read(self) -> tuple[Overview, bool]:
        """Read on.

        Returns:
            The overview, and whether anything changed since the last one.

        Raises:
            PegasusError: there is no such run, neither a record nor a queue, or it can't be read.
        """
        warnings: list[str] = []
        runs = [self._known.setdefault(run.name, run) for run in self._runs_meant(warnings)]
        changed = [_refreshed(run, warnings) for run in runs]
        state = self._queue.state(), self._queue.real
        if state != self._queue_state:
            self._queue_state, self._waiting = state, _waiting_in(self._queue)
            changed.append(True)
        before, self._before = self._before, ([run.name for run in runs], warnings)
        waiting, fault = self._waiting
        overview = Overview(self._queue.path, waiting, fault, runs, warnings, self._all_runs)
        return overview, any(changed) or before != self._before

    def _runs_meant(self, warnings: list[str]) -> Sequence[RunRecord]:
        try:
            runs = find_runs(self._queue.real, warnings)
        except UnreadableRecords as error:
            runs = []
            warnings[:] = [str(error)]
        if not runs and self._run is None and self._queue.state() is None:
            raise PegasusError(
                f"{self._queue.path}: there is no such file, and no run of it is recorded beside "
                "it. Go to its folder, or name it with --queue-file."
            )
        if self._run is not None:
            return [choose_run(runs, self._run)]
        return runs if self._all_runs else current_runs(runs)


def _refreshed(run: RunRecord, warnings: list[str]) -> bool:
    """Read on in a run; one that was removed meanwhile is shown once more, as it was."""
    try:
        return run.refresh()
    except PegasusError as error:
        warnings.append(str(error))
        return False


def _waiting_in(queue: QueueFile) -> tuple[int | None, str | None]:
    """Count the jobs of a queue file, and give its first fault."""
    if queue.state() is None:
        return None, None
    jobs, fault = 0, None
    for entry in queue.entries():
        if isinstance(entry, FileFault):
            fault = fault or str(entry)
        else:
            jobs += grid.count(entry)
    return jobs, fault
