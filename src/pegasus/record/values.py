"""Outcomes, parameters and sub-nodes <-> the JSON objects that stand for them in a record."""

from __future__ import annotations

from pegasus.destination import transport_of
from pegasus.model import (
    Cancelled,
    Exited,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Params,
    SlurmPlace,
    StepOrigin,
    SubNode,
    TimedOut,
    TransportKind,
)
from pegasus.record import fields
from pegasus.record.fields import Data
from pegasus.record.slot_values import launch_data, launch_in, pool_data, pool_of

_EXITED = tuple(map(Exited, range(256)))
"""One object for each exit status: nearly all outcomes of a journal are one of them."""


def outcome_data(outcome: Outcome) -> Data:
    """Write an outcome as its kind and what belongs to it."""
    match outcome:
        case Exited(status):
            return {"kind": "exited", "status": status}
        case Killed(number, words):
            return {"kind": "killed", "signal": number, **({"words": words} if words else {})}
        case Cancelled():
            return {"kind": "cancelled"}
        case TimedOut(limit):
            return {"kind": "timed_out", "limit": limit}
        case Lost(words):
            return {"kind": "lost", "words": words}
        case NotStarted(words, is_final):
            data: Data = {"kind": "not_started", "words": words}
            return {**data, "is_final": True} if is_final else data


def outcome_of(data: Data) -> Outcome:  # noqa: PLR0911 -- one for each kind
    """Read an outcome; one of a kind that a newer Pegasus knows counts as lost.

    Raises:
        ValueError: it is none.
    """
    match fields.text(data, "kind"):
        case "exited":
            return _EXITED[fields.whole(data, "status", most=255)]
        case "killed":
            words = fields.text(data, "words") if "words" in data else ""
            return Killed(fields.whole(data, "signal"), words)
        case "cancelled":
            return Cancelled()
        case "timed_out":
            return TimedOut(fields.seconds(data, "limit"))
        case "lost":
            return Lost(fields.text(data, "words"))
        case "not_started":
            return NotStarted(fields.text(data, "words"), data.get("is_final") is True)
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
    data: Data = {
        "number": sub_node.number,
        "hostname": sub_node.hostname,
        "params": dict(sub_node.params),
        "transport": sub_node.transport,
    }
    if sub_node.pools:
        data["pools"] = list(map(pool_data, sub_node.pools))
    if sub_node.slurm is not None and sub_node.slurm.job:
        data["allocation"] = sub_node.slurm.job
    return data | launch_data(sub_node.launch)


def origin_data(origin: StepOrigin) -> Data:
    """Write where a step was taken from the queue."""
    return {"run": origin.run, "job": origin.job}


def origin_of(data: Data) -> StepOrigin:
    """Read where a step was taken from the queue.

    Raises:
        ValueError: it says no such thing.
    """
    return StepOrigin(fields.text(data, "run"), fields.whole(data, "job", least=1))


def sub_node_of(data: Data) -> SubNode:
    """Read a sub-node; in the records of earlier versions its name says how it is reached.

    Raises:
        ValueError: it is none.
    """
    number, hostname = fields.whole(data, "number"), fields.text(data, "hostname")
    stated = data.get("transport")
    kinds: dict[object, TransportKind] = {"local": "local", "slurm": "slurm"}
    transport = kinds.get(stated, "ssh") if isinstance(stated, str) else "ssh"
    if not stated:
        transport = transport_of(hostname)
    pools = tuple(map(pool_of, fields.parts(data, "pools"))) if "pools" in data else ()
    place = SlurmPlace(fields.text(data, "allocation")) if "allocation" in data else None
    launch = launch_in(data)
    return SubNode(number, hostname, params_of(data), transport, pools, place, launch)
