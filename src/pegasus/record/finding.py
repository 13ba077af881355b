"""Which runs there are, and which one a person means.

Rule 1: finding a run reads the first line of its journal, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.record import folder as folders
from pegasus.record import journal
from pegasus.record.folder import RunFolder
from pegasus.record.reading import RunRecord

_SHOWN_NAMES = 5
"""Names of runs in a message: enough to see what they look like."""


def find_runs(queue: Path) -> list[RunRecord]:
    """Find the runs of a queue, the newest last; none of their journals is read yet.

    Args:
        queue: the real path of the queue file, which need not exist.

    Raises:
        PegasusError: somebody else's record, which can't be read.
    """
    records = folders.records_of(queue)
    try:
        folders.refuse_strangers(records)
        found = [_find(RunFolder(path)) for path in records.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PegasusError(
            f"{error.filename or records}: {error.strerror or error}. Only its owner can read a "
            "record."
        ) from error
    # Two queue files in one folder share the place. The whole path would be wrong: the folder
    # may have been moved since, or be seen from another machine.
    runs = [run for run in found if run and Path(run.facts.queue_file).name == queue.name]
    return sorted(runs, key=lambda run: (run.facts.started_at, run.name))


def _find(folder: RunFolder) -> RunRecord | None:
    """Find a run; None for one that died before it had written its first line."""
    with suppress(FileNotFoundError, ValueError), folder.journal.open("rb") as file:
        return RunRecord(folder, journal.facts_of(folder.name, file.readline()))
    return None


def read_runs(queue: Path) -> list[RunRecord]:
    """Find and read the runs of a queue, the newest last; see ``find_runs``."""
    runs = find_runs(queue)
    for run in runs:
        run.refresh()
    return runs


def current_runs(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Give the runs that a person means who names none: all that go on, else the newest."""
    return [run for run in runs if run.alive] or list(runs[-1:])


def choose_run(runs: Sequence[RunRecord], name: str) -> RunRecord:
    """Give the run of a name, or of a part of one that no other has.

    Raises:
        PegasusError: there is none, or there are several.
    """
    fitting = [run for run in runs if run.name == name] or [r for r in runs if name in r.name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(run.name for run in fitting[-_SHOWN_NAMES:])
        raise PegasusError(f"Several runs have {name!r} in their names: {names}. Write more of it.")
    if not runs:
        raise PegasusError("No run of this queue is recorded.")
    names = ", ".join(run.name for run in runs[-_SHOWN_NAMES:])
    raise PegasusError(
        f"There is no run {name!r}. The newest are {names}; `pegasus status --runs` lists all."
    )
