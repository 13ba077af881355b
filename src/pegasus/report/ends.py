"""When a run, or a job in it, has ended for good, and how: what ``pegasus wait`` waits for.

Rule 1: pure; it reads the state of a record that was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pegasus import duration
from pegasus.demand import fits_on
from pegasus.errors import ExitStatus, PegasusError
from pegasus.model import Outcome, succeeded
from pegasus.record import RunRecord
from pegasus.run_state import STATUS_WORDS, JobState, StatusWord
from pegasus.terminal_text import on_one_line, visible


@dataclass(frozen=True, slots=True)
class EndFound:
    """An end.

    Attributes:
        status: the exit status that says how it ended.
        words: the same for people, in one line.
    """

    status: int
    words: str


def end_of_run(run: RunRecord) -> EndFound | None:
    """Give the end of a run; None while it goes on."""
    if run.liveness == "running":
        return None
    state, end = run.state, run.state.end
    counts = _counted(state.counts())
    how = "was killed, and last seen" if end is None else f"{end.result},"
    status = int(ExitStatus.JOB_FAILED)
    if end is not None and end.exit_status is not None:
        how, status = f"{how} exit status {end.exit_status},", end.exit_status
    took = duration.words(max(0.0, (state.last_at if end is None else end.at) - run.began_at))
    return EndFound(status, visible(f"Run {run.name}: {how} after {took}: {counts}."))


def end_of_job(run: RunRecord, number: int) -> EndFound | None:
    """Give the end of a job; None while it may still run, be tried again, or be taken.

    Raises:
        PegasusError: the run is over, and has taken no such job.
    """
    is_over, job = run.liveness != "running", run.state.jobs.get(number)
    if job is None and is_over:
        raise PegasusError(
            f"Run {run.name} is over, and has taken no job {number}. `pegasus logs --run "
            f"{run.name}` lists its jobs."
        )
    if job is None or not (is_over or _has_ended(run, job)):
        return None
    outcomes = run.state.outcomes(job)
    status = ExitStatus.SUCCESS if all(map(_succeeded, outcomes)) else ExitStatus.JOB_FAILED
    return EndFound(status, visible(f"Job {number} of run {run.name}: {_words(run, job)}."))


def _has_ended(run: RunRecord, job: JobState) -> bool:
    """Return whether a job of a run in progress has ended wherever it will run."""
    if job.is_open or not job.everywhere:
        return not job.is_open
    if next(reversed(run.state.jobs.values())) is not job:
        return True  # the broadcast has begun its next step
    nodes = [each for each in run.state.present if not each.missing]
    return all(
        (tried := job.latest(each.sub_node.number)) is not None and not tried.is_open
        for each in nodes
        if fits_on(job.job.demand, each.sub_node)
    )


def _succeeded(outcome: Outcome | None) -> bool:
    return outcome is not None and succeeded(outcome)


def _words(run: RunRecord, job: JobState) -> str:
    words = run.state.words_of(job)
    if "detached" in words:
        return f"{_counted(words)}. `pegasus attach` follows what goes on"
    if len(words) > 1 or not job.final:
        return _counted(words)
    (execution,), (outcome,) = job.final, run.state.outcomes(job)
    after = "" if execution.seconds is None else f" after {duration.words(execution.seconds)}"
    return f"{on_one_line(str(outcome))} on {execution.sub_node}{after}"


def _counted(words: Iterable[StatusWord]) -> str:
    counts = words if isinstance(words, Counter) else Counter(words)
    said = [f"{counts[word]:,} {word}" for word in STATUS_WORDS if counts[word]]
    return ", ".join(said) or "nothing was taken"
