"""What the panel shows of slots, on a terminal of any size."""

from __future__ import annotations

from rich.cells import cell_len

from pegasus.events import Awaited, Event, Probed, SlotSeen, WaitingFor
from pegasus.model import Slot
from tests.unit.panels import panel
from tests.unit.slots import ASKED, EIGHT, FIXED, begins, ends, held, holds, run_with

WAITS = WaitingFor("queue.yaml:3:1", "torchrun", "needs 4 slots of gpu;\x1bnode-2 is kept for it")

MANY: list[Event] = [
    *begins(holds(7, FIXED, held("gpu", 5))),
    *begins(holds(2, FIXED, held("gpu", 0, 1, 2))),
    *begins(holds(9, FIXED, held("gpu"))),
    *begins(holds(3, ASKED, held("gpu"), held("cpu", 4, 5))),
]


def test_a_row_for_each_command() -> None:
    """A sub-node has a row for each of its commands, which names its slots, in their order."""
    rows = panel(run_with([ASKED, FIXED], *MANY), 100, now=75.0)[2:]
    assert rows == [
        "node-1 cpu=4,5              job 3     1:07  line of 3",
        "node-2 (model=a100) gpu=0-2 job 2     1:11  line of 2",
        "node-2 (model=a100) gpu=5   job 7     1:13  line of 7",
        "node-2 (model=a100) #9      job 9     1:09  line of 9",
    ]
    narrow = panel(run_with([ASKED, FIXED], *MANY), 40)[2:]
    assert [row[:13].rstrip()[-5:] for row in narrow] == ["u=4,5", "u=0-2", "gpu=5", "0) #9"]


def test_a_command_keeps_its_row() -> None:
    """Rows are in the order of the slots, whichever command started first."""
    state = run_with([ASKED, FIXED], *MANY)
    before = [row.split() for row in panel(state)[2:]]
    state.apply(ends(holds(2, FIXED, held("gpu", 0, 1, 2))), 50.0)
    assert [row.split() for row in panel(state)[2:]] == [before[0], *before[2:]]


def test_the_numbers_of_slots() -> None:
    """The first line says how many slots are held and how many others use, where there is room."""
    used = tuple(SlotSeen(Slot(each), "x" * (each == "7")) for each in EIGHT.ids)
    state = run_with([ASKED, FIXED], *MANY, Probed(FIXED, "gpu", used))
    lines = panel(state, 120)
    assert "gpu 4/8, cpu 2/16, 1 used by others" in lines[0]
    assert "gpu" not in panel(state, 60)[0]
    assert "4 running" in panel(state, 60)[0]


def test_what_the_head_of_the_queue_waits_for() -> None:
    """It has a line of its own, with the place in the queue file, and how many more wait."""
    state = run_with([ASKED, FIXED], *MANY, Awaited((WAITS, WAITS)))
    words = (
        "waits: queue.yaml:3:1: needs 4 slots of gpu;\\x1bnode-2 is kept for it (and 1 more wait)"
    )
    assert panel(state, 120)[2] == words
    assert all(cell_len(line) < 40 for line in panel(state, 40))
    assert not [line for line in panel(state, 80, 3) if line.startswith("waits")]
    assert panel(run_with([FIXED], Awaited((WAITS,))), 80, 3)[2].startswith("waits")
    assert not [line for line in panel(state, stage="draining") if line.startswith("waits")]


def test_that_all_slots_are_in_use_needs_no_line() -> None:
    """A job that waits as long as everything is in use is nothing to be told of."""
    all_held = begins(holds(1, FIXED, held("gpu", *range(7))))
    used = tuple(SlotSeen(Slot(each), "x" * (each == "7")) for each in EIGHT.ids)
    state = run_with([FIXED], *all_held, Awaited((WAITS,)))
    assert [line for line in panel(state) if line.startswith("waits")]
    state.apply(Probed(FIXED, "gpu", used), 9.0)
    assert not [line for line in panel(state) if line.startswith("waits")]
