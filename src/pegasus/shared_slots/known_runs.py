"""The runs of a queue, looked at again and again: only what is new is read.

Rule 1: a run that has ended and left nothing cannot change any more; it is read only where one of
its jobs is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.record import RunRecord, find_run, records_of


class KnownRuns:
    """The runs of a queue.

    Args:
        queue: the real path of the queue file.

    """

    def __init__(self, queue: Path) -> None:
        self._problems: dict[str, str] = {}
        self._queue = queue
        self._open: dict[str, RunRecord] = {}  # what can still change
        self._settled: dict[str, RunRecord] = {}
        self._others: set[str] = set()  # no runs of this queue

    def look(self) -> None:
        """Find new runs, and read on in those that can still change."""
        try:
            with os.scandir(records_of(self._queue)) as found:
                names = {each.name for each in found}
        except OSError:
            names = set()
        self._problems.clear()
        for name in names - self._others - set(self._open) - set(self._settled):
            self._find(name)
        for name in set(self._open) - names:
            del self._open[name]  # its record was removed
        for name, run in list(self._open.items()):
            if self._read(run) and _is_settled(run):
                self._settled[name] = self._open.pop(name)

    def unsettled(self) -> list[RunRecord]:
        """Give the runs in which something can still change, in the order of their names."""
        return [run for _, run in sorted(self._open.items())]

    def settled(self, names: Collection[str]) -> Iterator[RunRecord]:
        """Give those of some runs in which nothing can change, read."""
        for name in names:
            run = self._settled.get(name)
            if run is not None and (run.state.end is not None or self._read(run)):
                yield run

    def resuming(self) -> Iterator[RunRecord]:
        """Give the runs that continue the broadcasts of earlier ones, read."""
        every = {**self._open, **self._settled}
        for name, run in every.items():
            if run.began.resumes:
                yield from [run] if name in self._open else self.settled([name])

    def problems_of(self, names: Collection[str]) -> list[str]:
        """Give a sentence for each run that cannot be read, and that can change or is in a set."""
        return [
            words
            for name, words in sorted(self._problems.items())
            if name in self._open or name in names
        ]

    def _find(self, name: str) -> None:
        try:
            run = find_run(self._queue, name)
        except PegasusError as error:
            self._problems[name] = str(error)
            return
        if run is None:
            return  # another file, or a run that is just beginning
        if Path(run.began.queue_file).name != self._queue.name:
            self._others.add(name)
        elif _has_ended_for_good(run):
            self._settled[name] = run
        else:
            self._open[name] = run

    def _read(self, run: RunRecord) -> bool:
        try:
            run.refresh()
        except PegasusError as error:
            self._problems[run.name] = str(error)
            return False
        return True


def _has_ended_for_good(run: RunRecord) -> bool:
    """Return whether a run has ended and left nothing, by the end of its journal alone."""
    if run.alive and run.began.locked:
        return False
    return run.ends_with_nothing_left() if run.began.detached else run.has_ended()


def _is_settled(run: RunRecord) -> bool:
    """Return whether nothing can change any more in a run, which was read."""
    is_over = not run.alive or (run.state.end is not None and not run.began.locked)
    return is_over and run.state.end is not None and not any(run.state.left())
