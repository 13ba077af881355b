"""Demands and barriers as people type them on a command line.

``--needs gpu=2,cpu=8`` has numbers; ``--where model=a100,h100`` has values, as ``--param`` has.

Rule 1: pure; what the queue file would refuse is refused here, with what to type instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pegasus.demand import POOL_NAME, shared_group
from pegasus.errors import PegasusError
from pegasus.launch import NO_LAUNCH, Launch
from pegasus.launch_text import LAUNCH_KEY
from pegasus.model import AtMost, Barrier, Demand, Entry, Needs
from pegasus.queue_file.demands import BARRIER_KINDS, whole
from pegasus.queue_file.typed import ParamLists, read_lists


def read_typed_demand(
    needs: Iterable[str],
    where: Iterable[str],
    at_most: int | None = None,
    launch: Launch = NO_LAUNCH,
) -> Demand:
    """Read the options of one command.

    Args:
        needs: as in ``--needs``.
        where: as in ``--where``.
        at_most: how many of its jobs may run at a time.
        launch: how it is started.

    Raises:
        PegasusError: one of them is wrong.
    """
    running = None
    if at_most is not None:
        found = whole(str(at_most), 1)
        if isinstance(found, str):
            raise PegasusError(f"--at-most {at_most}: the number of jobs must be {found}.")
        running = AtMost(found)
    example = "a condition is a parameter of a sub-node and its values: --where model=a100,h100"
    return Demand(_needs(needs), read_lists(where, "--where", example), running, launch)


def read_typed_barrier(typed: str) -> Barrier:
    """Read a barrier.

    Raises:
        PegasusError: there is no such kind.
    """
    for kind in BARRIER_KINDS:
        if typed == kind:
            return Barrier(kind)
    raise PegasusError(
        f"--barrier {typed}: a barrier is succeeded or ended: pegasus add --barrier succeeded"
    )


def typed_entries(commands: Sequence[str], params: ParamLists, demand: Demand) -> list[Entry]:
    """Give an entry for each command; the jobs of all of them count together for ``--at-most``.

    Raises:
        PegasusError: a parameter has the key of an entry that an option needs.
    """
    keys = {
        "needs": ("--needs", demand.needs is not None),
        "where": ("--where", bool(demand.where)),
        "at_most": ("--at-most", demand.at_most is not None),
        LAUNCH_KEY: ("--shell or --chdir", demand.launch != NO_LAUNCH),
    }
    for name, _ in params:
        option, is_given = keys.get(name, ("", False))
        if is_given:
            raise PegasusError(
                f"--param {name}: beside {option} an entry has another meaning for this name. "
                "Take another name."
            )
    if demand.at_most is not None and len(commands) > 1:
        group = shared_group(commands, [name for name, _ in params], demand)
        demand = replace(demand, at_most=AtMost(demand.at_most.running, group))
    return [Entry((each,), params, None, demand) for each in commands]


def _needs(typed: Iterable[str]) -> Needs | None:
    needs: dict[str, int] = {}
    for each in typed:
        for part in each.split(","):
            name, equals, number = part.partition("=")
            if not equals or not POOL_NAME.fullmatch(name):
                raise PegasusError(
                    f"--needs {each}: a need is a name of slots and their number: --needs gpu=2"
                )
            if name in needs:
                raise PegasusError(f"--needs {each}: {name} is needed twice. Write one number.")
            count = whole(number, 0)
            if isinstance(count, str):
                raise PegasusError(
                    f"--needs {each}: the number of slots of {name} must be {count}."
                )
            needs[name] = count
    return tuple(needs.items()) or None
