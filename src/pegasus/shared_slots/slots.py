"""The slots that the runs of one queue share: what this run holds, and what all others hold."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.holds import AT_MOST_POOL, DoubtfulHold, Hold
from pegasus.ownership import make_private_folder
from pegasus.record import RunRecord, find_run, records_of, refuse_strangers
from pegasus.shared_slots import hold_files
from pegasus.shared_slots.hold_files import HoldState, HoldWriter, RunHolds

SLOTS_FOLDER = "slots"
"""The name of the folder of the holds, in the folder of records."""

_CERTAIN_AFTER = 0.1
"""Seconds after which a file that looks the same is the same: the time of a change has steps of
some milliseconds, and the number of a file is used again."""


@dataclass(slots=True)
class _SeenFile:
    """A file of another run, as it was read last.

    Attributes:
        state: what shows that it has changed.
        seen_at: when it was first seen in this state.
        content: what the run holds, as far as it is known.
        is_certain: whether it cannot have changed and still look the same.
    """

    state: HoldState
    seen_at: float
    content: RunHolds
    is_certain: bool = False


class SharedSlots:
    """What the runs of one queue hold, in files beside its records.

    Its methods wait for the disk: call them in a worker thread, from several at once if need be.
    Where there is no folder of records, this run is the only one that is known.

    Args:
        queue: the real path of the queue file.
        run: the name of this run.
        is_detached: whether its commands do not end with it.
        clock: gives a time in seconds that never goes back, for how long a run has been over.

    Attributes:
        problems: a sentence for each thing that is amiss, in the order in which they were found.
    """

    def __init__(
        self,
        queue: Path,
        run: str,
        *,
        is_detached: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.problems: list[str] = []
        self._queue = queue
        self._run = run
        self._is_detached = is_detached
        self._clock = clock
        self._folder = records_of(queue) / SLOTS_FOLDER
        self._lock = threading.Lock()
        self._writer = HoldWriter()
        self._written: tuple[Hold, ...] = ()
        self._files: dict[str, _SeenFile] = {}
        self._all: tuple[Hold, ...] | None = None
        self._records: dict[str, RunRecord] = {}
        self._over_since: dict[str, float] = {}

    def others(self) -> tuple[Hold, ...]:
        """Give what all other runs hold; also those that are over, see ``doubtful``.

        Call it while the lock of the queue is held: then nobody else starts anything.
        """
        with self._lock:
            return self._look()

    def write(self, holds: Collection[Hold]) -> bool:
        """Let other runs see all that this run holds now.

        Call it while the lock of the queue is held, before what holds more is started.

        Returns:
            False where the disk refuses, so that it has to be tried again.
        """
        with self._lock:
            wanted = tuple(holds)
            if wanted == self._written:
                return True
            content = RunHolds(self._queue.name, self._is_detached, wanted)
            try:
                if self._put(self._run, content):
                    self._written = wanted
            except OSError as error:
                self._report(
                    f"{error.filename or self._folder}: {error.strerror or error}. Other runs of "
                    "this queue do not see which slots this run holds. Mend it, or let only one "
                    "run at a time use these nodes."
                )
                return False
            return True

    def release_of(self, run: str, job: int) -> None:
        """Remove what a job of an earlier run holds, whose command was followed to its end.

        Without that it stays in doubt until its node is asked.

        Args:
            run: the name of that run.
            job: the number of the job in it.
        """
        if run == self._run:
            return  # see ``write``
        with self._lock, suppress(OSError):  # otherwise it is in doubt once nobody follows it
            self._look()
            self._drop(run, [hold for hold in self._holds_of(run) if hold.job == job])

    def doubtful(self) -> tuple[DoubtfulHold, ...]:
        """Give what runs hold that are over: their commands may still run, see ``holds.gone``."""
        with self._lock:
            self._look()
            found: list[DoubtfulHold] = []
            for run, file in list(self._files.items()):
                since = self._seconds_over(run)
                if since is None:
                    continue
                if not file.content.holds and file.is_certain:
                    with suppress(OSError):
                        hold_files.remove(self._path(run))
                detached = file.content.is_detached
                found += [DoubtfulHold(hold, detached, since) for hold in file.content.holds]
            return tuple(found)

    def forget(self, holds: Collection[Hold]) -> None:
        """Remove holds of runs that are over, and whose commands are known to be gone.

        Call it while the lock of the queue is held.
        """
        with self._lock:
            for run in {hold.run for hold in holds}:
                if run == self._run or self._seconds_over(run) is None:
                    continue
                with suppress(OSError):  # they stay in doubt
                    self._drop(run, [hold for hold in holds if hold.run == run])

    # Files.

    def _path(self, run: str) -> Path:
        return self._folder / f"{run}{hold_files.SUFFIX}"

    def _put(self, run: str, content: RunHolds) -> bool:
        """Replace the file of a run; return whether there is a folder for it."""
        if not content.holds:
            hold_files.remove(self._path(run))
            return True
        if not self._folder.parent.is_dir():
            return False
        refuse_strangers(self._queue)
        with suppress(FileExistsError):
            if not self._folder.is_dir():
                make_private_folder(self._folder)
        data = self._writer.encode(content) if run == self._run else HoldWriter().encode(content)
        hold_files.replace(self._path(run), data, synced=content.is_detached)
        return True

    def _drop(self, run: str, holds: Collection[Hold]) -> None:
        """Remove holds from the file of another run, as it is now."""
        if not holds:
            return
        with hold_files.opened(self._path(run)) as (fd, _):
            try:
                content = hold_files.read(fd, run)
            except ValueError:  # it is damaged: what was read before counts
                if run not in self._files:
                    return
                content = self._files[run].content
        self._put(run, content.without(holds))
        self._files.pop(run, None)  # it is read again
        self._all = None

    def _look(self) -> tuple[Hold, ...]:
        """Read the files that have changed; give what all other runs hold."""
        runs = self._runs_with_files()
        if runs is not None:  # otherwise what was read before counts
            removed = [run for run in self._files if run not in runs]
            for run in removed:
                del self._files[run]
            changed = [self._look_at(run) for run in runs]
            if removed or any(changed):
                self._all = None
        if self._all is None:
            self._all = tuple(
                hold
                for run in sorted(self._files)
                for hold in self._holds_of(run)
                if self._concerns_us(hold, self._files[run].content)
            )
        return self._all

    def _runs_with_files(self) -> set[str] | None:
        """Give the names of the other runs that have files; None where that is not known."""
        try:
            refuse_strangers(self._queue)
            with os.scandir(self._folder) as found:
                names = [each.name for each in found]
        except FileNotFoundError:
            return set()
        except OSError as error:
            self._report(
                f"{error.filename or self._folder}: {error.strerror or error}. This run does not "
                "see which slots other runs of this queue hold."
            )
            return None
        runs = {_run_of(name) for name in names if not name.startswith(".")}
        return runs - {self._run, ""}

    def _look_at(self, run: str) -> bool:
        """Read the file of a run if it has changed; return whether it holds something else now."""
        known, now = self._files.get(run), time.monotonic()
        try:
            with hold_files.opened(self._path(run)) as (fd, state):
                if known is None or known.state != state:
                    content = known.content if known else RunHolds("", is_detached=False)
                    known = self._files[run] = _SeenFile(state, now, content)
                elif known.is_certain:
                    return False
                before, known.content = known.content, hold_files.read(fd, run)
                known.is_certain = now - known.seen_at >= _CERTAIN_AFTER
        except FileNotFoundError:
            return self._files.pop(run, None) is not None
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or "it is damaged"
            self._report(
                f"{self._path(run)}: {words}. What run {run} held before counts as held. Remove "
                "this file once none of its commands runs."
            )
            return False
        return known.content != before

    def _holds_of(self, run: str) -> tuple[Hold, ...]:
        file = self._files.get(run)
        return file.content.holds if file else ()

    def _concerns_us(self, hold: Hold, content: RunHolds) -> bool:
        """Return whether a hold counts here: nodes are shared with all, groups within a queue."""
        return content.queue == self._queue.name or not hold.pool.startswith(AT_MOST_POOL)

    # Which runs are over.

    def _seconds_over(self, run: str) -> float | None:
        """Give for how long a run has been known to be over; None while it goes on."""
        if self._goes_on(run):
            self._over_since.pop(run, None)
            return None
        now = self._clock()
        return now - self._over_since.setdefault(run, now)

    def _goes_on(self, run: str) -> bool:
        """Return whether a run goes on; one of which nothing is known is over.

        It is over as well while another Pegasus follows its commands, and holds its lock.
        """
        try:
            record = self._records.get(run) or find_run(self._queue, run)
            if record is None:
                return False
            self._records[run] = record
            if record.began.detached or not record.began.locked:
                record.refresh()
                if record.state.follower is not None or record.state.end is not None:
                    return False
            return record.is_alive()
        except PegasusError as error:
            self._report(str(error))
            return True

    def _report(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _run_of(name: str) -> str:
    """Give the run whose file has a name; empty where it is another file."""
    run = name.removesuffix(hold_files.SUFFIX)
    return "" if run == name else run
