"""Broadcast mode: each job on every sub-node, in lockstep."""

from __future__ import annotations

import random

import pytest
from trio.testing import MockClock

from pegasus.errors import PegasusError, sole_error
from pegasus.events import Unreachable
from pegasus.model import Command, Exited, Job, SlotsHeld, SubNode
from tests.unit.dispatching import Bench, run_broadcast


async def test_broadcast_in_lockstep(autojump_clock: MockClock) -> None:
    """No command of a step begins on any sub-node before the last one has ended on all."""
    rng = random.Random(0)
    bench = Bench(*[f"sleep {rng.uniform(0, 9):.3f}" for _ in range(20)], nodes=8)
    pace = {node: rng.uniform(0.1, 3) for node in range(8)}

    def fill(job: Job, sub_node: SubNode, _slots: SlotsHeld = (), /) -> Command:
        return Command(f"sleep {float(job.command.split()[1]) * pace[sub_node.number]:.3f}")

    object.__setattr__(bench.run, "fill", fill)
    await run_broadcast(bench)
    spans = bench.listening.spans()
    assert len(spans) == 20 * 8
    for step in range(1, 20):
        ended = max(spans[step, node][1] for node in range(8))
        begun = min(spans[step + 1, node][0] for node in range(8))
        assert ended <= begun


async def test_broadcast_with_an_unreachable_node(autojump_clock: MockClock) -> None:
    """A broadcast takes nothing before every sub-node is connected, and says who is not."""
    bench = Bench("exit 0")
    bench.nodes["n1"].reachable = False
    with pytest.raises(PegasusError, match="n1 cannot be reached"), sole_error():
        await run_broadcast(bench)
    assert len(bench.queue.jobs) == 1
    assert not bench.commands_run
    # No other try is announced, since there is none.
    assert [event.again_in for event in bench.events(Unreachable)] == [None]


async def test_broadcast_with_several_unreachable_nodes(autojump_clock: MockClock) -> None:
    """The error names all of them, however late they are, and none is tried a second time."""
    bench = Bench("exit 0", nodes=6)
    for number in (1, 3, 5):
        bench.nodes[f"n{number}"].reachable = False
        bench.nodes[f"n{number}"].answers_in = number * 10.0
    with pytest.raises(PegasusError, match="Repair them") as caught, sole_error():
        await run_broadcast(bench)
    assert str(caught.value).startswith("n[1,3,5] cannot be reached, and a broadcast needs every")
    assert len(bench.queue.jobs) == 1
    assert [event.again_in for event in bench.events(Unreachable)] == [None] * 3


async def test_broadcast_error_aborts(autojump_clock: MockClock) -> None:
    """With -e the step that failed ends everywhere, and the next stays in the queue."""
    bench = Bench("sleep 1", "x", "sleep 2", nodes=2, error_aborts=True)

    def fill(job: Job, sub_node: SubNode, _slots: SlotsHeld = (), /) -> Command:
        if job.command == "x":
            return Command("exit 1" if sub_node.number else "sleep 10")
        return Command(job.command)

    object.__setattr__(bench.run, "fill", fill)
    await run_broadcast(bench)
    assert [job.command for job in bench.queue.jobs] == ["sleep 2"]
    assert ("sleep 10", "n0", Exited(0)) in bench.listening.outcomes


async def test_broadcast_goes_on_without_error_aborts(autojump_clock: MockClock) -> None:
    """Without -e a failed step is reported, and the next one begins on all."""
    bench = Bench("exit 1", "exit 0", nodes=2)
    await run_broadcast(bench)
    assert len(bench.listening.outcomes) == 4
