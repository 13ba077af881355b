"""Runs as JSON, for programs: what ``pegasus status --json`` says.

Rule 1: what is documented in ``docs/reference/record.md`` and in ``status.schema.json`` is a
promise: a field may be added, but one that is renamed, removed or given another meaning makes a
new REPORT_VERSION.
Rule 2: pure, but for the sizes of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from pegasus.model import Stream
from pegasus.record.folder import OutputName
from pegasus.record.journal import outcome_data, sub_node_data
from pegasus.record.reading import Execution, JobRecord, RunRecord, SubNodeRecord

REPORT_VERSION = 1
"""The version of what a report says."""

Report: TypeAlias = dict[str, Any]


def report_of(
    queue_file: str,
    waiting: int | None,
    fault: str | None,
    runs: Sequence[RunRecord],
    warnings: Sequence[str] = (),
    *,
    with_jobs: bool,
) -> Report:
    """Say all there is to say.

    Args:
        queue_file: as the user gave it.
        waiting: how many jobs are in it; None where there is no such file.
        fault: what keeps some of them from being counted.
        runs: those that are asked for, read.
        warnings: which runs could not be read, and why.
        with_jobs: whether each of their jobs is told.
    """
    return {
        "version": REPORT_VERSION,
        "queue_file": queue_file,
        "waiting": waiting,
        "fault": fault,
        "warnings": list(warnings),
        "runs": [run_report(run, with_jobs=with_jobs) for run in runs],
    }


def run_report(run: RunRecord, *, with_jobs: bool) -> Report:
    """Say what there is to say about a run."""
    facts, end = run.facts, run.end
    report: Report = {
        "run": run.name,
        "number": facts.number,
        "state": run.state,
        "mode": facts.mode,
        "queue_file": facts.queue_file,
        "hosts_file": facts.hosts_file,
        "host": facts.host,
        "pid": facts.pid,
        "pegasus": facts.pegasus,
        "format": facts.format,
        "started_at": facts.started_at,
        "ended_at": end.at if end else None,
        "exit_status": end.exit_status if end else None,
        "how": end.how if end else None,
        "folder": str(run.folder.path),
        "bytes": run.size(),
        "counts": {word.replace(" ", "_"): count for word, count in run.counts().items()},
        "warnings": run.warnings,
        "sub_nodes": [_sub_node(record) for record in run.sub_nodes.values()],
    }
    if with_jobs:
        report["jobs"] = [_job(run, job) for job in run.jobs.values()]
    return report


def _sub_node(record: SubNodeRecord) -> Report:
    return sub_node_data(record.sub_node) | {"state": record.state, "words": record.words}


def _job(run: RunRecord, job: JobRecord) -> Report:
    outcomes = run.outcomes(job)
    return {
        "job": job.number,
        "state": _state(run, job),
        "command": job.job.command,
        "params": dict(job.job.params),
        "taken_at": job.taken_at,
        "outcomes": [outcome_data(outcome) for outcome in outcomes if outcome is not None],
        "executions": [_execution(run, job, each) for each in job.executions],
    }


def _state(run: RunRecord, job: JobRecord) -> str:
    if None not in run.outcomes(job):
        return "ended"
    return "running" if "running" in run.words_of(job) else "taken"


def _execution(run: RunRecord, job: JobRecord, execution: Execution) -> Report:
    outcome = run.outcome_of(execution)
    return {
        "sub_node": execution.sub_node,
        "command": execution.command,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "seconds": execution.seconds,
        "again": execution.again,
        "outcome": None if outcome is None else outcome_data(outcome),
        **{stream.value: _output(run, job, execution, stream) for stream in Stream},
    }


def _output(run: RunRecord, job: JobRecord, execution: Execution, stream: Stream) -> Report:
    name = OutputName(job.number, execution.sub_node, stream)
    return {
        "file": f"{run.folder.output}/{name.file_name(run.facts.mode)}",
        "bytes": execution.printed.get(stream),
        "missing": execution.missing.get(stream, 0),
    }
