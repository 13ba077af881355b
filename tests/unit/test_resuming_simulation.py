"""Random broadcasts that are killed, drained or stopped by a failure, and continued until the end.

A seed makes one broadcast of several runs. ``PEGASUS_SIMULATIONS`` sets how many there are.
"""

from __future__ import annotations

import math
import os
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from pegasus.dispatch import ResumedStep
from pegasus.events import Ended, Event, Missing, Printed, RunBegan, Taken
from pegasus.model import Command, Job, SubNode, succeeded
from pegasus.resuming import steps_left
from pegasus.run_state import RunState
from tests.unit.dispatching import Bench, check_pauses, run_broadcast
from tests.unit.states import began

SIMULATIONS = int(os.environ.get("PEGASUS_SIMULATIONS", "40"))
STEPS = 20
MOST_RUNS = 200


@dataclass(frozen=True)
class Success:
    """A step that succeeded on a sub-node, which is known by its name."""

    sub_node: str
    step: int


class ResumedBroadcast:
    """A broadcast of several runs, each of which continues the one before."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.names = [f"n{number}" for number in range(8)]
        self.queue = [f"sleep {self.rng.randint(1, 9)} #{step}" for step in range(STEPS)]
        self.states: dict[str, RunState] = {}
        self.successes: list[Success] = []
        self.is_over = False

    async def go(self) -> None:
        """Run it until a run has finished all."""
        for number in range(1, MOST_RUNS):
            hurts = number < 2 or self.rng.random() < 0.7
            await self.one_run(f"run-{number}", hurts=hurts)
            if self.is_over:
                return
            self.change_hosts()
        raise AssertionError("it never ended")

    def change_hosts(self) -> None:
        """Remove, add and move sub-nodes now and then."""
        if self.rng.random() < 0.5:
            self.names = self.rng.sample(self.names, len(self.names) - self.rng.randint(0, 2))
        if self.rng.random() < 0.5:
            self.names.append(f"n{self.rng.randint(0, 12)}")  # it may be there already: a twin
        self.names = self.names or ["n0"]

    async def one_run(self, name: str, *, hurts: bool) -> None:
        sub_nodes = [SubNode(number, each) for number, each in enumerate(self.names)]
        bench = Bench(
            *self.queue, nodes=len(sub_nodes), error_aborts=True, fill=self.filled(hurts=hurts)
        )
        allowed = self.rng.choice([None, 2])
        bench.run = replace(
            bench.run,
            sub_nodes=sub_nodes,
            open_session=lambda each: bench.nodes[str(each.number)].open_session(),
            batch=self.rng.choice([None, 1, 3]),
            max_unreachable=allowed,
            resumed=partial(self.left, sub_nodes) if self.states else None,
        )
        if hurts and allowed:
            for each in self.rng.sample(sub_nodes, min(2, len(sub_nodes) - 1)):
                bench.nodes[str(each.number)].reachable = False
        with trio.CancelScope() as killed:
            async with trio.open_nursery() as nursery:
                if hurts:
                    killed.deadline = trio.current_time() + self.rng.expovariate(1 / 40)
                    nursery.start_soon(self.drain, bench)
                    nursery.start_soon(self.pause, bench)
                await run_broadcast(bench)
                nursery.cancel_scope.cancel()
            killed.deadline = math.inf
        check_pauses(bench)
        # What is told while it ends is not in the journal.
        told = [each for when, each in bench.listening.told if when < killed.deadline]
        self.note(name, bench, [event for event in told if not isinstance(event, Printed)])

    async def drain(self, bench: Bench) -> None:
        await trio.sleep(self.rng.expovariate(1 / 40))
        bench.run.ending.drain()

    async def pause(self, bench: Bench) -> None:
        """Pause the run now and then, for a while."""
        while True:
            await trio.sleep(self.rng.expovariate(1 / 15))
            if bench.dispatcher is not None and bench.dispatcher.continues:
                await bench.dispatcher.pausing.pause()
                await trio.sleep(self.rng.expovariate(1 / 15))
                bench.dispatcher.pausing.resume()

    def filled(self, *, hurts: bool) -> Callable[[Job, SubNode], Command]:
        """Let commands fail now and then."""

        def fill(job: Job, _: SubNode) -> Command:
            fails = hurts and self.rng.random() < 0.01
            step = job.command.partition("#")[2]
            return Command(f"exit 1 #{step}" if fails else job.command)

        return fill

    async def left(self, sub_nodes: Sequence[SubNode], _: Collection[int]) -> list[ResumedStep]:
        await trio.lowlevel.checkpoint()
        return [
            ResumedStep(each.origin, each.job, frozenset(node.number for node in each.needed))
            for each in steps_left(self.states, sub_nodes)
        ]

    def note(self, name: str, bench: Bench, events: Sequence[Event]) -> None:
        """Apply the journal to the state of the run, and count what succeeded."""
        state = self.states[name] = RunState()
        first: RunBegan = replace(
            began("broadcast"), name=name, sub_nodes=tuple(bench.run.sub_nodes)
        )
        for event in (first, *events):
            state.apply(event, 0.0)
        state.interrupted = True
        taken = {event.job.command for event in events if isinstance(event, Taken)}
        self.queue = [each for each in self.queue if each not in taken]
        for event in events:
            if isinstance(event, Ended) and succeeded(event.outcome):
                sub_node, step = event.assignment.sub_node, event.assignment.job.command
                twin = sum(
                    each.hostname == sub_node.hostname and each.number < sub_node.number
                    for each in bench.run.sub_nodes
                )
                where = f"{sub_node.hostname}/{twin}"
                self.successes.append(Success(where, int(step.partition("#")[2])))
        is_whole = not any(isinstance(event, Missing) for event in events)
        left = steps_left(self.states, bench.run.sub_nodes)
        self.is_over = is_whole and not left and not self.queue


@pytest.mark.parametrize("seed", range(SIMULATIONS))
async def test_each_step_succeeds_once_in_order(seed: int, autojump_clock: MockClock) -> None:
    """However often a broadcast is ended and continued, each step succeeds once on each sub-node.

    In order, also on sub-nodes that came later, were missing, or changed their place in the file.
    """
    broadcast = ResumedBroadcast(seed)
    await broadcast.go()
    counts = Counter(broadcast.successes)
    assert set(counts.values()) == {1}
    for name in {each.sub_node for each in broadcast.successes}:
        steps = [each.step for each in broadcast.successes if each.sub_node == name]
        assert steps == sorted(steps)
    for name in set(broadcast.names):
        for twin in range(broadcast.names.count(name)):
            done = {each.step for each in counts if each.sub_node == f"{name}/{twin}"}
            assert done == set(range(STEPS))
