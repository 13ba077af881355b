"""The ledger of a run: which of its jobs were put back into the queue, each of them once.

The file ``retried`` in the run's folder has one JSON object per line. It is read and written under
the lock of the queue, in an order in which a crash at any moment neither loses nor doubles a job::

    new     .queue.yaml.pegasus-retry-…   the queue with the jobs in it    nothing happened
    append  retried                       the jobs and the file's name     nothing happened
    rename  new -> queue.yaml             the jobs are back                done

So jobs are back if they are noted and the file that is named with them is gone. A file that still
exists was never renamed: the next retry notes that it was undone, and removes it.

Rule 1: this module knows numbers and jobs, not runs and their records.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pegasus import durable
from pegasus.errors import PegasusError
from pegasus.model import Job
from pegasus.queue_file import content, departure, disk_errors
from pegasus.queue_file.adding import has_barrier, with_entries
from pegasus.queue_file.queue import LockedQueue, entries_of
from pegasus.queue_file.settled import Sight
from pegasus.queue_file.taking import MOST_TRIES

LEDGER = "retried"
"""The name of the file in the run's folder."""

_RETRY_FILE = ".pegasus-retry-"


class RetryLedger:
    """Which jobs of a run are back in its queue, whose lock is held as long as this is used.

    Its methods wait for the disk: call them in a worker thread.

    Args:
        locked: the queue.
        run: the folder of the run.
    """

    def __init__(self, locked: LockedQueue, run: Path) -> None:
        self._path = run / LEDGER
        self._locked = locked
        self._lines = 0
        new = re.escape(f".{locked.real.name}{_RETRY_FILE}")
        self._own_files = re.compile(rf"{new}\d+-{re.escape(run.name)}")
        self._noted_files = re.compile(rf"{new}\d+-[^/\0]+")  # the folder may have been renamed

    def settle(self) -> set[int]:
        """Undo what a crash interrupted, and give the numbers of the jobs that are back.

        Raises:
            PegasusError: the ledger cannot be read, or the undoing failed.
        """
        with self._translated():
            return self._settle()

    def look(self) -> set[int]:
        """Give the numbers of the jobs that are back, as ``settle`` does; change nothing.

        A reader does not need the lock for it: what is being put back at this moment is not back.

        Raises:
            PegasusError: the ledger cannot be read.
        """
        with self._translated():
            noted = self._read()
            done = [
                numbers for name, numbers in noted.items() if not (self._folder / name).exists()
            ]
        return {number for numbers in done for number in numbers}

    def put_back(self, jobs: Mapping[int, Job], *, top: bool = False) -> bool:
        """Put jobs into the queue and note that they are back, in one step.

        Args:
            jobs: the jobs by their numbers in the run, in the order in which they are put back.
            top: before all jobs that wait, instead of after them. They are put there in any case
                if there is a barrier in the queue: they came from above it.

        Returns:
            Whether they are before all jobs that wait because of a barrier.

        Raises:
            PegasusError: nothing was put back.
        """
        with self._translated():
            for _ in range(MOST_TRIES):
                sight = self._locked.to_be_changed()
                new = self._new_path()
                data = b"" if sight is None else sight.complete
                above = has_barrier(self._locked.path, data)
                self._write_new(new, sight, list(jobs.values()), top=top or above)
                self._append({"jobs": list(jobs), "new": new.name})
                if departure.replace(self._locked.real, new, sight):
                    with contextlib.suppress(OSError):  # it has happened and cannot be undone
                        durable.sync_folder(self._folder)
                    return above
                self._settle()  # an editor was faster: try again with what it wrote
        raise PegasusError(
            f"{self._locked.path}: other programs keep rewriting this file, so nothing was put "
            "back. Edit it with `pegasus lock`."
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            step = disk_errors.next_step(error, "Look after the disk or the folder, and try again")
            raise PegasusError(
                f"{error.filename or self._locked.path}: {error.strerror or error}. "
                f"Nothing was put back. {step}."
            ) from error

    def _settle(self) -> set[int]:
        noted = self._read()
        for name, numbers in noted.items():
            if (self._folder / name).exists():
                self._append({"undone": name})
                (self._folder / name).unlink()
                numbers.clear()
        for path in self._folder.iterdir():
            if self._own_files.fullmatch(path.name):  # a crash came before it was noted
                path.unlink()
        return {number for numbers in noted.values() for number in numbers}

    @property
    def _folder(self) -> Path:
        return self._locked.real.parent

    def _new_path(self) -> Path:
        """Give the path of the file that becomes the queue; no name is ever used twice."""
        run = self._path.parent.name
        return self._folder / f".{self._locked.real.name}{_RETRY_FILE}{self._lines}-{run}"

    def _write_new(self, new: Path, sight: Sight | None, jobs: Sequence[Job], *, top: bool) -> None:
        """Write the queue with the jobs in it, under another name."""
        path, real = self._locked.path, self._locked.real
        content.refuse_read_only(path, real)
        data, like = (b"", None) if sight is None else (sight.complete, durable.model_of(real))
        data = with_entries(path, data, entries_of(jobs), top=top)
        try:
            durable.write_new(new, data, like=like)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def _read(self) -> dict[str, list[int]]:
        """Give the numbers that were noted, by the name of the file that puts these jobs back.

        A torn line was interrupted before its file could be renamed. A line that names any other
        file than those of a retry is broken, and that file must not be removed.
        """
        noted: dict[str, list[int]] = {}
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return noted
        self._lines = len(lines)  # grows with each note
        for line in lines:
            with contextlib.suppress(
                ValueError, KeyError, TypeError, OverflowError, RecursionError
            ):
                data: dict[str, Any] = json.loads(line)
                if "undone" in data:
                    noted.pop(data["undone"], None)
                elif self._noted_files.fullmatch(data["new"]):
                    noted[data["new"]] = [int(number) for number in data["jobs"]]
        return noted

    def _append(self, data: dict[str, object]) -> None:
        line = json.dumps({"at": round(time.time(), 3), **data}).encode() + b"\n"
        durable.append_synced(self._path, line)


def jobs_back(queue: Path, run: Path) -> set[int]:
    """Give the numbers of the jobs of a run that are back in its queue, without its lock.

    Args:
        queue: the real path of the queue file.
        run: the folder of the run.

    Raises:
        PegasusError: the ledger cannot be read.
    """
    return RetryLedger(LockedQueue(str(queue), queue), run).look()
