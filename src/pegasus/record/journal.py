"""Events <-> lines of the journal.

Rule 1: pure; no file and no clock.
Rule 2: a line is one JSON object in UTF-8, ended by a newline; every text there is comes through.
Rule 3: what is documented in ``docs/reference/record.md`` is a promise: a field may be added, but
one that is renamed, removed or given another meaning makes a new FORMAT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pegasus.events import Connected, Ended, Event, Noted, Returned, Started, Taken, Unreachable
from pegasus.model import (
    Cancelled,
    Exited,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Params,
    Stream,
    SubNode,
    TimedOut,
)
from pegasus.record import fields
from pegasus.record.fields import Data

FORMAT = 1
"""The version of what the lines say."""

Mode: TypeAlias = Literal["queue", "broadcast"]
How: TypeAlias = Literal["done", "drained", "aborted", "failed"]

_LARGEST_PID = 2**31 - 1

MILLISECONDS = 3
"""Digits behind the point of times: finer than anything that crosses a network."""

# Half of a pair of surrogates, and then the other half, as two characters of their own: JSON's
# escapes cannot tell them from the one character that they would make together.
_FALSE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

_READABLE = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
_ESCAPED = json.JSONEncoder(ensure_ascii=True, check_circular=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run from its first line.

    Attributes:
        name: of the run.
        number: of the run: higher than that of each earlier run of its folder; None where a
            version of Pegasus wrote it that had no such numbers.
        format: the version of its journal.
        pegasus: the version of Pegasus that wrote it.
        mode: whether each job runs once, or everywhere.
        queue_file: the real path of the queue file, as it was.
        hosts_file: as the user gave it.
        pid: of Pegasus.
        host: the machine on which Pegasus ran.
        locked: whether the run could hold its lock.
        sub_nodes: all of them, by number.
        started_at: seconds since the epoch.
    """

    name: str
    number: int | None
    format: int
    pegasus: str
    mode: Mode
    queue_file: str
    hosts_file: str
    pid: int
    host: str
    locked: bool
    sub_nodes: tuple[SubNode, ...]
    started_at: float


def line_of(event: str, at: float, data: Mapping[str, object]) -> bytes:
    """Write a line: what happened, when, and what belongs to it."""
    content = {"event": event, "at": round(at, MILLISECONDS), **data}
    text = _READABLE.encode(content)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        pass
    if _FALSE_PAIR.search(text):
        return text.encode("utf-8", "surrogatepass") + b"\n"
    return _ESCAPED.encode(content).encode() + b"\n"


