"""What jobs printed, for ``pegasus logs``: byte for byte, all at once or as it comes.

The standard output of a job goes to standard output, its standard error to standard error. The two
are recorded apart: their order is known only while they are followed.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from pegasus.errors import PegasusError
from pegasus.model import Stream
from pegasus.record import GrowingOutput, RunRecord
from pegasus.report.cutting import cut_together
from pegasus.report.job_numbers import numbers_text
from pegasus.run_state import Execution, JobState, StatusWord
from pegasus.slot_words import slots_text
from pegasus.standard_streams import STDERR, STDOUT, write
from pegasus.terminal_text import on_one_line, visible

LOOK_PERIOD = 0.1
"""Seconds between two looks at a file that grows: a user takes that for immediate."""

LINE_END_WAIT = 1.0
"""Seconds that other outputs wait for the end of a line before they continue in the middle of it: a
prompt or a progress bar may never end its line."""

_LEAST_LISTED = 8
"""Cells for a command in the list of jobs that are worth it."""

_LISTED_TITLES = ("job", "stdout", "stderr", "slots", "outcome")
_SLOTS_INDEX = _LISTED_TITLES.index("slots")
_LISTED_WIDTHS = (6, 10, 10, 0, 22)
"""Columns of the list of jobs before the command, and their least widths in a file or a pipe."""

_LEAST_CELL = 20
"""Cells for slots and outcomes on a terminal, or a quarter of its width if that is more."""

_NOT_FOLLOWED = (
    "[Pegasus] No Pegasus follows this command now; it still runs on its node, as far as is known. "
    "Its output continues here once `pegasus q`, `b` or `attach` follows it. Ctrl-C ends this."
)

_FDS = {Stream.STDOUT: STDOUT, Stream.STDERR: STDERR}


def message(text: str) -> None:
    """Write a line to standard error."""
    write(STDERR, text.encode("utf-8", "backslashreplace") + b"\n")


@dataclass(frozen=True, slots=True)
class OutputChoice:
    """Which output of a job is shown.

    Attributes:
        run: the run, read.
        job: the job.
        sub_node: the number of the one sub-node; None for all.
        streams: which streams.
    """

    run: RunRecord
    job: JobState
    sub_node: int | None
    streams: Sequence[Stream]

    def executions(self) -> list[Execution]:
        """Return the executions, by sub-node; in queue mode all of a job share their files.

        Raises:
            PegasusError: the job did not run on that sub-node.
        """
        found = sorted(self.job.final, key=lambda execution: execution.sub_node.number)
        if self.sub_node is None:
            return found
        fitting = [each for each in found if each.sub_node.number == self.sub_node]
        if not fitting and (found or self.sub_node not in self.run.state.sub_nodes):
            ran = numbers_text([each.sub_node.number for each in found]) or "none"
            raise PegasusError(
                f"Job {self.job.number} of run {self.run.name} did not run on sub-node "
                f"{self.sub_node}; it ran on number {ran}. Sub-nodes are counted from 0, as in the "
                "hosts file."
            )
        return fitting

    def word(self) -> StatusWord:
        """Return the word for a command that has no end."""
        return "detached" if self.run.state.is_over else "running"

    def path(self, execution: Execution, stream: Stream) -> Path:
        """Return the path of one output."""
        return self.run.output(self.job.number, execution.sub_node.number, stream)


def show(choice: OutputChoice) -> None:
    """Show all output that there is."""
    executions = choice.executions()
    for execution in executions:
        if len(executions) > 1:
            outcome = choice.run.state.outcome_of(execution)
            words = choice.word() if outcome is None else on_one_line(str(outcome))
            message(_heading(execution, f" ({words})"))
        for stream in choice.streams:
            _report_missing(execution, stream)
            for block in GrowingOutput(choice.path(execution, stream)).new_blocks():
                write(_FDS[stream], block)


def _heading(execution: Execution, words: str = "") -> str:
    name = visible(str(execution.sub_node))
    return f"==> {execution.sub_node.number}: {name}{words} <=="


def _report_missing(execution: Execution, stream: Stream) -> None:
    if missing := execution.missing.get(stream):
        message(
            f"[Pegasus] {missing:,} bytes of this {stream.value} are missing: the disk was full."
        )


# As it comes.


def follow(choice: OutputChoice, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show a job's output as it comes, until the job has ended or Pegasus was killed.

    A detached command outlives Pegasus: then this waits for the next Pegasus that follows it.

    Args:
        choice: what is shown.
        sleep: waits between two looks.
    """
    state, followed = choice.run.state, _Followed()
    was_followed = True
    while True:
        # First whether it is over, then what there is: after its end nothing more is written.
        over = None not in state.outcomes(choice.job)
        for execution in choice.executions():
            for stream in choice.streams:
                followed.add(choice.path(execution, stream), _FDS[stream], _heading(execution))
        followed.show_new(last=over)
        if over:
            break
        is_followed = not state.is_over
        if was_followed and not is_followed:
            message(_NOT_FOLLOWED)
        was_followed = is_followed
        sleep(LOOK_PERIOD)
        choice.run.refresh()
    for execution in choice.executions():
        for stream in choice.streams:
            _report_missing(execution, stream)


@dataclass(frozen=True, slots=True, eq=False)
class _FollowedFile:
    """An output that is followed.

    Attributes:
        file: the output.
        fd: where it is shown.
        heading: shown when the output before it was of another sub-node.
    """

    file: GrowingOutput
    fd: int
    heading: str


