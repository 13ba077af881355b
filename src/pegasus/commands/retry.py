"""``pegasus retry``: put jobs that did not succeed back into the queue, each of them once.

Which jobs of a run were put back stands in the file ``retried`` in the run's folder, one JSON
object a line. It is read and written under the queue's lock, in an order in which a crash at any
moment neither loses a job nor doubles it::

    new     .queue.yaml.pegasus-retry-…   the queue with the jobs in it    nothing happened
    append  retried                       the jobs, and the file's name    nothing happened
    rename  new -> queue.yaml             the jobs are back                done

So jobs are back if they are noted and the file that is named with them is gone. One that is
still there was never renamed: whoever comes next notes that it was undone, and removes it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from pegasus import durable
from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.durable import open_private as create
from pegasus.errors import ExitStatus, PegasusError
from pegasus.model import Outcome, succeeded
from pegasus.queue_file import LockedQueue, QueueFile, content, disk_errors, left
from pegasus.queue_file.adding import with_entries
from pegasus.queue_file.queue import MOST_TRIES, entries_of
from pegasus.queue_file.settled import Sight
from pegasus.record import RunRecord, choose_run, find_runs
from pegasus.run_state import JobState
from pegasus.screen import Screen
from pegasus.terminal_text import on_one_line

LEDGER = "retried"
"""The file in a run's folder that says which of its jobs were put back."""

MOST_SHOWN = 20
"""Jobs that are told one by one; of more their number is told."""

_COMMAND_LIMIT = 100
_NODES_LIMIT = 3
_NEW = ".pegasus-retry-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """What the command line says about what is put back; see ``pegasus retry --help``.

    Attributes:
        jobs: their numbers in the run; none stands for all that can be put back.
        run: the run's name or a part of it; None for the newest.
    """

    queue_file: Path
    jobs: tuple[int, ...] = ()
    run: str | None = None
    top: bool = False
    color: ColorChoice = "auto"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is put back, and what is not: why, by number."""

    jobs: tuple[JobState, ...]
    refused: dict[int, str]


async def retry(settings: RetrySettings) -> ExitStatus:
    """Put jobs back.

    Returns:
        SUCCESS; JOB_FAILED, where a job that was named could not be put back.

    Raises:
        PegasusError: there is no such run, or the queue file cannot take the jobs.
    """
    return await in_foreground(partial(_retry, settings), settings.color)


async def _retry(settings: RetrySettings, screen: Screen) -> ExitStatus:
    queue = QueueFile(settings.queue_file)
    warnings: list[str] = []
    try:
        run = await trio.to_thread.run_sync(read_run, queue.real, settings.run, warnings)
    finally:
        for warning in warnings:
            screen.say(warning)
    async with queue.locked(screen.say) as locked:
        # A take that a crash interrupted may have a job for the run that its record lacks.
        await trio.to_thread.run_sync(locked.recover)
        await trio.to_thread.run_sync(run.refresh)
        work = partial(put_back, locked, run, settings.jobs, top=settings.top)
        chosen = await trio.to_thread.run_sync(work)
    screen.say(*_words(settings, run, chosen))
    return ExitStatus.JOB_FAILED if settings.jobs and chosen.refused else ExitStatus.SUCCESS


def read_run(queue: Path, name: str | None, warnings: list[str] | None = None) -> RunRecord:
    """Read a run of a queue: the one of a name, or the newest.

    Args:
        queue: the real path of the queue file.
        name: of the run, or a part of it; None for the newest.
        warnings: gets a sentence for each run that cannot be read.

    Raises:
        PegasusError: there is none.
    """
    runs = find_runs(queue, warnings)
    if name is None and not runs:
        raise PegasusError(
            f"No run of {queue.name} is recorded in {queue.parent}. --queue-file names another; "
            "what ran without a record stands in consumed.yaml."
        )
    run = runs[-1] if name is None else choose_run(runs, name)
    run.refresh()
    return run


