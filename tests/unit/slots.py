"""What the tests of slots share: sub-nodes with pools, and commands that hold slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pegasus.events import (
    AllocationChanged,
    Awaited,
    BarrierPassed,
    Connected,
    Ended,
    Event,
    Probed,
    SlotSeen,
    Started,
    SubNodeAdded,
    Taken,
    WaitingFor,
)
from pegasus.model import (
    NO_DEMAND,
    Assignment,
    AtMost,
    Barrier,
    Demand,
    Exited,
    HeldSlots,
    Job,
    Outcome,
    Pool,
    Slot,
    SlotsHeld,
    SubNode,
)
from pegasus.record.recording import Record
from pegasus.rendered import as_recorded
from pegasus.run_state import RunState
from tests.unit.records import settle
from tests.unit.states import began

GPUS = tuple(Slot(str(number), f"GPU-{number:04}") for number in range(8))
POOLS = (Pool("gpu", "nvidia"), Pool("cpu", "fixed", tuple(map(str, range(16)))))

ASKED = SubNode(0, "node-1", pools=POOLS)
"""A sub-node whose GPUs are found by asking it."""

EIGHT = Pool("gpu", "fixed", tuple(map(str, range(8))))
FIXED = SubNode(1, "node-2", (("model", "a100"),), pools=(EIGHT,))
"""A sub-node whose eight slots the hosts file names."""


def held(pool: str = "gpu", *ids: int) -> HeldSlots:
    """Give slots that a command holds."""
    return HeldSlots(pool, tuple(Slot(str(each)) for each in ids))


def holds(number: int, node: SubNode, *slots: HeldSlots) -> Assignment:
    """Give a job to a sub-node, with slots."""
    job = Job(f"train {number}")
    return Assignment(number, job, node, as_recorded(job.command), slots=slots)


def begins(assignment: Assignment) -> list[Event]:
    """Give the events of a job that runs."""
    return [Taken(assignment.number, assignment.job), Started(assignment)]


def ends(assignment: Assignment, outcome: Outcome | None = None, after: float = 10.0) -> Ended:
    """Give the end of a job, well if nothing else is said."""
    return Ended(assignment, Exited(0) if outcome is None else outcome, after)


def run_with(nodes: Sequence[SubNode], *events: Event) -> RunState:
    """Give a run on sub-nodes that are connected, after further events, one each second."""
    state = RunState()
    state.apply(replace(began(), sub_nodes=tuple(nodes)), 0.0)
    for node in nodes:
        state.apply(Connected(node), 0.0)
    for at, event in enumerate(events, 1):
        state.apply(event, float(at))
    return state


# A run that is recorded.

DEMANDS = (
    NO_DEMAND,
    Demand((("gpu", 0), ("cpu", 8)), (("model", ("a100", "\udc80\n")),), AtMost(2, "3f9a01")),
)
HELD: Sequence[SlotsHeld] = [
    (),
    (),
    (HeldSlots("gpu", GPUS[:2], "nvidia"), held("cpu")),
    (HeldSlots("gpu", (), "nvidia"), held("cpu", 1)),
]

WAITS = (
    WaitingFor("queue.yaml:3:1", "torchrun {{ gpu }}", "needs 8 slots of gpu; node-2 is kept"),
    WaitingFor("queue.yaml:9:1", "barrier: succeeded", "4 jobs above it run"),
)

ABOUT_ALLOCATIONS = (
    AllocationChanged("12", "--nodes=2", "waiting", "Priority"),
    AllocationChanged("12", "--nodes=2", "running"),
    AllocationChanged("13", "", "draining"),
    AllocationChanged("12", "--nodes=2", "over", "TIMEOUT"),
)

OTHERS = "1,234 MiB in use by others"


def about_slots(node: SubNode) -> list[Event]:
    """Give events about the slots of a sub-node, and about what waits."""
    seen = (SlotSeen(GPUS[0]), SlotSeen(GPUS[1], OTHERS))
    return [
        Probed(node, "gpu", seen, output="0, GPU-0000"),
        Probed(node, "gpu", (), "it does not answer", "garbage"),
        Awaited(WAITS),
        Awaited(()),
        BarrierPassed(Barrier("ended")),
    ]


def told_of_slots() -> list[Event]:
    """Give events with all that a journal says of slots, in few fields."""
    node = SubNode(8, "gpus", pools=(Pool("gpu", "probe", ("0",), "list"),))
    demand = Demand((("gpu", 1),), (("model", ("a100",)),), AtMost(1, "x"))
    job = Job("train", demand=demand)
    slots = (HeldSlots("gpu", GPUS[:1], "probe"),)
    return [
        SubNodeAdded(node),
        Connected(node),
        Probed(node, "gpu", tuple(map(SlotSeen, GPUS[:2]))),
        Taken(11, job),
        Started(Assignment(11, job, node, as_recorded("train"), slots=slots)),
        Awaited(WAITS[:1]),
        BarrierPassed(Barrier("ended")),
    ]


def record_slots(record: Record) -> None:
    """Tell of a run that goes on: one job that failed, three that run, and two that wait."""
    gpus = HeldSlots("gpu", GPUS[:2], "nvidia")
    seen = tuple(SlotSeen(each, OTHERS if each is GPUS[5] else "") for each in GPUS)
    record.tell(Probed(ASKED, "gpu", seen, output="0, GPU-0000"))
    failed = holds(1, FIXED, held("gpu", 2, 3))
    running = [
        holds(2, ASKED, gpus, held("cpu", *range(8))),
        holds(3, FIXED, held("gpu", 0, 1, 2, 3)),
        holds(4, FIXED, held("gpu")),
    ]
    told = [
        *begins(failed),
        ends(failed, Exited(3)),
        *(e for each in running for e in begins(each)),
    ]
    for event in [*told, BarrierPassed(Barrier("ended")), Awaited(WAITS)]:
        record.tell(event)
    settle(record)
