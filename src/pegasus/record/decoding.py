"""Lines of the journal -> events; ``encoding`` is the way there.

Rule 1: pure; no file and no clock.
Rule 2: all fields are read before there is an event: a damaged line changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias, cast, get_args

from pegasus.events import (
    AllocationChanged,
    AllocationState,
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
    RunResult,
    RunResumed,
    Stalled,
    Started,
    StopStored,
    SubNodeAdded,
    Taken,
    TakenOver,
    Unreachable,
)
from pegasus.model import Assignment, Barrier, Job, Stream, SubNode
from pegasus.record import fields
from pegasus.record.fields import Data
from pegasus.record.slot_values import demand_of, seen_of, slots_of, waiting_of
from pegasus.record.values import origin_of, outcome_of, params_of, sub_node_of
from pegasus.rendered import as_recorded
from pegasus.run_state import RunState

_STDOUT, _STDERR = Stream

_LARGEST_PID = 2**31 - 1


_DECODER = json.JSONDecoder()
"""Its ``raw_decode`` takes two thirds of the time that ``json.loads`` takes for a line."""


def data_of(line: bytes) -> Data:
    """Read a line, with or without its newline.

    Raises:
        ValueError: it is no whole line.
    """
    text = line.decode("utf-8", "surrogatepass")
    try:
        data, end = _DECODER.raw_decode(text)
        if end != len(text):  # a newline, or what does not belong there
            data = json.loads(text)
    except RecursionError as error:
        raise ValueError("this line is nested too deep") from error
    if type(data) is not dict or type(data.get("event")) is not str:
        raise ValueError("this is no line of a journal")
    return data


def began_of(name: str, line: bytes) -> tuple[RunBegan, float]:
    """Read the first line of the journal of the run that the folder is named after.

    Returns:
        The event and its time.

    Raises:
        ValueError: it is none.
    """
    data = data_of(line)
    if data["event"] != "run_started":
        raise ValueError("this is not the first line of a journal")
    began = RunBegan(
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
        detached="detached" in data and fields.flag(data, "detached"),
        boot=fields.text(data, "boot") if "boot" in data else "",
        resumes=fields.text(data, "resumes") if "resumes" in data else "",
        sub_nodes=tuple(map(sub_node_of, fields.parts(data, "sub_nodes"))),
    )
    return began, fields.moment(data, "at")


def event_of(data: Data, state: RunState) -> Event | None:
    """Read an event from the fields of a line, and its job and sub-node from the state so far.

    Returns:
        The event; None for one that this version does not know, and for a second ``run_started``.

    Raises:
        ValueError: a field is missing or has another type.
        KeyError: the job or the sub-node is unknown.
    """
    decode = _DECODERS.get(data["event"])
    return decode(data, state) if decode is not None else None


def _decode_taken(data: Data, _: RunState) -> Event:
    number = fields.whole(data, "job", least=1)
    origin = origin_of(fields.part(data, "resumes")) if "resumes" in data else None
    job = Job(fields.text(data, "command"), params_of(data), demand=demand_of(data))
    return Taken(number, job, origin)


def _decode_started(data: Data, state: RunState) -> Event:
    number, sub_node = fields.whole(data, "job"), _sub_node(data, state)
    command = as_recorded(fields.text(data, "command"))
    key = fields.text(data, "detached") if "detached" in data else None
    slots = slots_of(data)
    return Started(Assignment(number, state.jobs[number].job, sub_node, command, key, slots))


def _decode_ended(data: Data, state: RunState) -> Event:
    return Ended(
        _with_key(_assignment(data, state), data),
        outcome_of(fields.part(data, "outcome")),
        fields.seconds(data, "seconds"),
        fields.flag(data, "again"),
        _printed(data),
    )


def _decode_returned(data: Data, state: RunState) -> Event:
    return Returned(_assignment(data, state), fields.text(data, "words"))


def _decode_progressed(data: Data, state: RunState) -> Event:
    return Progressed(_assignment(data, state), _printed(data))


def _decode_stalled(data: Data, state: RunState) -> Event:
    return Stalled(_assignment(data, state), fields.seconds(data, "seconds"))


def _decode_cut(data: Data, state: RunState) -> Event:
    return Cut(_assignment(data, state), fields.text(data, "words"))


def _decode_taken_over(data: Data, _: RunState) -> Event:
    pid = fields.whole(data, "pid", least=1, most=_LARGEST_PID)
    host, by, boot = (fields.text(data, name) for name in ("host", "by", "boot"))
    return TakenOver(pid, host, by, boot)


def _decode_released(data: Data, state: RunState) -> Event:
    return Released(_with_key(_assignment(data, state), data))


def _decode_connected(data: Data, state: RunState) -> Event:
    return Connected(state.sub_nodes[fields.whole(data, "sub_node")].sub_node)


def _decode_unreachable(data: Data, state: RunState) -> Event:
    sub_node = state.sub_nodes[fields.whole(data, "sub_node")].sub_node
    return Unreachable(sub_node, fields.text(data, "words"), None)


def _decode_missing(data: Data, state: RunState) -> Event:
    sub_node = state.sub_nodes[fields.whole(data, "sub_node")].sub_node
    return Missing(sub_node, fields.text(data, "words"))


def _decode_probed(data: Data, state: RunState) -> Event:
    seen = tuple(map(seen_of, fields.parts(data, "seen")))
    pool, words, output = (fields.text(data, name) for name in ("pool", "words", "output"))
    return Probed(_sub_node(data, state), pool, seen, words, output)


def _decode_barrier_passed(data: Data, _: RunState) -> Event:
    kind = fields.text(data, "kind")
    return BarrierPassed(Barrier("ended" if kind == "ended" else "succeeded"))


def _decode_gap(data: Data, _: RunState) -> Event:
    if "lines" in data:
        return LinesMissing(fields.whole(data, "lines"))
    number, sub_node = fields.whole(data, "job"), fields.whole(data, "sub_node")
    stream, size = Stream(fields.text(data, "stream")), fields.whole(data, "bytes")
    return OutputMissing(number, sub_node, stream, 0, size, "")


def _decode_run_ended(data: Data, _: RunState) -> Event:
    status = fields.maybe(fields.whole, data, "exit_status")
    # A newer version may know more ways to end; readers show the word as it is.
    left = fields.whole(data, "left") if "left" in data else None
    reason = fields.text(data, "reason") if "reason" in data else ""
    return RunEnded(status, cast("RunResult", fields.text(data, "how")), left, reason)


def _sub_node(data: Data, state: RunState) -> SubNode:
    """Give the sub-node of a line; the line that introduced it may be damaged."""
    number = fields.whole(data, "sub_node")
    known = state.sub_nodes.get(number)
    return SubNode(number, f"sub-node {number}") if known is None else known.sub_node


def _assignment(data: Data, state: RunState) -> Assignment:
    """Give the assignment of a line: that of the job's latest try there, where it had one."""
    job = state.jobs[fields.whole(data, "job")]
    latest = job.latest(fields.whole(data, "sub_node"))
    if latest is not None:
        return latest.assignment
    return Assignment(job.number, job.job, _sub_node(data, state), as_recorded(job.job.command))


