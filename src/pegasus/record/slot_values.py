"""Demands, pools and slots <-> the JSON objects that stand for them in a record."""

from __future__ import annotations

from typing import cast

from pegasus.events import SlotSeen, WaitingFor
from pegasus.launch import NO_LAUNCH, Launch
from pegasus.model import (
    NO_DEMAND,
    AtMost,
    Demand,
    HeldSlots,
    Pool,
    PoolKind,
    Slot,
    SlotsHeld,
    Where,
)
from pegasus.record import fields
from pegasus.record.fields import Data


def demand_data(demand: Demand) -> Data:
    """Write a demand as fields of its job; nothing where it demands nothing."""
    if demand is NO_DEMAND:
        return {}
    data: Data = {}
    if demand.needs is not None:
        data["needs"] = dict(demand.needs)
    if demand.where:
        data["where"] = [{"name": name, "values": list(values)} for name, values in demand.where]
    if (at_most := demand.at_most) is not None:
        data["at_most"] = {"running": at_most.running, "of": at_most.of}
    return data | launch_data(demand.launch)


def launch_data(launch: Launch) -> Data:
    """Write how commands are started, as a field; nothing where it is the usual way."""
    pairs = (("shell", launch.shell), ("chdir", launch.chdir))
    given = {name: value for name, value in pairs if value}
    return {"run": given} if given else {}


def launch_in(data: Data) -> Launch:
    """Read how commands are started.

    Raises:
        ValueError: it says no such thing.
    """
    if "run" not in data:
        return NO_LAUNCH
    given = fields.part(data, "run")
    values = (fields.text(given, name) if name in given else "" for name in ("shell", "chdir"))
    return Launch(*values)


def demand_of(data: Data) -> Demand:
    """Read the demand of a job.

    Raises:
        ValueError: it is none.
    """
    if not data.keys() & {"needs", "where", "at_most", "run"}:
        return NO_DEMAND
    needs = None
    if "needs" in data:
        counts = fields.part(data, "needs")
        needs = tuple((name, fields.whole(counts, name)) for name in counts)
    where: Where = ()
    if "where" in data:
        where = tuple(
            (fields.text(each, "name"), tuple(fields.strings(each, "values")))
            for each in fields.parts(data, "where")
        )
    at_most = None
    if "at_most" in data:
        limit = fields.part(data, "at_most")
        at_most = AtMost(fields.whole(limit, "running", least=1), fields.text(limit, "of"))
    return Demand(needs, where, at_most, launch_in(data))


def slots_data(slots: SlotsHeld) -> Data:
    """Write the slots that a command holds, as a field; nothing where there are no pools."""
    if not slots:
        return {}
    return {
        "slots": [
            {
                "pool": each.pool,
                "kind": each.kind,
                "slots": [slot_data(slot) for slot in each.slots],
            }
            for each in slots
        ]
    }


def slot_data(slot: Slot) -> Data:
    """Write a slot."""
    return {"id": slot.id, **({"device": slot.device} if slot.device else {})}


def slots_of(data: Data) -> SlotsHeld:
    """Read the slots that a command holds.

    Raises:
        ValueError: they are none.
    """
    if "slots" not in data:
        return ()
    return tuple(
        HeldSlots(
            fields.text(each, "pool"),
            tuple(map(_slot_of, fields.parts(each, "slots"))),
            cast("PoolKind", fields.text(each, "kind")),
        )
        for each in fields.parts(data, "slots")
    )


def seen_data(seen: SlotSeen) -> Data:
    """Write what a probe says about a slot."""
    return {**slot_data(seen.slot), "used_by": seen.used_by}


def seen_of(data: Data) -> SlotSeen:
    """Read what a probe says about a slot.

    Raises:
        ValueError: it says no such thing.
    """
    return SlotSeen(_slot_of(data), fields.text(data, "used_by"))


def waiting_data(waiting: WaitingFor) -> Data:
    """Write what a job waits for."""
    return {"position": waiting.position, "text": waiting.text, "words": waiting.words}


def waiting_of(data: Data) -> WaitingFor:
    """Read what a job waits for.

    Raises:
        ValueError: it says no such thing.
    """
    return WaitingFor(*(fields.text(data, name) for name in ("position", "text", "words")))


def pool_data(pool: Pool) -> Data:
    """Write a pool."""
    data: Data = {"name": pool.name, "kind": pool.kind, "ids": list(pool.ids)}
    return {**data, "command": pool.command} if pool.command else data


def pool_of(data: Data) -> Pool:
    """Read a pool.

    Raises:
        ValueError: it is none.
    """
    return Pool(
        fields.text(data, "name"),
        cast("PoolKind", fields.text(data, "kind")),
        tuple(fields.strings(data, "ids")),
        fields.text(data, "command") if "command" in data else "",
    )


def _slot_of(data: Data) -> Slot:
    return Slot(fields.text(data, "id"), fields.text(data, "device") if "device" in data else "")
