"""The figures of docs/why/placement.md: ``python -m tests.unit.placement_figures``."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pegasus.model import Demand, Job, Pool, Slot, SubNode
from pegasus.placement import NodeState, PoolState, Round
from tests.unit.simulated_placement import Durations, Machine, Place, Simulation

IDS = tuple(map(str, range(8)))
NARROW = Job("narrow", demand=Demand(needs=(("gpu", 1),)))
WIDE = Job("wide", demand=Demand(needs=(("gpu", 8),)))


def eights(count: int) -> list[Place]:
    """Make nodes of eight slots."""
    return [
        Place(
            SubNode(number, f"node-{number}", pools=(Pool("gpu", ids=IDS),)),
            Machine(f"node-{number}", {"gpu": tuple(map(Slot, IDS))}),
            lanes=8,
            most=8,
        )
        for number in range(count)
    ]


@dataclass(frozen=True, slots=True)
class WideRun:
    """How a wide job in a stream of narrow ones fared.

    Attributes:
        waited: seconds from the moment when it was the first in the queue to its start.
        bound: seconds from that moment to the last end of what ran then on the node that it got.
        other: the share of the slots of the other node that were in use meanwhile.
        idle: the share of all slots that were not in use until the last job started.
        idle_without: the same without the wide job.
    """

    waited: float
    bound: float
    other: float
    idle: float
    idle_without: float


def wide_run(seed: int) -> WideRun:
    """Run 200 narrow jobs with a wide one in the middle, on two nodes of eight slots."""
    chance = random.Random(seed)
    seconds = [chance.uniform(60, 600) for _ in range(201)]
    run = Simulation(
        eights(2), [(NARROW, 100), (WIDE, 1), (NARROW, 100)], chance, lambda _, job: seconds[job]
    )
    came: list[float] = []
    ends: dict[int, float] = {}

    def note(_: Round) -> None:
        if not came and run.lines and run.lines[0].job is WIDE:
            came.append(run.now)
            for number in run.running:
                place = run.tries[number].place
                assert place is not None
                node = place.sub_node.number
                ends[node] = max(ends.get(node, 0.0), run.tries[number].ends)

    run.on_round = note
    run.run()
    wide = run.tries[100]
    assert wide.place is not None
    got = wide.place.sub_node.number
    start = run.started[100]
    other = 1 - got
    span = start - came[0]
    used = sum(
        max(0.0, min(each.ends, start) - max(each.since, came[0]))
        for each in run.tries.values()
        if each.place is not None and each.place.sub_node.number == other
    )
    plain = Simulation(eights(2), [(NARROW, 200)], chance, lambda _, job: seconds[job])
    plain.run()
    return WideRun(
        span, ends[got] - came[0], used / (8 * span), idle_until_last(run), idle_until_last(plain)
    )


def idle_until_last(run: Simulation) -> float:
    """Give the share of the slots of two nodes that were idle until the last job started."""
    last = max(run.started.values())
    used = sum(
        (min(each.ends, last) - each.since) * len(each.slots)
        for each in run.tries.values()
        if each.since < last
    )
    return 1 - used / (16 * last)


def many(jobs: Sequence[tuple[Job, int]], seconds: Durations, *, nodes: int = 8) -> str:
    """Run many jobs; say how long the simulation took, and of that the choice."""
    run = Simulation(eights(nodes), jobs, random.Random(0), seconds, remembers=True)
    began = time.process_time()
    run.run()
    spent = time.process_time() - began
    assert len(run.done) == run.total
    return f"{run.total:,} jobs, {run.rounds:,} rounds: {spent:.2f} s"


def steady(nodes: Sequence[NodeState], job: Job, rounds: int) -> float:
    """Give the microseconds of a round in which one slot is free and one job starts."""
    began = time.process_time()
    for _ in range(rounds):
        choice = Round(nodes, known=frozenset([job.demand]))
        choice.place(job, 100)
        assert choice.is_full
    return (time.process_time() - began) / rounds * 1e6


def filling(jobs: int) -> float:
    """Give the microseconds for a job in a round in which all of them start."""
    slots = [Slot(str(number)) for number in range(64)]
    pools = (Pool("gpu", ids=tuple(slot.id for slot in slots)),)
    spent = 0.0
    for _ in range(jobs // 64):
        state = NodeState(
            SubNode(0, "n", pools=pools), 64, pools={"gpu": PoolState("gpu", free=slots)}
        )
        began = time.process_time()
        choice = Round([state])
        for _ in range(64):
            choice.place(NARROW)
            choice.is_full  # noqa: B018 -- it costs something
        spent += time.process_time() - began
    return spent / (jobs // 64 * 64) * 1e6


def nodes_with_one_free(nodes: int) -> list[NodeState]:
    """Make nodes of eight slots, one of which is free in all, on the last node."""
    found = []
    for place in eights(nodes):
        last = place.sub_node.number == nodes - 1
        state = PoolState("gpu", free=[Slot("3")] if last else [], held=7 if last else 8)
        found.append(NodeState(place.sub_node, 1 if last else 0, True, {"gpu": state}, 8))
    return found


def lines() -> Iterator[str]:
    """Give all figures, a line each."""
    runs = [wide_run(seed) for seed in range(200)]
    yield "a wide job between 200 narrow ones, two nodes of eight, 200 runs:"
    in_time = sum(run.waited <= run.bound for run in runs)
    yield f"  started as soon as what ran on its node had ended: {in_time} of {len(runs)}"
    yield f"  mean wait: {sum(r.waited for r in runs) / len(runs):.0f} s"
    yield f"  use of the other node meanwhile, least: {min(r.other for r in runs):.4f}"
    yield f"  idle until the last start, mean: {sum(r.idle for r in runs) / len(runs):.1%}"
    yield f"  without the wide job: {sum(r.idle_without for r in runs) / len(runs):.1%}"
    mixed = [
        (Job(str(n), demand=Demand(needs=(("gpu", random.Random(n).choice([1, 1, 2, 4, 8])),))), 1)
        for n in range(10_000)
    ]
    yield "narrow jobs of one entry, 64 slots: " + many(
        [(NARROW, 10_000)], lambda chance, _: chance.uniform(1, 9)
    )
    yield "entries of several widths, 64 slots: " + many(
        mixed, lambda chance, _: chance.uniform(1, 9)
    )
    yield f"a round in which 64 jobs start: {filling(64_000):.1f} us for a job"
    for nodes in (1, 8, 64):
        took = steady(nodes_with_one_free(nodes), NARROW, 2_000)
        yield f"a round in which one job starts, {nodes} nodes of eight: {took:.0f} us"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
