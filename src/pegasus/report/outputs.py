"""What jobs printed, for ``pegasus logs``: byte for byte, all at once or as it comes.

The standard output of a job goes to standard output, its standard error to standard error. The two
are recorded apart: their order is known only while they are followed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from pegasus.errors import PegasusError
from pegasus.model import Stream
from pegasus.record import GrowingOutput, RunRecord
from pegasus.report.cutting import cut_middle, shared_start
from pegasus.run_state import Execution, JobState, StatusWord
from pegasus.slot_words import slots_text
from pegasus.standard_streams import STDERR, STDOUT, write
from pegasus.terminal_text import on_one_line, visible

LOOK_PERIOD = 0.1
"""Seconds between two looks at a file that grows: a user takes that for immediate."""

LINE_END_WAIT = 1.0
"""Seconds that other outputs wait for the end of a line before they continue in the middle of it: a
prompt or a progress bar may never end its line."""

_JOBS_IN_MESSAGE = 10
"""Numbers of jobs in a message."""

_LEAST_LISTED = 8
"""Cells for a command in the list of jobs that are worth it."""

_LISTED_COMMAND = 200
"""Characters of a command in the list of jobs."""

_NOT_FOLLOWED = (
    "[Pegasus] No Pegasus follows this command now; it goes on on its node, as far as is known. "
    "Its output continues here once `pegasus q`, `b` or `attach` follows it. Ctrl-C ends this."
)

_FDS = {Stream.STDOUT: STDOUT, Stream.STDERR: STDERR}


def message(text: str) -> None:
    """Write a line to standard error."""
    write(STDERR, text.encode("utf-8", "backslashreplace") + b"\n")


def numbers_text(numbers: Sequence[int]) -> str:
    """Name numbers: all of them where they are few or without gaps."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] + 1 == len(numbers):
        return f"{numbers[0]} to {numbers[-1]}"
    shown = ", ".join(map(str, numbers[:_JOBS_IN_MESSAGE]))
    more = len(numbers) - _JOBS_IN_MESSAGE
    return f"{shown} and {more} more" if more > 0 else shown


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
    """List the jobs of a run: how much they printed and how they ended."""
    write(STDOUT, f"run {visible(run.name)}\n".encode("utf-8", "backslashreplace"))
    slots = {job.number: _slots(job) for job in run.state.jobs.values()}
    is_cut = os.isatty(STDOUT) and os.get_terminal_size(STDOUT).columns > 0
    commands = {job.number: _command_of(job, is_cut=is_cut) for job in run.state.jobs.values()}
    shared = shared_start(list(commands.values()))
    wide = max(map(cell_len, slots.values()), default=0)
    column = f"  {'slots':<{max(wide, len('slots'))}}" if wide else ""
    lines = [f"{'job':>6}  {'stdout':>10}  {'stderr':>10}{column}  {'outcome':<22}  command\n"]
    for job in run.state.jobs.values():
        sizes = [f"{run.printed(job, stream):>10}" for stream in Stream]
        command = cut_middle(commands[job.number], _LISTED_COMMAND)
        text = slots[job.number]
        held = "  " + text + " " * (len(column) - 2 - cell_len(text)) if wide else ""
        line = f"{job.number:>6}  {'  '.join(sizes)}{held}  {_outcomes(run, job):<22}  {command}"
        lines.append(_one_row(line, len(line) - len(command), shared) + "\n")
    write(STDOUT, "".join(lines).encode("utf-8", "backslashreplace"))


def _slots(job: JobState) -> str:
    """Name the slots of a job's last try; in a broadcast there is no one last try."""
    tries = [] if job.everywhere else job.executions[-1:]
    return "".join(visible(slots_text(each.assignment.slots)) for each in tries)


def _command_of(job: JobState, *, is_cut: bool) -> str:
    """Give the command of a job; where lines are cut, as it ran: templates would be alike."""
    is_rendered = is_cut and job.executions
    return visible(job.executions[-1].assignment.command if is_rendered else job.job.command)


def _one_row(line: str, start: int, shared: int) -> str:
    """Cut the command of a line at the width of the terminal; without one, it stays whole.

    Args:
        line: the line.
        start: the index at which its command begins.
        shared: characters with which all commands begin.
    """
    if not os.isatty(STDOUT):
        return line
    columns = os.get_terminal_size(STDOUT).columns
    if not columns or cell_len(line) < columns:
        return line
    room = columns - 1 - cell_len(line[:start])
    if room > _LEAST_LISTED:
        return line[:start] + cut_middle(line[start:], room, shared)
    return set_cell_size(line, columns - 2) + "…"


def _outcomes(run: RunRecord, job: JobState) -> str:
    """Describe the outcome of one command in words, of several by number."""
    outcomes, words = run.state.outcomes(job), run.state.words_of(job)
    if len(outcomes) == 1:
        return words[0] if outcomes[0] is None else on_one_line(str(outcomes[0]))
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
