"""Detached commands whose folders are left on their nodes, as people and programs see them.

Rule 1: it works offline, from the records: whether a command still runs is known to its node only.
Rule 2: pure, but for the stops that are stored in the folders of orders.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pegasus import duration
from pegasus.model import Lost
from pegasus.record import RunRecord, slots_data, sub_node_data
from pegasus.run_state import Execution, JobState
from pegasus.slot_words import where_words
from pegasus.terminal_text import on_one_line, visible

LEFT_REPORT_VERSION = 1
"""The version of what ``pegasus attach --list --json`` prints."""

FOLDERS = "/var/tmp/pegasus-*"  # noqa: S108 -- on nodes; each folder is for its owner only
"""Where nodes have the folders of detached commands; in place of ``*`` is the user's number."""

LeftStatus: TypeAlias = Literal["runs", "ended, not collected", "given up"]
"""What is known of a command that is left: it runs, as far as is known; its end is recorded; or
Pegasus gave it up, and it may still run."""

_COMMAND_WIDTH = 60
"""Characters of a command in the list: enough to identify it."""

_SHOWN_JOBS = 10
"""Numbers of jobs in a message."""

_COLUMN_GAP = "  "


@dataclass(frozen=True, slots=True)
class LeftFolder:
    """The folder of one detached command, on its node.

    Attributes:
        run: the run that started the command, read.
        job: its job.
        execution: the try.
        stop_stored: whether a stop waits for the next Pegasus that follows it.
    """

    run: RunRecord
    job: JobState
    execution: Execution
    stop_stored: bool

    @property
    def key(self) -> str:
        """The name of the folder."""
        return self.execution.assignment.key or ""

    @property
    def status(self) -> LeftStatus:
        """What is known of the command."""
        if self.execution.outcome is None:
            return "runs"
        return "given up" if isinstance(self.execution.outcome, Lost) else "ended, not collected"

    @property
    def may_run(self) -> bool:
        """Whether the command may still run."""
        return self.status != "ended, not collected"

    @property
    def path(self) -> str:
        """The path on the node, as a pattern for its shell."""
        return f"{FOLDERS}/{self.key}"


def left_in(run: RunRecord) -> list[LeftFolder]:
    """Give what is left of a run, in the order of the starts.

    Args:
        run: the run, read.
    """
    left = list(run.state.left())
    if not left:
        return []
    stored = set() if run.alive else _stored(run.folder.path)
    return [
        LeftFolder(run, job, each, each.stop_stored or _is_stored(stored, each))
        for job, each in left
    ]


def _stored(folder: Path) -> set[tuple[int, int | None]]:
    # Loads Trio, which takes half of the time of a look; it is needed only where something is left.
    from pegasus.orders import stored_stops  # noqa: PLC0415

    orders = [stop.order for stop in stored_stops(folder)]
    return {(order.number, order.sub_node) for order in orders}


def _is_stored(stored: set[tuple[int, int | None]], execution: Execution) -> bool:
    number, sub_node = execution.assignment.number, execution.sub_node.number
    return execution.outcome is None and bool({(number, None), (number, sub_node)} & stored)


# Sentences.


def left_words(left: LeftFolder) -> str:
    """Say what is known of a command, in a part of a sentence."""
    execution = left.execution
    words: str = left.status
    if execution.outcome is None and execution.cut and left.run.alive:
        words += f", its {cut_words(execution)}"
    elif execution.outcome is None and not left.run.alive:
        words += ", not followed"
    return words + ", stop stored" * left.stop_stored


def cut_words(execution: Execution) -> str:
    """Say when and why the connection to a command broke, in a part of a sentence."""
    ago = ""
    if execution.cut_at is not None:
        ago = f" {duration.words(max(0.0, time.time() - execution.cut_at))} ago"
    return f"connection broke{ago}: {visible(on_one_line(execution.cut))}"


def going_on_words(count: int, stops: int = 0) -> str:
    """Say that so many detached commands go on, and what follows them.

    Args:
        count: how many.
        stops: for how many of them a stop is stored.
    """
    if count == 1:
        words = (
            "1 command still runs on its node. `pegasus attach` follows it, `pegasus attach "
            "--list` lists it."
        )
    else:
        words = (
            f"{count:,} commands still run on their nodes. `pegasus attach` follows them, `pegasus "
            "attach --list` lists them."
        )
    if stops:
        which = "It" if count == 1 else "All" if stops == count else f"{stops:,} of them"
        verb = "is" if count == 1 or stops == 1 else "are"
        words += f" {which} {verb} ended as soon as Pegasus reaches the node: a stop is stored."
    return words