def _with_key(assignment: Assignment, data: Data) -> Assignment:
    """Give the assignment of a line that may be about an earlier try than the last one there."""
    if "detached" not in data and assignment.key is None:
        return assignment
    return replace(assignment, key=fields.text(data, "detached") if "detached" in data else None)


def _printed(data: Data) -> dict[Stream, int]:
    return {_STDOUT: fields.whole(data, "stdout"), _STDERR: fields.whole(data, "stderr")}


def _decode_allocation(data: Data, _: RunState) -> AllocationChanged | None:
    states: tuple[AllocationState, ...] = get_args(AllocationState)
    state = next((each for each in states if each == data.get("state")), None)
    if state is None:  # of a later version
        return None
    job, request = fields.text(data, "job"), fields.text(data, "request")
    return AllocationChanged(job, request, state, fields.text(data, "words"))


_Decoder: TypeAlias = Callable[[Data, RunState], Event | None]

_DECODERS: dict[str, _Decoder] = {
    "run_started": lambda *_: None,
    "taken": _decode_taken,
    "started": _decode_started,
    "ended": _decode_ended,
    "returned": _decode_returned,
    "progressed": _decode_progressed,
    "stalled": _decode_stalled,
    "connected": _decode_connected,
    "unreachable": _decode_unreachable,
    "missing": _decode_missing,
    "cut": _decode_cut,
    "probed": _decode_probed,
    "awaited": lambda data, _: Awaited(tuple(map(waiting_of, fields.parts(data, "waiting")))),
    "allocation": _decode_allocation,
    "barrier_passed": _decode_barrier_passed,
    "reconnected": lambda data, state: Reconnected(_assignment(data, state)),
    "stop_stored": lambda data, state: StopStored(_assignment(data, state)),
    "released": _decode_released,
    "prepared": lambda data, state: Prepared(_sub_node(data, state), fields.text(data, "key")),
    "discarded": lambda data, state: Discarded(_sub_node(data, state), fields.text(data, "key")),
    "taken_over": _decode_taken_over,
    "sub_node": lambda data, _: SubNodeAdded(sub_node_of(data)),
    "noted": lambda data, _: Noted(fields.text(data, "text")),
    "gap": _decode_gap,
    "draining": lambda *_: RunDraining(),
    "paused": lambda *_: RunPaused(),
    "resumed": lambda *_: RunResumed(),
    "run_ended": _decode_run_ended,
}