def choose(run: RunRecord, numbers: Sequence[int], back: Collection[int]) -> Chosen:
    """Tell what can be put back from what cannot.

    Args:
        run: the run, read.
        numbers: of the jobs that are asked for; none stands for all.
        back: the numbers of those that were put back before.
    """
    wanted = sorted(set(numbers)) or list(run.state.jobs)
    refused = {number: _refusal(run, number, back) for number in wanted}
    return Chosen(
        tuple(run.state.jobs[number] for number, why in refused.items() if not why),
        {number: why for number, why in refused.items() if why},
    )


def _refusal(run: RunRecord, number: int, back: Collection[int]) -> str:
    """Say why a job cannot be put back; nothing where it can."""
    job = run.state.jobs.get(number)
    if job is None:
        return "there is no such job in this run"
    outcomes = run.state.outcomes(job)
    if None in outcomes:
        return "it still runs" if job.executions else "it is about to start"
    if all(outcome is not None and succeeded(outcome) for outcome in outcomes):
        return "it succeeded"
    return "it was put back before" if number in back else ""


def put_back(
    locked: LockedQueue, run: RunRecord, numbers: Sequence[int], *, top: bool = False
) -> Chosen:
    """Put jobs of a run back into its queue, whose lock is held.

    Args:
        locked: the queue.
        run: the run, read.
        numbers: see ``choose``.
        top: before all that waits, instead of behind it.

    Raises:
        PegasusError: the queue file has a fault or could not be replaced; nothing was put back.
    """
    ledger = Ledger(run.folder.path, locked)
    try:
        chosen = choose(run, numbers, ledger.settle())
        if chosen.jobs:
            ledger.put_back(chosen.jobs, top=top)
    except OSError as error:
        raise PegasusError(
            f"{error.filename or locked.path}: {error.strerror or error}. Nothing was put back. "
            f"{disk_errors.next_step(error, 'Look after the disk or the folder, and try again')}."
        ) from error
    return chosen


class Ledger:
    """Which jobs of a run were put back; the queue's lock is held all the time.

    Args:
        run: the run's folder.
        locked: the queue.
    """

    def __init__(self, run: Path, locked: LockedQueue) -> None:
        self._path = run / LEDGER
        self._locked = locked
        self._lines = 0
        new = re.escape(f".{locked.real.name}{_NEW}")
        self._own_files = re.compile(rf"{new}\d+-{re.escape(run.name)}")
        self._noted_files = re.compile(rf"{new}\d+-[^/\0]+")  # the folder may have been renamed

    def settle(self) -> set[int]:
        """Undo what a crash cut off; give the numbers of the jobs that are back.

        Raises:
            OSError: it could not be undone, or not be read.
        """
        noted = self._read()
        for name, numbers in noted.items():
            if (self._folder / name).exists():
                self._append({"undone": name})
                (self._folder / name).unlink()
                numbers.clear()
        for path in self._folder.iterdir():
            if self._own_files.fullmatch(path.name):  # from before it was noted
                path.unlink()
        return {number for numbers in noted.values() for number in numbers}

    def put_back(self, jobs: Sequence[JobState], *, top: bool) -> None:
        """Put jobs into the queue, and note that they are back, as one step.

        Raises:
            OSError, PegasusError: nothing happened.
        """
        for _ in range(MOST_TRIES):
            sight = self._locked.to_be_changed()
            new = self._new()
            self._write_new(new, sight, jobs, top=top)
            self._append({"jobs": [job.number for job in jobs], "new": new.name})
            if left.replace(self._locked.real, new, sight):
                with suppress(OSError):  # it has happened, and nothing can make it undone
                    durable.sync_folder(self._folder)
                return
            self.settle()  # an editor was quicker: once more, with what it wrote
        raise PegasusError(
            f"{self._locked.path}: other programs keep rewriting this file, so nothing was put "
            "back. Edit it with `pegasus lock`."
        )

    @property
    def _folder(self) -> Path:
        return self._locked.real.parent

    def _new(self) -> Path:
        """Give the path of the file that becomes the queue; no name ever comes twice."""
        run = self._path.parent.name
        return self._folder / f".{self._locked.real.name}{_NEW}{self._lines}-{run}"

    def _write_new(
        self, new: Path, sight: Sight | None, jobs: Sequence[JobState], *, top: bool
    ) -> None:
        """Write the queue with the jobs in it, under another name."""
        path, real = self._locked.path, self._locked.real
        content.refuse_read_only(path, real)
        data, like = (b"", None) if sight is None else (sight.complete, durable.model_of(real))
        data = with_entries(path, data, entries_of([job.job for job in jobs]), top=top)
        try:
            durable.write_new(new, data, like=like)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def _read(self) -> dict[str, list[int]]:
        """Give the jobs that were noted, by the name of the file that was to bring them back.

        A line that is torn was cut off before its file could be renamed. One that names any other
        file than those that a retry makes is broken: that file is not ours to remove.
        """
        noted: dict[str, list[int]] = {}
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return noted
        self._lines = len(lines)  # more of them each time something is noted
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
                data: dict[str, Any] = json.loads(line)
                if "undone" in data:
                    noted.pop(data["undone"], None)
                elif self._noted_files.fullmatch(data["new"]):
                    noted[data["new"]] = [int(number) for number in data["jobs"]]
        return noted

    def _append(self, data: dict[str, object]) -> None:
        """Append a line, on the disk on return; one that is torn before it is ended first."""
        made = not self._path.exists()
        fd = create(self._path)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            line = json.dumps({"at": round(time.time(), 3), **data}).encode() + b"\n"
            durable.write_all(fd, b"\n" * torn + line)
            os.fsync(fd)
        finally:
            os.close(fd)
        if made:
            durable.sync_folder(self._path.parent)


