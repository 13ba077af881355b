"""Slots that other runs hold, or have left behind."""

from __future__ import annotations

import pytest

from pegasus.events import Awaited, Ended
from pegasus.model import Job
from tests.unit.dispatching import run_queue
from tests.unit.other_runs import OtherRun, living
from tests.unit.slotted import SlotBench, gpus, node


@pytest.mark.parametrize("what", ["goes on", "is over"])
async def test_all_slots_are_held_by_another_run(what: str, threaded_clock: object) -> None:
    """Where another run holds all slots, jobs start as soon as it lets them go.

    The run may also have been killed: then they start once nothing of it lives on the node.
    """
    bench = SlotBench([node(0, gpus(2))], [Job("sleep 1"), Job("sleep 2"), Job("sleep 3")])
    object.__setattr__(bench.run, "shared", other := OtherRun(is_over=what == "is over"))
    bench.nodes["n0"].answer = living("run-0 8")  # type: ignore[assignment]
    await run_queue(bench)
    assert len(bench.events(Ended)) == 3
    assert other.holds == set()
    assert bench.events(Awaited)[0].waiting != ()
    assert bench.events(Awaited)[-1].waiting == ()


async def test_a_disk_that_refuses_is_tried_again(threaded_clock: object) -> None:
    """What the other runs could not be told of a command, they are told while it runs."""
    bench = SlotBench([node(0, gpus(1))], [Job("sleep 3")])
    other = OtherRun(is_over=False, refused=3)
    other.holds.clear()
    object.__setattr__(bench.run, "shared", other)
    await run_queue(bench)
    assert other.told[:3] == [1, 1, 1]
    assert other.told[-1] == 0
