"""Finds the runs of a queue, and the run that a user means.

Rule 1: to find a run is to read the first line of its journal, and no more.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.record import folder as folders
from pegasus.record.decoding import began_of
from pegasus.record.folder import RunFolder
from pegasus.record.reading import RunRecord

_LONGEST_NUMBER = 20
"""Digits of a run number that a user may type; no run has more."""

_SHOWN_NAMES = 5
"""Names of runs in a message: enough to show their form."""


class UnreadableRecords(PegasusError):
    """This user cannot read the folder of all records."""


def find_runs(queue: Path, warnings: list[str] | None = None) -> list[RunRecord]:
    """Find the runs of a queue, the newest last; their journals are not read yet.

    Other folders are skipped. A run that cannot be read is skipped with a warning.

    Args:
        queue: the real path of the queue file, which need not exist.
        warnings: gets a sentence for each run that was skipped, or one for many.

    Raises:
        PegasusError: another user owns the folder of records.
        UnreadableRecords: the folder of records cannot be read.
    """
    runs, skipped = find_runs_and_skipped(queue)
    if warnings is not None:
        warnings += list(skipped.values())[:_SHOWN_NAMES]
        if more := len(skipped) - _SHOWN_NAMES:
            warnings += [f"{folders.records_of(queue)}: {more:,} more runs are skipped."] * (
                more > 0
            )
    return runs


def find_runs_and_skipped(queue: Path) -> tuple[list[RunRecord], dict[str, str]]:
    """Find the runs of a queue, and the runs of any queue that cannot be read; see ``find_runs``.

    Returns:
        The runs, and a sentence for each run that was skipped, by its name.
    """
    records = folders.records_of(queue)
    try:
        folders.refuse_strangers(queue)
    except FileNotFoundError:
        return [], {}
    except OSError as error:
        raise PegasusError(f"{records}: {error.strerror or error}. Move it away.") from error
    try:
        paths = sorted(records.iterdir())
    except OSError as error:
        raise UnreadableRecords(_unreadable(records, error)) from error
    skipped: dict[str, str] = {}
    found = [_find(RunFolder(path), skipped) for path in paths]
    # Two queue files in one folder share the records. Their names are compared and not their paths:
    # the folder may have been moved, or mounted elsewhere on another machine.
    runs = [run for run in found if run and Path(run.began.queue_file).name == queue.name]
    return sorted(runs, key=_age), skipped


def _age(run: RunRecord) -> tuple[int, float, str]:
    """Order runs by number, since a clock may be wrong. Runs without a number are the oldest."""
    return run.began.number or 0, run.began_at, run.name


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _LONGEST_NUMBER


def _find(folder: RunFolder, skipped: dict[str, str]) -> RunRecord | None:
    """Find a run; None for one that was killed before it wrote its first line."""
    try:
        with folders.open_to_read(folder.journal) as file:
            line = file.readline()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        skipped[folder.name] = f"{_unreadable(folder.path, error)} This run is skipped."
        return None
    try:
        return RunRecord(folder, *began_of(folder.name, line))
    except ValueError:
        if line.endswith(b"\n"):
            skipped[folder.name] = (
                f"{folder.journal}: its first line is damaged. This run is skipped. Move its "
                "folder away."
            )
        return None


def _unreadable(path: Path, error: OSError) -> str:
    """Explain why a folder of records cannot be read, and what to do."""
    words = f"{path}: this record cannot be read: {error.strerror or error}."
    if not isinstance(error, PermissionError):
        return words
    try:
        uid = path.lstat().st_uid
    except OSError:
        return words
    if uid == os.geteuid():
        return f"{words} Make it readable for you."
    name = f"user {uid}"
    with suppress(KeyError):
        name = pwd.getpwuid(uid).pw_name
    return f"{words} It belongs to {name}. Ask root to give it to you (`chown -R`)."


def find_run(queue: Path, name: str) -> RunRecord | None:
    """Find one run by its whole name; its journal is not read yet.

    Args:
        queue: the real path of the queue file; the run may be of another one in its folder.
        name: of the run.

    Returns:
        None where there is no such run, or none yet.

    Raises:
        PegasusError: there is one, and it cannot be read.
    """
    skipped: dict[str, str] = {}
    run = _find(RunFolder(folders.records_of(queue) / name), skipped)
    if skipped:
        raise PegasusError(skipped[name])
    return run


def read_runs(queue: Path, warnings: list[str] | None = None) -> list[RunRecord]:
    """Find and read the runs of a queue, the newest last; see ``find_runs``."""
    return [run for run in find_runs(queue, warnings) if refreshed(run, warnings)]


def refreshed(run: RunRecord, warnings: list[str] | None) -> bool:
    """Read on in a run; False, with a warning, where it can no longer be read."""
    try:
        run.refresh()
    except PegasusError as error:
        if warnings is not None:
            warnings.append(str(error))
        return False
    return True


def current_runs(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs that are meant without a name: all that go on, otherwise the newest."""
    return [run for run in runs if run.alive] or list(runs[-1:])


def newest_with_jobs(runs: Sequence[RunRecord]) -> RunRecord:
    """Read and return the newest run that has taken a job; the newest one where none has.

    A run of an empty queue, and one that could not begin, would hide the run that a user means.

    Args:
        runs: at least one, the newest last.
    """
    for run in reversed(runs):
        if refreshed(run, None) and run.state.jobs:
            return run
    return runs[-1]


def is_hidden(queue: Path, name: str) -> bool:
    """Report whether a command without the name of a run would take a newer run than this one."""
    try:
        runs = find_runs(queue)
    except PegasusError:
        return False
    newer = takewhile(lambda run: run.name != name, reversed(runs))
    return any(refreshed(run, None) and run.state.jobs for run in newer)


_PART_OF_NAME = 1000
"""A number from here on may be a part of a name: a date, a time or a process. A smaller one is in
the name of almost any run, and would mean another run than the user does."""


def choose_run(runs: Sequence[RunRecord], name: str) -> RunRecord:
    """Return the run with a name or number, or with a part of a name that no other run has.

    Raises:
        PegasusError: there is none, or there are several.
    """
    number = int(name) if _is_number(name) else None
    fitting = [run for run in runs if run.name == name]
    fitting = fitting or [run for run in runs if number is not None and run.began.number == number]
    if number is None or number >= _PART_OF_NAME:
        fitting = fitting or [run for run in runs if name in run.name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(run.name for run in fitting[-_SHOWN_NAMES:])
        raise PegasusError(f"Several runs have {name!r} in their names: {names}. Write more of it.")
    if not runs:
        raise PegasusError("No run of this queue is recorded. `pegasus queue` starts one.")
    names = ", ".join(run.name for run in runs[-_SHOWN_NAMES:])
    raise PegasusError(
        f"There is no run {name!r}. The newest are {names}; `pegasus status --runs` lists all."
    )
