"""Events -> lines of the journal; ``decoding`` is the way back.

Rule 1: pure; no file and no clock.
Rule 2: a line is one JSON object in UTF-8, ended by a newline; every text is preserved.
Rule 3: what is documented in ``docs/reference/record.md`` is a promise: a field may be added, but
one that is renamed, removed or given another meaning makes a new FORMAT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict

from pegasus.events import (
    AllocationChanged,
    Awaited,
    BarrierPassed,
    Connected,
    Cut,
    Discarded,
    Ended,
    Event,
    LinesMissing,
    Missing,
    Noted,
    OutputMissing,
    Prepared,
    Probed,
    Progressed,
    Reconnected,
    Released,
    Returned,
    RunBegan,
    RunDraining,
    RunEnded,
    RunPaused,
    RunResumed,
    Stalled,
    Started,
    StopStored,
    SubNodeAdded,
    Taken,
    TakenOver,
    Unreachable,
)
from pegasus.model import Assignment, Stream
from pegasus.record.fields import Data
from pegasus.record.slot_values import demand_data, seen_data, slots_data, waiting_data
from pegasus.record.values import origin_data, outcome_data, sub_node_data

FORMAT = 1
"""The version of what the lines say."""

MILLISECONDS = 3
"""Digits after the decimal point of times: finer than anything that crosses a network."""

# Half of a surrogate pair followed by the other half as a character of its own: JSON's escapes
# cannot tell them from the one character that they would form together.
_FALSE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

_READABLE = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
_ESCAPED = json.JSONEncoder(ensure_ascii=True, check_circular=False, separators=(",", ":"))


def line_of(event: Event, at: float) -> bytes:
    """Write an event as a line.

    Args:
        event: what happened.
        at: when, in seconds since the epoch.
    """
    name, data = _encoded(event)
    content = {"event": name, "at": round(at, MILLISECONDS), **data}
    text = _READABLE.encode(content)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        pass
    if _FALSE_PAIR.search(text):
        return text.encode("utf-8", "surrogatepass") + b"\n"
    return _ESCAPED.encode(content).encode() + b"\n"


def _encoded(event: Event) -> tuple[str, Data]:  # noqa: C901, PLR0911, PLR0912 -- one for each event
    """Give the name of an event in the journal, and its fields."""
    match event:
        case Started(assignment):
            numbers = _numbers(assignment)
            return "started", {
                **numbers,
                "command": assignment.command,
                **_key(assignment),
                **slots_data(assignment.slots),
            }
        case Ended():
            return "ended", _ended(event)
        case Taken(number, job, origin):
            data = {"job": number, "command": job.command, "params": dict(job.params)}
            data |= demand_data(job.demand)
            return "taken", data if origin is None else {**data, "resumes": origin_data(origin)}
        case Returned(assignment, words):
            return "returned", {**_numbers(assignment), "words": words}
        case Progressed(assignment, printed):
            return "progressed", {**_numbers(assignment), **_sizes(printed)}
        case Stalled(assignment, seconds):
            return "stalled", {**_numbers(assignment), "seconds": round(seconds, MILLISECONDS)}
        case Connected(sub_node):
            return "connected", {"sub_node": sub_node.number}
        case Unreachable(sub_node, words, again_in):
            again = None if again_in is None else round(again_in, MILLISECONDS)
            data = {"sub_node": sub_node.number, "words": words, "again_in": again}
            return "unreachable", data
        case Missing(sub_node, words):
            return "missing", {"sub_node": sub_node.number, "words": words}
        case Cut(assignment, words):
            return "cut", {**_numbers(assignment), "words": words}
        case Reconnected(assignment):
            return "reconnected", _numbers(assignment)
        case StopStored(assignment):
            return "stop_stored", _numbers(assignment)
        case Released(assignment):
            return "released", {**_numbers(assignment), **_key(assignment)}
        case Prepared(sub_node, key):
            return "prepared", {"sub_node": sub_node.number, "key": key}
        case Discarded(sub_node, key):
            return "discarded", {"sub_node": sub_node.number, "key": key}
        case TakenOver(pid, host, by, boot):
            return "taken_over", {"pid": pid, "host": host, "by": by, "boot": boot}
        case SubNodeAdded(sub_node):
            return "sub_node", sub_node_data(sub_node)
        case Probed() | Awaited() | BarrierPassed() | AllocationChanged():
            return _about_slots(event)
        case Noted(text):
            return "noted", {"text": text}
        case LinesMissing(lines):
            return "gap", {"lines": lines}
        case OutputMissing():
            return "gap", _output_gap(event)
        case RunBegan() | RunEnded() | RunDraining() | RunPaused() | RunResumed():
            return _about_run(event)


def _numbers(assignment: Assignment) -> Data:
    return {"job": assignment.number, "sub_node": assignment.sub_node.number}


def _key(assignment: Assignment) -> Data:
    return {} if assignment.key is None else {"detached": assignment.key}


def _sizes(printed: Mapping[Stream, int]) -> Data:
    return {stream.value: printed.get(stream, 0) for stream in Stream}


def _ended(event: Ended) -> Data:
    return {
        **_numbers(event.assignment),
        "outcome": outcome_data(event.outcome),
        "seconds": round(event.seconds, MILLISECONDS),
        "again": event.again,
        **_key(event.assignment),
        **_sizes(event.printed),
    }


def _about_slots(
    event: Probed | Awaited | BarrierPassed | AllocationChanged,
) -> tuple[str, Data]:
    match event:
        case Probed():
            return "probed", _probed(event)
        case Awaited(waiting):
            return "awaited", {"waiting": [waiting_data(each) for each in waiting]}
        case BarrierPassed(barrier):
            return "barrier_passed", {"kind": barrier.kind}
        case AllocationChanged():
            return "allocation", asdict(event)


def _probed(event: Probed) -> Data:
    return {
        "sub_node": event.sub_node.number,
        "pool": event.pool,
        "seen": [seen_data(each) for each in event.seen],
        "words": event.words,
        "output": event.output,
    }


def _output_gap(event: OutputMissing) -> Data:
    return {
        "job": event.number,
        "sub_node": event.sub_node,
        "stream": event.stream.value,
        "at_byte": event.at_byte,
        "bytes": event.size,
        "words": event.words,
    }


def _about_run(
    event: RunBegan | RunEnded | RunDraining | RunPaused | RunResumed,
) -> tuple[str, Data]:
    match event:
        case RunBegan():
            return "run_started", _began(event)
        case RunDraining():
            return "draining", {}
        case RunPaused():
            return "paused", {}
        case RunResumed():
            return "resumed", {}
        case RunEnded(exit_status, result, left, reason):
            more: Data = {} if left is None else {"left": left}
            more |= {"reason": reason} if reason else {}
            return "run_ended", {"exit_status": exit_status, "how": result, **more}


def _began(event: RunBegan) -> Data:
    return {
        "format": event.format,
        "pegasus": event.pegasus,
        "run": event.name,
        "number": event.number,
        "mode": event.mode,
        "queue_file": event.queue_file,
        "hosts_file": event.hosts_file,
        "pid": event.pid,
        "host": event.host,
        "locked": event.locked,
        "detached": event.detached,
        "boot": event.boot,
        **({"resumes": event.resumes} if event.resumes else {}),
        "sub_nodes": [sub_node_data(sub_node) for sub_node in event.sub_nodes],
    }
