"""``pegasus logs``: what jobs printed, byte for byte, after a run or while it goes on.

What a job wrote to its standard output goes to standard output, its standard error to standard
error. The two were recorded apart: how they were interleaved is seen only while following.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from pegasus.errors import ExitStatus, PegasusError
from pegasus.model import Stream
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, choose_run, current_runs, find_runs
from pegasus.record.folder import open_to_read
from pegasus.run_state import Execution, JobState
from pegasus.standard_streams import write
from pegasus.terminal_text import on_one_line, visible

LOOK_AGAIN = 0.1
"""Seconds between two looks at a file that grows: what a person takes for at once."""

HOLD = 1.0
"""Seconds that others wait for the end of a line before they go on in the middle of it: a prompt
or a progress bar may never end its line."""

_BLOCK = 1 << 20
"""Bytes to copy at once."""

_SHOWN_JOBS = 10
"""Numbers of jobs in a message."""

_LONGEST_COMMAND = 200
"""Characters of a command in the list of jobs."""

_FDS = {Stream.STDOUT: 1, Stream.STDERR: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsSettings:
    """What the command line asks; see ``pegasus logs --help``.

    Attributes:
        queue_file: the queue's.
        job: a job's number in its run; None to list them all, or to follow the one that runs.
        run: a run's name, or a part of it; None for the newest.
        sub_node: of which sub-node, by number; None for all.
        follow: go on until the job has ended.
        stdout: show only its standard output, or with ``stderr`` both.
        stderr: show only its standard error, or with ``stdout`` both.
    """

    queue_file: Path
    job: int | None = None
    run: str | None = None
    sub_node: int | None = None
    follow: bool = False
    stdout: bool = False
    stderr: bool = False

    @property
    def streams(self) -> list[Stream]:
        """What to show."""
        wanted = {Stream.STDOUT: self.stdout, Stream.STDERR: self.stderr}
        return [stream for stream in Stream if wanted[stream] or not any(wanted.values())]


def logs(settings: LogsSettings) -> ExitStatus:
    """Show what a job printed, or list the jobs.

    Raises:
        PegasusError: there is no such run, job or sub-node, or it can't be read.
    """
    run = _run(settings)
    try:
        if settings.job is None and not settings.follow:
            return _list(run)
        job = _job(run, settings)
        if settings.follow:
            _follow(run, job, settings)
        else:
            _show(run, job, settings)
    except BrokenPipeError:
        pass  # whoever asked has seen enough
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    return ExitStatus.SUCCESS


# Which run, which job, which sub-nodes.


def _run(settings: LogsSettings) -> RunRecord:
    queue = QueueFile(settings.queue_file)
    warnings: list[str] = []
    runs = find_runs(queue.real, warnings)
    for warning in warnings:
        _say(f"[Pegasus] {visible(warning)}")
    if settings.run is not None:
        run = choose_run(runs, settings.run)
    elif runs:
        run = current_runs(runs)[-1]
    else:
        raise PegasusError(
            f"No run of {settings.queue_file} is recorded beside it. Go to its folder, or name it "
            "with --queue-file."
        )
    run.refresh()
    return run


def _job(run: RunRecord, settings: LogsSettings) -> JobState:
    if settings.job is None:
        running = list({job.number: job for job, _ in run.state.running()}.values())
        if len(running) == 1:
            return running[0]
        says = f"jobs {_numbers([job.number for job in running])} run" if running else "none runs"
        raise PegasusError(f"Which job? In run {run.name} {says}. Write `pegasus logs -f JOB`.")
    if settings.job in run.state.jobs:
        return run.state.jobs[settings.job]
    there = f"are jobs {_numbers(list(run.state.jobs))}" if run.state.jobs else "is none at all"
    raise PegasusError(
        f"There is no job {settings.job} in run {run.name}; there {there}. `pegasus logs` lists "
        "them, --run names another run."
    )


def _numbers(numbers: Sequence[int]) -> str:
    """Name numbers: all, where they are few or without gaps."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] + 1 == len(numbers):
        return f"{numbers[0]} to {numbers[-1]}"
    shown = ", ".join(map(str, numbers[:_SHOWN_JOBS]))
    return f"{shown} and {len(numbers) - _SHOWN_JOBS} more" if numbers[_SHOWN_JOBS:] else shown


def _executions(run: RunRecord, job: JobState, settings: LogsSettings) -> list[Execution]:
    """Give the executions to show, by sub-node; in a queue all of them share their files."""
    found = job.final
    if settings.sub_node is None:
        return sorted(found, key=lambda execution: execution.sub_node.number)
    fitting = [execution for execution in found if execution.sub_node.number == settings.sub_node]
    if not fitting and (found or settings.sub_node not in run.state.sub_nodes):
        ran = _numbers(sorted(execution.sub_node.number for execution in found)) or "none"
        raise PegasusError(
            f"Job {job.number} of run {run.name} did not run on sub-node {settings.sub_node}; it "
            f"ran on number {ran}. Sub-nodes are counted from 0, as in the hosts file."
        )
    return fitting


def _name(execution: Execution) -> str:
    return visible(str(execution.sub_node))


# All of it, at once.


