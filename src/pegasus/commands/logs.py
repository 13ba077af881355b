"""``pegasus logs``: what jobs printed, byte for byte, during a run or after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pegasus.errors import ExitStatus, PegasusError
from pegasus.model import Stream
from pegasus.record import RunRecord
from pegasus.report.job_numbers import numbers_text
from pegasus.report.outputs import OutputChoice, follow, list_jobs, show
from pegasus.report.run_meant import run_meant
from pegasus.run_state import JobState
from pegasus.sub_node_names import number_meant


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsSettings:
    """What the command line asks; see ``pegasus logs --help``.

    Attributes:
        queue_file: its path.
        job: a job's number in its run; None to list all jobs, or to follow the one that runs.
        run: a run's name or a part of it; None for the newest.
        sub_node: what the one sub-node is called; None for all.
        follow: continue until the job has ended.
        stdout: show only its standard output, or with ``stderr`` both.
        stderr: show only its standard error, or with ``stdout`` both.
    """

    queue_file: Path
    job: int | None = None
    run: str | None = None
    sub_node: str | int | None = None
    follow: bool = False
    stdout: bool = False
    stderr: bool = False

    @property
    def streams(self) -> list[Stream]:
        """Which streams to show."""
        wanted = {Stream.STDOUT: self.stdout, Stream.STDERR: self.stderr}
        return [stream for stream in Stream if wanted[stream] or not any(wanted.values())]


def logs(settings: LogsSettings) -> ExitStatus:
    """Show what a job printed, or list the jobs.

    Raises:
        PegasusError: there is no such run, job or sub-node, or it can't be read.
    """
    run = run_meant(settings.queue_file, settings.run)
    try:
        if settings.job is None and not settings.follow:
            list_jobs(run)
            return ExitStatus.SUCCESS
        sub_node = settings.sub_node
        if sub_node is not None:
            sub_node = number_meant(
                sub_node, [each.sub_node for each in run.state.sub_nodes.values()]
            )
        choice = OutputChoice(run, _job_meant(run, settings), sub_node, settings.streams)
        if settings.follow:
            follow(choice)
        else:
            show(choice)
    except BrokenPipeError:
        pass  # the user has seen enough
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    return ExitStatus.SUCCESS


def _job_meant(run: RunRecord, settings: LogsSettings) -> JobState:
    jobs = run.state.jobs
    if settings.job is None:
        going_on = [*run.state.running(), *run.state.left()]
        running = list({job.number: job for job, each in going_on if not each.outcome}.values())
        if len(running) == 1:
            return running[0]
        numbers = numbers_text([job.number for job in running])
        words = f"jobs {numbers} run" if running else "none runs"
        raise PegasusError(f"Which job? In run {run.name} {words}. Write `pegasus logs -f JOB`.")
    if settings.job in jobs:
        return jobs[settings.job]
    there = f"are jobs {numbers_text(list(jobs))}" if jobs else "is none at all"
    raise PegasusError(
        f"There is no job {settings.job} in run {run.name}; there {there}. `pegasus logs` lists "
        "them, --run names another run."
    )