def data_of(line: bytes) -> Data:
    """Read a line, with or without its newline.

    Raises:
        ValueError: it is no whole line.
    """
    try:
        data = json.loads(line.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise ValueError("this line is nested too deep") from error
    if not isinstance(data, dict) or not isinstance(data.get("event"), str):
        raise ValueError("this is no line of a journal")  # noqa: TRY004 -- one error for all
    return data


def facts_line(facts: Facts) -> bytes:
    """Write the first line of a journal."""
    data = {
        "format": facts.format,
        "pegasus": facts.pegasus,
        "run": facts.name,
        "number": facts.number,
        "mode": facts.mode,
        "queue_file": facts.queue_file,
        "hosts_file": facts.hosts_file,
        "pid": facts.pid,
        "host": facts.host,
        "locked": facts.locked,
        "sub_nodes": [sub_node_data(sub_node) for sub_node in facts.sub_nodes],
    }
    return line_of("run_started", facts.started_at, data)


def facts_of(name: str, line: bytes) -> Facts:
    """Read the first line of the journal of the run that the folder is named after.

    Raises:
        ValueError: it is none.
    """
    data = data_of(line)
    if data["event"] != "run_started":
        raise ValueError("this is not the first line of a journal")
    return Facts(
        name=name,
        number=fields.whole(data, "number", least=1) if "number" in data else None,
        format=fields.whole(data, "format"),
        pegasus=fields.text(data, "pegasus"),
        mode="broadcast" if data.get("mode") == "broadcast" else "queue",
        queue_file=fields.text(data, "queue_file"),
        hosts_file=fields.text(data, "hosts_file"),
        pid=fields.whole(data, "pid", least=1, most=_LARGEST_PID),
        host=fields.text(data, "host"),
        locked=fields.flag(data, "locked"),
        sub_nodes=tuple(map(sub_node_of, fields.parts(data, "sub_nodes"))),
        started_at=fields.moment(data, "at"),
    )


def event_line(  # noqa: PLR0911 -- one for each event
    event: Event, at: float, printed: Mapping[Stream, int]
) -> bytes:
    """Write what happened.

    Args:
        event: what.
        at: seconds since the epoch.
        printed: for an end, how many bytes the command wrote.
    """
    match event:
        case Connected(sub_node):
            return line_of("connected", at, {"sub_node": sub_node.number})
        case Unreachable(sub_node, words, again_in):
            again = None if again_in is None else round(again_in, MILLISECONDS)
            data = {"sub_node": sub_node.number, "words": words, "again_in": again}
            return line_of("unreachable", at, data)
        case Taken(number, job):
            data = {"job": number, "command": job.command, "params": dict(job.params)}
            return line_of("taken", at, data)
        case Started(assignment):
            numbers = {"job": assignment.number, "sub_node": assignment.sub_node.number}
            return line_of("started", at, numbers | {"command": assignment.command})
        case Returned(assignment, words):
            numbers = {"job": assignment.number, "sub_node": assignment.sub_node.number}
            return line_of("returned", at, numbers | {"words": words})
        case Ended():
            return _ended_line(event, at, printed)
        case Noted(text):
            return line_of("noted", at, {"text": text})


def _ended_line(ended: Ended, at: float, printed: Mapping[Stream, int]) -> bytes:
    data = {
        "job": ended.assignment.number,
        "sub_node": ended.assignment.sub_node.number,
        "outcome": outcome_data(ended.outcome),
        "seconds": round(ended.seconds, MILLISECONDS),
        "again": ended.again,
        **{stream.value: printed.get(stream, 0) for stream in Stream},
    }
    return line_of("ended", at, data)


def outcome_data(outcome: Outcome) -> Data:
    """Write an outcome as its kind and what belongs to it."""
    match outcome:
        case Exited(status):
            return {"kind": "exited", "status": status}
        case Killed(number):
            return {"kind": "killed", "signal": number}
        case Cancelled():
            return {"kind": "cancelled"}
        case TimedOut(limit):
            return {"kind": "timed_out", "limit": limit}
        case Lost(words):
            return {"kind": "lost", "words": words}
        case NotStarted(words):
            return {"kind": "not_started", "words": words}


def outcome_of(data: Data) -> Outcome:  # noqa: PLR0911 -- one for each kind
    """Read an outcome; one of a kind that a newer Pegasus knows counts as lost.

    Raises:
        ValueError: it is none.
    """
    match fields.text(data, "kind"):
        case "exited":
            return Exited(fields.whole(data, "status", most=255))
        case "killed":
            return Killed(fields.whole(data, "signal"))
        case "cancelled":
            return Cancelled()
        case "timed_out":
            return TimedOut(fields.seconds(data, "limit"))
        case "lost":
            return Lost(fields.text(data, "words"))
        case "not_started":
            return NotStarted(fields.text(data, "words"))
        case kind:
            return Lost(f"it ended as {kind!r}, which this version of Pegasus does not know")


def params_of(data: Data) -> Params:
    """Read parameters, in the order in which they were written.

    Raises:
        ValueError: they are none.
    """
    return fields.texts(data, "params")


def sub_node_data(sub_node: SubNode) -> Data:
    """Write a sub-node."""
    return {
        "number": sub_node.number,
        "hostname": sub_node.hostname,
        "params": dict(sub_node.params),
    }


def sub_node_of(data: Data) -> SubNode:
    """Read a sub-node.

    Raises:
        ValueError: it is none.
    """
    return SubNode(fields.whole(data, "number"), fields.text(data, "hostname"), params_of(data))


def sub_node_line(at: float, sub_node: SubNode) -> bytes:
    """Write that there is one more sub-node."""
    return line_of("sub_node", at, sub_node_data(sub_node))


def run_ended_line(at: float, exit_status: int | None, how: How) -> bytes:
    """Write the last line of a journal."""
    return line_of("run_ended", at, {"exit_status": exit_status, "how": how})


def lines_gap_line(at: float, lines: int) -> bytes:
    """Write that lines are missing here."""
    return line_of("gap", at, {"lines": lines})


def output_gap_line(
    at: float, *, job: int, sub_node: int, stream: Stream, span: Sequence[int], words: str
) -> bytes:
    """Write that bytes of a job's output are missing: from where on, and how many."""
    numbers = {"job": job, "sub_node": sub_node, "stream": stream.value}
    return line_of("gap", at, numbers | {"at_byte": span[0], "bytes": span[1], "words": words})