class _Followed:
    """Several outputs that are followed at once; each shows whole lines while it can."""

    def __init__(self) -> None:
        self._files: dict[Path, _FollowedFile] = {}
        self._last: _FollowedFile | None = None

    def add(self, path: Path, fd: int, heading: str) -> None:
        """Follow an output as well, unless it is followed already."""
        if path not in self._files:
            self._files[path] = _FollowedFile(GrowingOutput(path), fd, heading)

    def show_new(self, *, last: bool) -> None:
        """Show what is new, where that does not break a line of another output.

        Args:
            last: whether nothing more comes.
        """
        for each in sorted(self._files.values(), key=lambda each: each is not self._last):
            if last or self._may_show(each):
                self._show(each)

    def _may_show(self, followed: _FollowedFile) -> bool:
        """Tell whether no other output is in the middle of a line, or has been for too long."""
        other = self._last
        if other is None or other is followed or not other.file.in_line:
            return True
        return time.monotonic() - other.file.read_at > LINE_END_WAIT

    def _show(self, followed: _FollowedFile) -> None:
        for block in followed.file.new_blocks():
            before, self._last = self._last, followed
            several = len({each.heading for each in self._files.values()}) > 1
            if several and (before is None or before.heading != followed.heading):
                message(followed.heading)
            write(followed.fd, block)


# The list of jobs.


def list_jobs(run: RunRecord) -> None:
    """List the jobs of a run: how much they printed, how they ended, and what ran.

    On a terminal the columns are no wider than they have to be, and commands are cut at its width.
    """
    columns = os.get_terminal_size(STDOUT).columns if os.isatty(STDOUT) else 0
    jobs = list(run.state.jobs.values())
    rows = [
        [
            str(job.number),
            *(str(run.printed(job, stream)) for stream in Stream),
            _cut_cell(_slots(job), columns),
            _cut_cell(_outcomes(run, job), columns),
        ]
        for job in jobs
    ]
    least = [0] * len(_LISTED_TITLES) if columns else _LISTED_WIDTHS
    widths = [
        _width_of(title, [row[index] for row in rows], size, is_terminal=columns > 0)
        for index, (title, size) in enumerate(zip(_LISTED_TITLES, least, strict=True))
    ]
    if not any(row[_SLOTS_INDEX] for row in rows):
        widths[_SLOTS_INDEX] = 0
    heads = [_head_of(row, widths) for row in (list(_LISTED_TITLES), *rows)]
    commands = [visible(_command(job)) for job in jobs]
    room = columns - 1 - cell_len(heads[0])
    if columns and room >= _LEAST_LISTED:
        commands = _cut_commands(jobs, commands, room)
    lines = [f"run {visible(run.name)}\n"]
    for head, command in zip(heads, ("command", *commands), strict=True):
        line = head + command
        too_wide = columns and cell_len(line) >= columns
        lines.append((set_cell_size(line, columns - 2) + "…" if too_wide else line) + "\n")
    write(STDOUT, "".join(lines).encode("utf-8", "backslashreplace"))


def _width_of(title: str, texts: Sequence[str], least: int, *, is_terminal: bool) -> int:
    """Give the width of a column. In a file, a long outcome does not make all rows long."""
    if title == "outcome" and not is_terminal:
        return least
    return max(least, cell_len(title), *map(cell_len, texts), 0)


def _cut_cell(text: str, columns: int) -> str:
    """Shorten a cell on a terminal: the command has to have room, too."""
    limit = max(_LEAST_CELL, columns // 4)
    return set_cell_size(text, limit - 1) + "…" if columns and cell_len(text) > limit else text


def _head_of(row: Sequence[str], widths: Sequence[int]) -> str:
    """Lay out what stands before the command; numbers are aligned to the right."""
    cells = []
    for index, (text, width) in enumerate(zip(row, widths, strict=True)):
        padding = " " * (width - cell_len(text))
        if width:
            cells.append(padding + text if index < _SLOTS_INDEX else text + padding)
    return "  ".join([*cells, ""])


def _command(job: JobState) -> str:
    """Give a job's command as it ran last; its template where it has not run."""
    return job.executions[-1].assignment.command if job.executions else job.job.command


def _cut_commands(jobs: Sequence[JobState], commands: Sequence[str], room: int) -> list[str]:
    """Shorten the commands; those of one template keep the parts in which they differ."""
    entries: defaultdict[str, list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        entries[job.job.command].append(place)
    shown = list(commands)
    for places in entries.values():
        params = [jobs[place].job.params for place in places]
        cut = cut_together([commands[place] for place in places], room, params)
        for place, command in zip(places, cut, strict=True):
            shown[place] = command
    return shown


def _slots(job: JobState) -> str:
    """Name the slots of a job's last try; in a broadcast there is no one last try."""
    tries = [] if job.everywhere else job.executions[-1:]
    return "".join(visible(slots_text(each.assignment.slots)) for each in tries)


def _outcomes(run: RunRecord, job: JobState) -> str:
    """Describe the outcome of one command in words, of several by number."""
    outcomes, words = run.state.outcomes(job), run.state.words_of(job)
    if len(outcomes) == 1:
        return words[0] if outcomes[0] is None else on_one_line(str(outcomes[0]))
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
