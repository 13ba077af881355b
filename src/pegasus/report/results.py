"""The results of a run, a row for each job: what ``pegasus results`` prints.

Rule 1: what is documented in ``docs/reference/record.md`` and in ``results.schema.json`` is a
promise: a field may be added, but none is renamed, removed or given another meaning.
Rule 2: pure; it reads the state of a run and no file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pegasus.model import Exited, Killed, Outcome, Stream
from pegasus.record import RunRecord, slots_data, sub_node_data
from pegasus.run_state import Execution, JobState, StatusWord

_encode = json.JSONEncoder(check_circular=False).encode


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What became of a job; in a broadcast, of a job on one sub-node.

    Attributes:
        job: the job.
        execution: its try that counts; None where it waits for its first one.
        outcome: its outcome; None where it has not ended.
        word: the word by which it is counted.
        tries: all of its tries, in a broadcast those on the sub-node.
    """

    job: JobState
    execution: Execution | None
    outcome: Outcome | None
    word: StatusWord
    tries: Sequence[Execution]


def rows_of(run: RunRecord) -> Iterator[ResultRow]:
    """Give the rows of a run, in the order in which the jobs were taken.

    Args:
        run: the run, read.
    """
    state = run.state
    for job in state.jobs.values():
        executions: list[Execution | None] = [*job.final] or [None]
        described = zip(executions, state.outcomes(job), state.words_of(job), strict=True)
        for execution, outcome, word in described:
            yield ResultRow(job, execution, outcome, word, _tries(job, execution))


def _tries(job: JobState, execution: Execution | None) -> Sequence[Execution]:
    if execution is None or not job.everywhere:
        return job.executions
    number = execution.sub_node.number
    return [each for each in job.executions if each.sub_node.number == number]


def output_of(run: RunRecord, row: ResultRow, stream: Stream) -> Path | None:
    """Give the path of what a job printed; None where it is known that it printed nothing."""
    ended = all(each.outcome is not None for each in row.tries)
    if row.execution is None or (ended and not any(each.printed.get(stream) for each in row.tries)):
        return None
    return run.output(row.job.number, row.execution.sub_node.number, stream)


def moment_text(at: float | None) -> str | None:
    """Write a moment as ISO 8601, to the millisecond, in the time zone of this machine."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).astimezone().isoformat(timespec="milliseconds")


# For programs.


def result_data(run: RunRecord, row: ResultRow) -> dict[str, Any]:
    """Give a row as ``results.schema.json`` describes it."""
    job, execution, outcome = row.job, row.execution, row.outcome
    stdout, stderr = (output_of(run, row, stream) for stream in Stream)
    command = execution.assignment.command if execution else job.job.command
    slots = slots_data(execution.assignment.slots) if execution else {}
    return {
        "run": run.name,
        "job": job.number,
        "params": dict(job.job.params),
        "command": command,
        "sub_node": sub_node_data(execution.sub_node) if execution else None,
        **slots,
        "outcome": row.word.replace(" ", "_"),
        "exit_status": outcome.status if isinstance(outcome, Exited) else None,
        "signal": outcome.signal if isinstance(outcome, Killed) else None,
        "words": None if outcome is None else str(outcome),
        "started": moment_text(execution.started_at if execution else None),
        "ended": moment_text(execution.ended_at if execution else None),
        "seconds": execution.seconds if execution else None,
        "tries": len(row.tries),
        "stdout": None if stdout is None else str(stdout),
        "stderr": None if stderr is None else str(stderr),
    }


def json_lines(run: RunRecord) -> Iterator[str]:
    """Write the rows as a JSON list, one row on each line."""
    before = "[\n"
    for row in rows_of(run):
        yield before + _encode(result_data(run, row))
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def csv_text(run: RunRecord) -> str:
    """Write the rows as comma-separated values (RFC 4180), with a header.

    No cell is changed for spreadsheets, which take a cell that begins with ``=`` for a formula: a
    cell begins with the user's own text or with a word of Pegasus, never with text of a node.
    """
    found = [result_data(run, row) for row in rows_of(run)]
    params = _names(row["params"] for row in found)
    node_params = _names(row["sub_node"]["params"] for row in found if row["sub_node"])
    file = io.StringIO()
    writer = csv.writer(file)
    head = ["run", "job", *(f"param.{name}" for name in params), "sub_node", "hostname"]
    head += [f"sub_node.{name}" for name in node_params]
    pools = list(dict.fromkeys(each["pool"] for row in found for each in row.get("slots", ())))
    writer.writerow([*head, *(f"slots.{pool}" for pool in pools), *_CSV_FIELDS])
    for row in found:
        node = row["sub_node"] or {}
        node_values: Mapping[str, str] = node.get("params", {})
        cells = [row["run"], row["job"], *(row["params"].get(name) for name in params)]
        cells += [node.get("number"), node.get("hostname")]
        cells += [node_values.get(name) for name in node_params]
        held = {each["pool"]: each["slots"] for each in row.get("slots", ())}
        cells += [",".join(slot["id"] for slot in held.get(pool, ())) for pool in pools]
        writer.writerow([*cells, *(row[name] for name in _CSV_FIELDS)])
    return file.getvalue()


_CSV_FIELDS = (
    "command",
    "outcome",
    "exit_status",
    "signal",
    "words",
    "started",
    "ended",
    "seconds",
    "tries",
    "stdout",
    "stderr",
)
"""The columns after those that identify a row."""


def _names(mappings: Iterable[Mapping[str, str]]) -> list[str]:
    """Give all names, in the order of their first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
