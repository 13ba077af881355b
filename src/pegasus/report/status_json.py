"""Runs as JSON, for programs: what ``pegasus status --json`` prints.

Rule 1: what is documented in ``docs/reference/record.md`` and in ``status.schema.json`` is a
promise: a field may be added, but one that is renamed, removed or given another meaning makes a
new REPORT_VERSION.
Rule 2: pure, but for the sizes of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from pegasus.model import Stream
from pegasus.record import OutputName, RunRecord, outcome_data, sub_node_data
from pegasus.run_state import Execution, JobState, RunState, SubNodeState

REPORT_VERSION = 1
"""The version of what a report says."""

JsonObject: TypeAlias = dict[str, Any]


def report_of(
    queue_file: str,
    waiting: int | None,
    fault: str | None,
    runs: Sequence[RunRecord],
    warnings: Sequence[str] = (),
    *,
    with_jobs: bool,
) -> JsonObject:
    """Give the whole report.

    Args:
        queue_file: its path as the user gave it.
        waiting: how many jobs are in it; None where there is no such file.
        fault: why some of them could not be counted.
        runs: the runs that were asked for, read.
        warnings: which runs could not be read, and why.
        with_jobs: whether each of their jobs is listed.
    """
    return {
        "version": REPORT_VERSION,
        "queue_file": queue_file,
        "waiting": waiting,
        "fault": fault,
        "warnings": list(warnings),
        "runs": [run_report(run, with_jobs=with_jobs) for run in runs],
    }


def run_report(run: RunRecord, *, with_jobs: bool) -> JsonObject:
    """Give the report of one run."""
    began, state, end = run.began, run.state, run.state.end
    report: JsonObject = {
        "run": run.name,
        "number": began.number,
        "state": run.liveness,
        "mode": began.mode,
        "queue_file": began.queue_file,
        "hosts_file": began.hosts_file,
        "host": began.host,
        "pid": began.pid,
        "pegasus": began.pegasus,
        "format": began.format,
        "started_at": run.began_at,
        "ended_at": end.at if end else None,
        "exit_status": end.exit_status if end else None,
        "how": end.result if end else None,
        "folder": str(run.folder.path),
        "bytes": run.size(),
        "counts": {word.replace(" ", "_"): count for word, count in state.counts().items()},
        "warnings": run.warnings,
        "sub_nodes": [_sub_node(each) for each in state.sub_nodes.values()],
    }
    if with_jobs:
        jobs = _Jobs(run)
        report["jobs"] = [jobs.report_of(job) for job in state.jobs.values()]
    return report


def _sub_node(state: SubNodeState) -> JsonObject:
    words = {"state": state.connection, "words": state.words}
    return sub_node_data(state.sub_node) | words


class _Jobs:
    """Reports of the jobs of one run; what is the same for all of them is looked up once."""

    def __init__(self, run: RunRecord) -> None:
        self._state = run.state
        self._mode = run.began.mode
        self._output = f"{run.folder.output}/"

    def report_of(self, job: JobState) -> JsonObject:
        """Give the report of a job."""
        outcomes = self._state.outcomes(job)
        return {
            "job": job.number,
            "state": _job_state(self._state, job),
            "command": job.job.command,
            "params": dict(job.job.params),
            "taken_at": job.taken_at,
            "outcomes": [outcome_data(outcome) for outcome in outcomes if outcome is not None],
            "executions": [self._execution(job, each) for each in job.executions],
        }

    def _execution(self, job: JobState, execution: Execution) -> JsonObject:
        outcome = self._state.outcome_of(execution)
        return {
            "sub_node": execution.sub_node.number,
            "command": execution.command,
            "started_at": execution.started_at,
            "ended_at": execution.ended_at,
            "seconds": execution.seconds,
            "again": execution.again,
            "outcome": None if outcome is None else outcome_data(outcome),
            "stdout": self._stream(job, execution, Stream.STDOUT),
            "stderr": self._stream(job, execution, Stream.STDERR),
        }

    def _stream(self, job: JobState, execution: Execution, stream: Stream) -> JsonObject:
        name = OutputName(job.number, execution.sub_node.number, stream)
        reported = execution.printed.get(stream)
        at_end = 0 if execution.outcome is not None else None
        return {
            "file": self._output + name.file_name(self._mode),
            "bytes": at_end if reported is None else reported,
            "missing": execution.missing.get(stream, 0),
        }


def _job_state(state: RunState, job: JobState) -> str:
    if not job.is_open or state.is_over:
        return "ended"
    return "running" if "running" in state.words_of(job) else "taken"