def _show(run: RunRecord, job: JobState, settings: LogsSettings) -> None:
    executions = _executions(run, job, settings)
    for execution in executions:
        if len(executions) > 1:
            _heading(run, execution)
        for stream in settings.streams:
            _say_missing(execution, stream)
            _copy(_Source(run.output(job.number, execution.sub_node.number, stream), _FDS[stream]))


def _heading(run: RunRecord, execution: Execution) -> None:
    outcome = run.state.outcome_of(execution)
    words = "running" if outcome is None else on_one_line(str(outcome))
    _say(f"==> {execution.sub_node.number}: {_name(execution)} ({words}) <==")


def _say_missing(execution: Execution, stream: Stream) -> None:
    if missing := execution.missing.get(stream):
        _say(f"[Pegasus] {missing:,} bytes of this {stream.value} are missing: the disk was full.")


def _say(text: str) -> None:
    write(2, text.encode("utf-8", "backslashreplace") + b"\n")


@dataclass(slots=True)
class _Source:
    """A file of output, as far as it was shown.

    Attributes:
        path: it need not exist yet.
        fd: where it goes.
        heading: what to say when it is its turn and another's was before.
        offset: bytes that were shown.
        in_line: whether they ended in the middle of a line.
        since: when they were shown.
    """

    path: Path
    fd: int
    heading: str = ""
    offset: int = 0
    in_line: bool = False
    since: float = field(default_factory=time.monotonic)

    def blocks(self) -> Iterator[bytes]:
        """Give what is new."""
        try:
            file = open_to_read(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise PegasusError(
                f"{self.path}: this output cannot be read: {error.strerror or error}. Look after "
                "its owner and its mode."
            ) from error
        with file:
            file.seek(self.offset)
            while block := file.read(_BLOCK):
                self.offset += len(block)
                self.in_line, self.since = not block.endswith(b"\n"), time.monotonic()
                yield block


def _copy(source: _Source) -> None:
    for block in source.blocks():
        write(source.fd, block)


# Bit by bit.


def _follow(run: RunRecord, job: JobState, settings: LogsSettings) -> None:
    """Show a job's output as it comes, until the job has ended or its Pegasus has."""
    turns = _Turns()
    while True:
        # First whether it is over, then what is there: whoever is over writes nothing more.
        over = None not in run.state.outcomes(job)
        for execution in _executions(run, job, settings):
            turns.add(run, job, execution, settings)
        turns.take(last=over)
        if over:
            break
        time.sleep(LOOK_AGAIN)
        run.refresh()
    for execution in _executions(run, job, settings):
        for stream in settings.streams:
            _say_missing(execution, stream)


class _Turns:
    """Several files that are followed at once, each showing whole lines while it can."""

    def __init__(self) -> None:
        self._sources: dict[Path, _Source] = {}
        self._last: _Source | None = None

    def add(
        self, run: RunRecord, job: JobState, execution: Execution, settings: LogsSettings
    ) -> None:
        """Follow a command's output as well."""
        heading = f"==> {execution.sub_node.number}: {_name(execution)} <=="
        for stream in settings.streams:
            path = run.output(job.number, execution.sub_node.number, stream)
            self._sources.setdefault(path, _Source(path, _FDS[stream], heading))

    def take(self, *, last: bool) -> None:
        """Show what is new, where it may be shown now."""
        for source in sorted(self._sources.values(), key=lambda source: source is not self._last):
            if last or self._may_show(source):
                self._show(source)

    def _may_show(self, source: _Source) -> bool:
        """Tell whether nobody else is in the middle of a line, or has been for too long."""
        other = self._last
        if other is None or other is source or not other.in_line:
            return True
        return time.monotonic() - other.since > HOLD

    def _show(self, source: _Source) -> None:
        for block in source.blocks():
            before, self._last = self._last, source
            several = len({each.heading for each in self._sources.values()}) > 1
            if several and (before is None or before.heading != source.heading):
                _say(source.heading)
            write(source.fd, block)


# The list of jobs.


def _list(run: RunRecord) -> ExitStatus:
    write(1, f"run {visible(run.name)}\n".encode("utf-8", "backslashreplace"))
    lines = [f"{'job':>6}  {'stdout':>10}  {'stderr':>10}  {'outcome':<22}  command\n"]
    for job in run.state.jobs.values():
        sizes = [f"{run.printed(job, stream):>10}" for stream in Stream]
        command = visible(job.job.command[:_LONGEST_COMMAND])
        line = f"{job.number:>6}  {'  '.join(sizes)}  {_outcomes(run, job):<22}  {command}"
        lines.append(_one_row(line) + "\n")
    write(1, "".join(lines).encode("utf-8", "backslashreplace"))
    return ExitStatus.SUCCESS


def _one_row(line: str) -> str:
    """Cut a line at the width of the terminal, if there is one; a pipe gets all of it."""
    if not os.isatty(1):
        return line
    columns = os.get_terminal_size(1).columns
    return (
        line if not columns or cell_len(line) < columns else set_cell_size(line, columns - 2) + "…"
    )


def _outcomes(run: RunRecord, job: JobState) -> str:
    """Say what became of a job: in words where it is one command, else in numbers."""
    outcomes, words = run.state.outcomes(job), run.state.words_of(job)
    if len(outcomes) == 1:
        return words[0] if outcomes[0] is None else on_one_line(str(outcomes[0]))
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
