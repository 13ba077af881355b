"""Runs with known durations, simulated event by event, and how well their end was estimated.

``python -m tests.unit.simulated_runs 1000`` prints the table of docs/why/estimate.md.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeAlias

from pegasus.events import Connected, Ended, Started, Taken
from pegasus.model import Assignment, Exited, Job, SubNode
from pegasus.rendered import as_recorded
from pegasus.run_state import RunState, remaining_of
from tests.unit.states import began

MOMENTS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""When an estimate is compared, as shares of the time that the run takes."""

JOB, COMMAND = Job("x"), as_recorded("x")

Draw: TypeAlias = Callable[[random.Random, float, int], float]
"""Gives the duration of a job: from a source of chance, the job's place in the queue from 0 to 1,
and the sub-node that runs it."""


def _bimodal(chance: random.Random, _place: float, _node: int) -> float:
    return chance.uniform(8, 12) if chance.random() < 0.8 else chance.uniform(80, 120)


DRAWS: dict[str, Draw] = {
    "constant": lambda *_: 30.0,
    "uniform": lambda chance, *_: chance.uniform(10, 50),
    "exponential": lambda chance, *_: chance.expovariate(1 / 30),
    "lognormal": lambda chance, *_: chance.lognormvariate(3, 1),
    "bimodal": _bimodal,
    "two speeds": lambda chance, _, node: chance.uniform(20, 40) * (3 if node % 3 == 0 else 1),
    "trend": lambda chance, place, _: chance.uniform(20, 40) * (1 + 2 * place),
}
"""The distributions of durations, in seconds."""


@dataclass(frozen=True, slots=True)
class Guess:
    """An estimate, and what it should have been.

    Attributes:
        moment: when, as a share of the run's time.
        seconds: what was estimated; None for no estimate.
        truth: the time that remained.
        total: the time that the run took.
    """

    moment: float
    seconds: float | None
    truth: float
    total: float

    @property
    def error(self) -> float:
        """The error, relative to the time that remained."""
        return 1.0 if self.seconds is None else abs(self.seconds - self.truth) / self.truth

    @property
    def error_of_total(self) -> float:
        """The error, relative to the time of the whole run."""
        return 1.0 if self.seconds is None else abs(self.seconds - self.truth) / self.total


Timeline: TypeAlias = list[tuple[float, Started | Ended]]


def schedule(chance: random.Random, draw: Draw, jobs: int, nodes: int) -> tuple[Timeline, float]:
    """Run jobs, each on the next free sub-node; give all starts and ends, and the last."""
    free = [(0.0, node) for node in range(nodes)]
    timeline: Timeline = []
    last = 0.0
    for number in range(1, jobs + 1):
        at, node = heapq.heappop(free)
        seconds = draw(chance, number / jobs, node)
        given = Assignment(number, JOB, SubNode(node, f"node-{node}"), COMMAND)
        timeline += [(at, Started(given)), (at + seconds, Ended(given, Exited(0), seconds))]
        heapq.heappush(free, (at + seconds, node))
        last = max(last, at + seconds)
    timeline.sort(key=lambda each: (each[0], isinstance(each[1], Started)))
    return timeline, last


def guesses(
    chance: random.Random, draw: Draw, jobs: int, nodes: int, moments: Sequence[float] = MOMENTS
) -> Iterator[Guess]:
    """Give the estimates of a simulated run, at shares of its time."""
    timeline, total = schedule(chance, draw, jobs, nodes)
    sub_nodes = tuple(SubNode(node, f"node-{node}") for node in range(nodes))
    state = RunState(keep_successes=False)
    state.apply(replace(began(), sub_nodes=sub_nodes), 0.0)
    for node in sub_nodes:
        state.apply(Connected(node), 0.0)
    waiting, done = jobs, 0
    for moment in moments:
        now = moment * total
        while timeline[done][0] <= now:
            at, event = timeline[done]
            if isinstance(event, Started):
                state.apply(Taken(event.assignment.number, JOB), at)
                waiting -= 1
            state.apply(event, at)
            done += 1
        yield Guess(moment, remaining_of(state, now, waiting).seconds, total - now, total)


def random_queue(seed: int) -> tuple[str, int, int, list[Guess]]:
    """Simulate a queue of a random size on a random number of sub-nodes."""
    chance = random.Random(seed)
    kind = sorted(DRAWS)[seed % len(DRAWS)]
    nodes = round(2 ** chance.uniform(0, 6))
    jobs = round(10 ** chance.uniform(1, 3.3))
    return kind, jobs, nodes, list(guesses(chance, DRAWS[kind], jobs, nodes))


def table(count: int) -> Iterator[str]:
    """Give the rows of a table of errors by distribution, in percent."""
    found: dict[str, list[list[Guess]]] = {kind: [] for kind in DRAWS}
    for seed in range(count):
        kind, *_, of_run = random_queue(seed)
        found[kind].append(of_run)
    found["all"] = [run for runs in found.values() for run in runs]
    heads = " | ".join(f"at {moment:.0%}" for moment in MOMENTS)
    yield f"| durations | queues | {heads} | of the total, at 50% | at 90% |"
    yield "|---" * (len(MOMENTS) + 4) + "|"
    for kind, runs in found.items():
        if runs:
            columns = list(zip(*runs, strict=True))
            errors = [median(each.error for each in column) for column in columns]
            totals = [median(each.error_of_total for each in columns[i]) for i in (0, -1)]
            cells = " | ".join(f"{error:.1%}" for error in [*errors, *totals])
            yield f"| {kind} | {len(runs)} | {cells} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{row}\n" for row in table(int(sys.argv[1])))
