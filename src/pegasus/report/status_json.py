"""Runs as JSON, for programs: what ``pegasus status --json`` prints.

Rule 1: what is documented in ``docs/reference/record.md`` and in ``status.schema.json`` is a
promise: a field may be added, but one that is renamed, removed or given another meaning makes a
new REPORT_VERSION.
Rule 2: pure, but for the sizes of files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from pegasus.model import Exited, Outcome, Stream
from pegasus.record import (
    RunRecord,
    origin_data,
    outcome_data,
    output_stem,
    slot_data,
    slots_data,
    sub_node_data,
)
from pegasus.report.overview import Overview
from pegasus.run_state import (
    STATUS_WORDS,
    Execution,
    JobState,
    PoolUse,
    RunState,
    SubNodeState,
)

REPORT_VERSION = 1
"""The version of what a report says."""

JsonObject: TypeAlias = dict[str, Any]


_encode = json.JSONEncoder(check_circular=False).encode
_quote = json.encoder.encode_basestring_ascii

_STDOUT, _STDERR = Stream
_SUFFIXES = {stream: f".{stream.value}" for stream in Stream}


def report_text(overview: Overview) -> str:
    """Write an overview, on one line; the jobs only of runs that were asked for one by one."""
    head = {
        "version": REPORT_VERSION,
        "queue_file": overview.queue_file,
        "waiting": overview.waiting,
        "fault": overview.fault,
        "warnings": list(overview.warnings),
    }
    runs = [_run_text(overview, run) for run in overview.runs]
    return _with_list(head, "runs", runs)


def _with_list(head: JsonObject, name: str, texts: Sequence[str]) -> str:
    """Write an object whose last field is a list of values that are JSON already."""
    return f"{_encode(head)[:-1]}, {_encode(name)}: [{', '.join(texts)}]}}"


def _run_text(overview: Overview, run: RunRecord) -> str:
    report = run_report(run)
    remaining = overview.remaining_of(run, time.time())
    report["remaining_seconds"] = None if remaining is None else remaining.seconds
    if overview.all_runs:
        return _encode(report)
    writer = _JobWriter(run)
    return _with_list(report, "jobs", [writer.text_of(job) for job in run.state.jobs.values()])


def run_report(run: RunRecord) -> JsonObject:
    """Give the report of one run, without its jobs."""
    began, state, end = run.began, run.state, run.state.end
    counts = state.counts()
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
        "counts": {word.replace(" ", "_"): counts[word] for word in STATUS_WORDS if counts[word]},
        "warnings": run.warnings,
        "sub_nodes": _sub_nodes(run),
    }
    if state.waiting_for and run.liveness == "running":
        report["waiting_for"] = [asdict(each) for each in state.waiting_for]
    if state.allocations and run.liveness == "running":
        report["allocations"] = [asdict(each) for each in state.allocations.values()]
    if end is not None and end.reason:
        report["reason"] = end.reason
    if state.is_draining:
        report["draining_at"] = state.draining_at
    if state.is_paused:
        report["paused_at"] = state.paused_at
    if state.barriers_passed:
        report["barriers_passed"] = state.barriers_passed
    if began.resumes:
        report["resumes"] = began.resumes
    if began.detached:
        report |= {"detached": True, "taken_over_by": _follower(state)}
    return report


def _follower(state: RunState) -> JsonObject | None:
    follower = state.follower
    if follower is None:
        return None
    return {"pid": follower.pid, "host": follower.host, "run": follower.by or None}


def _sub_nodes(run: RunRecord) -> list[JsonObject]:
    pools: dict[int, dict[str, JsonObject]] = {}  # by the sub-node's number and the pool's name
    for use in run.state.pool_uses(run.held_beside()):
        data = _pool_use(use)
        for each in use.sub_nodes:
            pools.setdefault(each.number, {})[use.pool.name] = data
    return [_sub_node(each, pools.get(number, {})) for number, each in run.state.sub_nodes.items()]


def _sub_node(state: SubNodeState, pools: dict[str, JsonObject]) -> JsonObject:
    data = sub_node_data(state.sub_node)
    data |= {"state": state.connection, "words": state.words}
    if state.missing:
        data["missing"] = True
    if state.has_left:
        data["left"] = True
    if pools:
        data["pools"] = [each | pools[each["name"]] for each in data["pools"]]
    return data


def _pool_use(use: PoolUse) -> JsonObject:
    """Say who uses the slots of a pool."""
    return {
        "size": len(use.slots) if use.is_known else None,
        "held": len(use.held),
        "used_by_others": len(use.used),
        "free": len(use.free),
        "words": use.words,
        "asked_at": use.at,
        "slots": [
            slot_data(each.slot) | {"job": each.job, "used_by": each.used_by} for each in use.slots
        ],
    }


class _JobWriter:
    """Writes the jobs of one run as JSON.

    It writes text and not objects: a run may have a hundred thousand jobs, and that takes a third
    of the time of building objects and encoding them.
    """

    def __init__(self, run: RunRecord) -> None:
        self._state = run.state
        self._mode = run.began.mode
        self._output = _encode(f"{run.folder.output}/")[:-1]

    def text_of(self, job: JobState) -> str:
        """Write a job."""
        state = self._state
        outcomes = ", ".join([_outcome(each) for each in state.outcomes(job) if each is not None])
        executions = ", ".join([self._execution(job, each) for each in job.executions])
        resumes = f', "resumes": {_encode(origin_data(job.resumes))}' if job.resumes else ""
        params = ", ".join([f"{_quote(name)}: {_quote(text)}" for name, text in job.job.params])
        return (
            f'{{"job": {job.number}, "state": "{_job_state(state, job)}", '
            f'"command": {_quote(job.job.command)}, "params": {{{params}}}, '
            f'"taken_at": {job.taken_at!r}, "outcomes": [{outcomes}], '
            f'"executions": [{executions}]{resumes}}}'
        )

    def _execution(self, job: JobState, execution: Execution) -> str:
        outcome, command = self._state.outcome_of(execution), execution.command
        stem = output_stem(job.number, execution.assignment.sub_node.number, self._mode)
        return (
            f'{{"sub_node": {execution.assignment.sub_node.number}, '
            f'"command": {"null" if command is None else _quote(command)}, '
            f'"started_at": {_number(execution.started_at)}, '
            f'"ended_at": {_number(execution.ended_at)}, "seconds": {_number(execution.seconds)}, '
            f'"again": {"true" if execution.again else "false"}, '
            f'"outcome": {"null" if outcome is None else _outcome(outcome)}, '
            f"{_slots(execution)}{_silent(execution)}"
            f'"stdout": {self._stream(stem, execution, _STDOUT)}, '
            f'"stderr": {self._stream(stem, execution, _STDERR)}{_detached(execution)}}}'
        )

    def _stream(self, stem: str, execution: Execution, stream: Stream) -> str:
        size, ended = execution.printed.get(stream, 0), execution.outcome is not None
        so_far = f', "so_far": {size}' if execution.printed_at is not None and not ended else ""
        return (
            f'{{"file": {self._output}{stem}{_SUFFIXES[stream]}", '
            f'"bytes": {size if ended else "null"}, '
            f'"missing": {execution.missing.get(stream, 0)}{so_far}}}'
        )


def _outcome(outcome: Outcome) -> str:
    if isinstance(outcome, Exited):  # nearly all are
        return f'{{"kind": "exited", "status": {outcome.status}}}'
    return _encode(outcome_data(outcome))


def _slots(execution: Execution) -> str:
    """Write the slots that a command holds or held, and nothing where there are no pools."""
    slots = execution.assignment.slots
    return f"{_encode(slots_data(slots))[1:-1]}, " if slots else ""


def _silent(execution: Execution) -> str:
    """Write since when a command has printed nothing, and nothing where that was not reported."""
    since = execution.silent_since
    return "" if since is None else f'"silent_since": {since!r}, '


def _detached(execution: Execution) -> str:
    """Write what is known of a detached command, and nothing for another one."""
    if execution.assignment.key is None:
        return ""
    data = {
        "key": execution.assignment.key,
        "cut": execution.cut or None,
        "cut_at": execution.cut_at if execution.cut else None,
        "stop_stored": execution.stop_stored,
        "released": execution.released,
    }
    return f', "detached": {_encode(data)}'


def _number(value: float | None) -> str:
    return "null" if value is None else repr(value)


def _job_state(state: RunState, job: JobState) -> str:
    if not job.is_open:
        return "ended"
    words = state.words_of(job)
    if state.is_over:
        return "detached" if "detached" in words else "ended"
    return "running" if "running" in words else "taken"