# What is said about it.


def _words(settings: RetrySettings, run: RunRecord, chosen: Chosen) -> list[str]:
    where = "the top" if settings.top else "the end"
    many = "1 job" if len(chosen.jobs) == 1 else f"{len(chosen.jobs):,} jobs"
    lines = [f"Put {many} of run {run.name} back at {where} of {settings.queue_file}."]
    if not chosen.jobs:
        lines = [_nothing(settings, run, chosen)]
    elif run.began.mode == "broadcast":
        lines = [lines[0].removesuffix(".") + "; a broadcast runs each on every sub-node again:"]
    shown = chosen.jobs[:MOST_SHOWN]
    lines += [f"  job {job.number} ({_why(run, job)}): {_short(job)}" for job in shown]
    if len(shown) < len(chosen.jobs):
        lines.append(f"  … and {len(chosen.jobs) - len(shown):,} more")
    if settings.jobs:
        lines += [f"  job {number} not: {why}" for number, why in chosen.refused.items()]
    return lines


def _nothing(settings: RetrySettings, run: RunRecord, chosen: Chosen) -> str:
    """Say why nothing is put back: what stands in the way, and of how many jobs."""
    if settings.jobs:
        return f"Nothing of run {run.name} is put back:"
    if not chosen.refused:
        return f"Nothing is put back: run {run.name} took no job."
    reasons = list(chosen.refused.values())
    counts = ", ".join(f"{reason}: {reasons.count(reason):,}" for reason in dict.fromkeys(reasons))
    return f"Nothing of run {run.name} is put back ({counts})."


def _why(run: RunRecord, job: JobState) -> str:
    if run.began.mode == "queue" or not job.executions:
        return on_one_line(str(run.state.outcomes(job)[0]))
    bad = [
        f"{on_one_line(str(outcome))} on {execution.sub_node}"
        for execution in job.final
        if _is_bad(outcome := run.state.outcome_of(execution))
    ]
    more = len(bad) - _NODES_LIMIT
    return "; ".join(bad[:_NODES_LIMIT]) + (f"; and on {more:,} more" if more > 0 else "")


def _is_bad(outcome: Outcome | None) -> bool:
    return outcome is not None and not succeeded(outcome)


def _short(job: JobState) -> str:
    """Give the command in one line, as it will stand in the queue, and its parameters."""
    text = job.job.command
    text = text if len(text) <= _COMMAND_LIMIT else text[:_COMMAND_LIMIT] + " …"
    params = ", ".join(f"{name}={value}" for name, value in job.job.params)
    params = params if len(params) <= _COMMAND_LIMIT else params[:_COMMAND_LIMIT] + " …"
    return f"{text} ({params})" if params else text