def folders_left_words(count: int) -> str:
    """Say that so many folders of commands that have ended are left, and what removes them."""
    if count == 1:
        noun, them = "The folder of 1 command that has ended is left on its node", "it"
    else:
        noun = f"The folders of {count:,} commands that have ended are left on their nodes"
        them = "them"
    return f"{noun}. `pegasus attach` removes {them}, `pegasus attach --list` lists {them}."


def follower_words(run: RunRecord) -> str:
    """Say which process runs a run, or has taken it over."""
    follower = run.state.follower
    if follower is None:
        return f"process {run.began.pid} on {visible(run.began.host)}"
    whose = f" of run {visible(follower.by)}" if follower.by else " (`pegasus attach`)"
    return f"process {follower.pid} on {visible(follower.host)}{whose}"


def may_run_words(run: RunRecord) -> dict[int, str]:
    """Say why jobs cannot be put back, by number: their detached commands may still run.

    A command that is followed now is none of these: it runs like any other.
    """
    words = {}
    for job, execution in run.state.left():
        where = visible(where_words(execution.assignment))
        if isinstance(execution.outcome, Lost):
            words[job.number] = (
                f"it may still run on {where}; `pegasus attach` ends it there, `pegasus attach "
                f"--forget {job.number} --run {visible(run.name)}` forgets it"
            )
        elif execution.outcome is None and not run.alive:
            words[job.number] = f"it still runs on {where}; `pegasus attach` follows it"
    return words


def how_to_stop_words(run: RunRecord) -> str:
    """Say how the commands end that a run has left, and that may still run."""
    numbers = sorted({each.job.number for each in left_in(run) if each.may_run})
    shown = ", ".join(map(str, numbers[:_SHOWN_JOBS]))
    shown += f" and {len(numbers) - _SHOWN_JOBS:,} more" if len(numbers) > _SHOWN_JOBS else ""
    noun = f"job {shown} goes" if len(numbers) == 1 else f"jobs {shown} go"
    return (
        f"Run {visible(run.name)}: {noun} on. `pegasus stop JOB --run {visible(run.name)}` ends "
        "one; `pegasus attach` follows them, and there Ctrl-C twice ends all."
    )


def stored_words(run: RunRecord, number: int) -> str:
    """Say that the stop of a job waits for the next Pegasus."""
    return (
        f"Job {number} of run {visible(run.name)}: no Pegasus follows it now, so the stop is "
        "stored. The next `pegasus q`, `b` or `attach` of this queue ends the command."
    )


# The list of ``pegasus attach --list``.


def left_lines(found: Sequence[LeftFolder]) -> Iterator[str]:
    """Lay out what is left, as a table, with what can be done about it."""
    if not found:
        yield "Nothing is left on any node."
        return
    rows: list[tuple[str, ...]] = [("run", "job", "on", "state", "since", "folder", "command")]
    rows += [_cells(each) for each in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield _COLUMN_GAP.join([*padded, row[-1]])
    running = [each for each in found if each.status == "runs" and not each.run.alive]
    if running:
        yield "`pegasus attach` follows what runs. `pegasus stop JOB --run RUN` ends a command."
    if any(each.status != "runs" for each in found):
        yield "`pegasus attach --forget` removes the folders of commands that have ended."


def _cells(left: LeftFolder) -> tuple[str, ...]:
    execution = left.execution
    since = execution.started_at if execution.outcome is None else execution.ended_at
    when = "" if since is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(since))
    command: str = execution.assignment.command
    if len(command) > _COMMAND_WIDTH:
        command = command[:_COMMAND_WIDTH] + " …"
    cells = (
        left.run.name,
        str(left.job.number),
        where_words(execution.assignment),
        left_words(left),
    )
    return tuple(map(visible, (*cells, when, left.path, command)))


def left_json(queue_file: str, found: Iterable[LeftFolder], warnings: Sequence[str]) -> str:
    """Write what is left for programs, on one line; ``docs/reference/record.md`` has the fields."""
    report = {
        "version": LEFT_REPORT_VERSION,
        "queue_file": queue_file,
        "warnings": list(warnings),
        "left": [_left_data(each) for each in found],
    }
    return json.dumps(report)


def _left_data(left: LeftFolder) -> dict[str, object]:
    execution = left.execution
    return {
        "run": left.run.name,
        "job": left.job.number,
        "sub_node": sub_node_data(execution.sub_node),
        **slots_data(execution.assignment.slots),
        "command": execution.assignment.command,
        "state": {"runs": "runs", "given up": "given_up"}.get(left.status, "ended"),
        "followed": left.run.alive,
        "stop_stored": left.stop_stored,
        "cut": execution.cut or None,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "key": left.key,
        "folder": left.path,
    }
