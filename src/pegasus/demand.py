"""What a job demands, compared with what the hosts file says about a sub-node.

Rule 1: pure, and only what never changes during a run: which slots are free is not known here.
Rule 2: where the number of slots is known only on the node, a job is assumed to fit.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pegasus.model import Demand, Entry, HeldSlots, Job, Pool, Slot, SlotsHeld, SubNode, Where

POOL_NAME = re.compile("[A-Za-z_][A-Za-z0-9_-]*")
"""A name of slots. It is also a name in templates and a part of the name of a variable."""

COUNT_SUFFIX = ".count"
"""``{{ gpu.count }}``: the number of slots that a command holds."""

NODELIST = "nodelist"
SLURM_FACTS = frozenset({"features", "partition", NODELIST})
"""Names that ``where`` may use for sub-nodes of a Slurm allocation, unless they are parameters: the
features of the node, of which one has to be accepted; the partition; and the node's name."""

GROUP_LENGTH = 12
"""Hexadecimal digits of a group: two of a million entries share one with a chance of 1 in 500."""

_MOST_LISTED = 5
_NOT_IN_A_VARIABLE = re.compile("[^A-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Why a job can run on no sub-node, whatever is free: a fault without its position.

    Attributes:
        what: what is wrong, as a sentence without its full stop.
        instead: the next step, likewise.
        about: the key of the entry that is the reason.
        at: line and column in the command, where that is the reason.
    """

    what: str
    instead: str
    about: Literal["needs", "where", "command"]
    at: tuple[int, int] = (1, 1)


def group_of(job: Job) -> str:
    """Give the group of a job: jobs of one group count together for ``at_most``.

    It is empty where the job has no ``at_most``. It does not depend on the values of parameters,
    so that all jobs of an entry are in one group, also in what remains of the entry.
    """
    at_most = job.demand.at_most
    if at_most is None:
        return ""
    return at_most.of or shared_group([job.command], [name for name, _ in job.params], job.demand)


def with_group(entry: Entry) -> Entry:
    """Give an entry whose jobs are in one group, even if it has several commands.

    What remains of such an entry has other commands, so its group must be written into it.
    """
    at_most = entry.demand.at_most
    if at_most is None or at_most.of or len(entry.commands) == 1:
        return entry
    group = shared_group(entry.commands, [name for name, _ in entry.params], entry.demand)
    return replace(entry, demand=replace(entry.demand, at_most=replace(at_most, of=group)))


def shared_group(commands: Sequence[str], names: Sequence[str], demand: Demand) -> str:
    """Give the group of several commands with one demand.

    It does not depend on the limit: one that a user changes counts what runs already.

    Args:
        commands: the templates.
        names: of their parameters.
        demand: with ``at_most``.
    """
    parts = [list(commands), list(names), demand.needs, demand.where]
    text = json.dumps(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:GROUP_LENGTH]


def accepts(where: Where, sub_node: SubNode) -> bool:
    """Tell whether a sub-node has one of the accepted values for each name."""
    if not where:
        return True
    known = {"hostname": sub_node.hostname, **dict(sub_node.params)}
    return all(
        known[name] in values if name in known else _slurm_accepts(name, values, sub_node)
        for name, values in where
    )


def _slurm_accepts(name: str, values: Sequence[str], sub_node: SubNode) -> bool:
    """Tell whether what Slurm says about a node is accepted; what it will say is not known."""
    place = sub_node.slurm
    if place is None or name not in SLURM_FACTS:
        return False
    if place.is_requested and name == NODELIST:
        return True
    facts = {**dict(place.facts), NODELIST: (sub_node.hostname,)}
    return name not in facts or any(value in facts[name] for value in values)


def needs_on(demand: Demand, sub_node: SubNode) -> dict[str, int] | None:
    """Give how many slots of which pools a job takes on a sub-node.

    This does not consider ``where``.

    Returns:
        The numbers, all of them positive, by the names of the pools. None if the job can never run
        there: a pool is missing, or has too few slots even if all are free.
    """
    pools = {pool.name: pool for pool in sub_node.pools}
    if demand.needs is None:
        return {sub_node.pools[0].name: 1} if sub_node.pools else {}
    needed = {name: count for name, count in demand.needs if count}
    fits = all(name in pools and _fits(count, pools[name]) for name, count in needed.items())
    return needed if fits else None


def fits_on(demand: Demand, sub_node: SubNode) -> bool:
    """Tell whether a job may run on a sub-node, if enough of its slots are free."""
    return accepts(demand.where, sub_node) and needs_on(demand, sub_node) is not None


def most_slots(pool: Pool) -> int | None:
    """Give the most slots that a pool can have; None if only its node knows."""
    return len(pool.ids) if pool.ids or pool.kind == "fixed" else None


def example_slots(demand: Demand, sub_node: SubNode) -> SlotsHeld:
    """Give slots that a job may hold on a sub-node on which it fits: the first ones."""
    needed = needs_on(demand, sub_node) or {}
    return tuple(_first(pool, needed.get(pool.name, 0)) for pool in sub_node.pools)


def slots_variable(pool: str) -> str:
    """Give the name of the environment variable that names the slots of a pool."""
    return f"PEGASUS_SLOTS_{_NOT_IN_A_VARIABLE.sub('_', pool.upper())}"


def nowhere(job: Job, sub_nodes: Sequence[SubNode]) -> Nowhere | None:
    """Find why a job can run on none of the sub-nodes, whatever is free; None if it can.

    Args:
        job: the job.
        sub_nodes: all of the run; where there is none, no job is to blame.
    """
    demand = job.demand
    if not sub_nodes or any(fits_on(demand, each) for each in sub_nodes):
        return None
    chosen = [each for each in sub_nodes if accepts(demand.where, each)]
    if not chosen:
        return _no_sub_node(demand.where, sub_nodes)
    words = _too_few(demand, chosen)
    among = ' that its "where" accepts' if len(chosen) < len(sub_nodes) else ""
    return replace(words, what=words.what.replace("no sub-node", f"no sub-node{among}", 1))


def _fits(count: int, pool: Pool) -> bool:
    most = most_slots(pool)
    return most is None or count <= most


def _first(pool: Pool, count: int) -> HeldSlots:
    ids = pool.ids or tuple(map(str, range(count)))
    return HeldSlots(pool.name, tuple(map(Slot, ids[:count])), pool.kind)


def _no_sub_node(where: Where, sub_nodes: Sequence[SubNode]) -> Nowhere:
    """Name the first condition that no sub-node meets, or say that none meets all."""
    for name, values in where:
        if any(accepts(((name, values),), each) for each in sub_nodes):
            continue
        known = dict.fromkeys(
            value
            for each in sub_nodes
            for key, value in (("hostname", each.hostname), *each.params, *_facts_of(each))
            if key == name
        )
        if not known:
            what = f'"where" asks for the parameter "{name}", and no sub-node has it'
            return Nowhere(what, "Add it to the hosts file, or change the entry", "where")
        wanted = _listed([f"{name}={value}" for value in values], " or ")
        what = f'"where" asks for {wanted}, and no sub-node has that'
        have = _listed([f"{name}={value}" for value in known], " and ")
        return Nowhere(what, f"The sub-nodes have {have}", "where")
    names = _listed([f'"{name}"' for name, _ in where], " and ")
    what = f'no sub-node has all that "where" asks for: {names}'
    return Nowhere(what, "Change the entry, or add a sub-node to the hosts file", "where")


def _facts_of(sub_node: SubNode) -> list[tuple[str, str]]:
    """Give what Slurm says about a node, as single values."""
    place = sub_node.slurm
    if place is None:
        return []
    return [(name, value) for name, values in place.facts for value in values]


def _too_few(demand: Demand, sub_nodes: Sequence[SubNode]) -> Nowhere:
    """Name the first pool of which no sub-node has enough, or say that none has enough of all."""
    needed = [(name, count) for name, count in demand.needs or () if count]
    for name, count in needed:
        have = [(pool, each) for each in sub_nodes for pool in each.pools if pool.name == name]
        if not have:
            what = f"this needs {_slots(count)} of {name}, and no sub-node has a pool of that name"
            pools = dict.fromkeys(pool.name for each in sub_nodes for pool in each.pools)
            hint = f"The pools are {_listed(list(pools), ' and ')}" if pools else ""
            step = hint or f"Write `slots: {{{name}: ...}}` in the hosts file"
            return Nowhere(what, step, "needs")
        if not any(_fits(count, pool) for pool, _ in have):
            best, where = max(have, key=lambda each: len(each[0].ids))
            what = (
                f"this needs {_slots(count)} of {name}, and no sub-node has more than "
                f"{len(best.ids)} ({where})"
            )
            return Nowhere(what, "Ask for fewer, or change the hosts file", "needs")
    names = _listed([f"{_slots(count)} of {name}" for name, count in needed], " and ")
    what = f"this needs {names}, and no sub-node has all of them"
    return Nowhere(what, "Ask for fewer, or change the hosts file", "needs")


def _slots(count: int) -> str:
    return "1 slot" if count == 1 else f"{count:,} slots"


def _listed(words: Sequence[str], last: str) -> str:
    if len(words) > _MOST_LISTED:
        return f"{', '.join(words[:_MOST_LISTED])}, and {len(words) - _MOST_LISTED:,} more"
    return ", ".join(words[:-1]) + (last if len(words) > 1 else "") + words[-1]
