"""The rest of a run as a schedule, and how long it will take.

A run is a list schedule: whichever sub-node is free gets the next job. The estimate plays the rest
of this schedule a few times with durations drawn from those seen so far, and gives the median.
``docs/why/estimate.md`` has the reasons, and how good it is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pegasus.estimate.distribution import Distribution, distribution_of
from pegasus.estimate.speeds import future_factor, speeds_of

LONGEST_ESTIMATE = 1000 * 86400.0
"""Seconds; no estimate is longer. It is shown as "more than"."""

PLAYS = 9
"""How often the rest of the schedule is played. More changes the median by less than the durations
that are not known yet do."""

MOST_PLAYED = 4000
"""Commands that are played in all, which take a few milliseconds. With many workers fewer plays are
enough: each play draws more durations."""

PLAYED_JOBS_EACH = 3
"""Jobs for each sub-node that are played one by one, at the end of the queue: there it matters
which sub-node runs what. Those before keep all sub-nodes busy, so their mean duration is enough."""

MOST_AGAIN = 0.9
"""The highest share of ends with another try that is expected to continue."""

_GOLDEN = 0.6180339887498949
"""Multiples of it, without their whole parts, cover 0 to 1 evenly, however many there are."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """How long a run will take from now on.

    Attributes:
        seconds: the estimate; None where there is no basis for one.
        why: why there is none, in a part of a sentence; empty where there is one.
    """

    seconds: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is known of a schedule; times are in seconds.

    Attributes:
        ended: the durations of commands that ended, the latest last, and their workers' numbers.
        running: since when each running command runs, and its worker's number.
        waiting: how many jobs wait.
        workers: the numbers of the workers that take jobs; one that runs several commands at once
            is there as often, and every running command's is.
        again: the share of ends that was followed by another try.
        gap: how long a worker waits between two commands.
    """

    ended: Sequence[tuple[float, int]]
    running: Sequence[tuple[float, int]]
    waiting: float
    workers: Sequence[int]
    again: float = 0.0
    gap: float = 0.0


def estimate(load: Workload) -> float:
    """Estimate how long a schedule will take from now on, in seconds.

    Raises:
        ValueError: no command has ended, or there is no worker.
    """
    if not load.ended or not load.workers:
        raise ValueError("there is no basis for an estimate")
    speeds = speeds_of(load.ended, load.workers)
    ended = [seconds / speeds.get(number, 1.0) for seconds, number in load.ended]
    since = [(age / speeds.get(number, 1.0), number) for age, number in load.running]
    spread = distribution_of(ended, [age for age, _ in since])
    again = min(load.again, MOST_AGAIN)
    waiting = round((load.waiting + len(since) * again) / (1.0 - again))
    later = future_factor(ended, len(load.workers), waiting)
    played = min(waiting, PLAYED_JOBS_EACH * len(load.workers))
    rate = sum(1.0 / speeds.get(number, 1.0) for number in load.workers)
    each = spread.mean * later + load.gap * rate / len(load.workers)
    before = (waiting - played) * each / rate
    free = sorted((Counter(load.workers) - Counter(number for _, number in since)).elements())
    outlook = _Outlook(spread, speeds, later, load.gap)
    count = min(PLAYS, max(1, MOST_PLAYED // (played + len(load.workers))))
    plays = [outlook.play(since, free, played, _chances(play)) for play in range(count)]
    return min(max(0.0, before + _middle(plays)), LONGEST_ESTIMATE)


@dataclass(frozen=True, slots=True)
class _Outlook:
    """How long the commands to come will take.

    Attributes:
        spread: how long a command takes on an average worker.
        speeds: how much longer on each.
        later: how much longer those that wait will take.
        gap: the time before each of these.
    """

    spread: Distribution
    speeds: dict[int, float]
    later: float
    gap: float

    def play(
        self,
        since: Sequence[tuple[float, int]],
        free: Sequence[int],
        waiting: int,
        chance: Iterator[float],
    ) -> float:
        """Play the rest of a schedule once; return when its last command ends."""
        ready = [
            (self.spread.rest(next(chance), age) * self.speeds.get(number, 1.0), number)
            for age, number in since
        ]
        ready += [(0.0, number) for number in free]
        end = max(at for at, _ in ready)
        heapq.heapify(ready)
        for _ in range(waiting):
            at, number = ready[0]
            seconds = self.spread.value(next(chance)) * self.speeds.get(number, 1.0)
            ended = at + self.gap + seconds * self.later
            end = max(end, ended)
            heapq.heapreplace(ready, (ended, number))
        return end


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _chances(play: int) -> Iterator[float]:
    """Give numbers evenly spread from 0 to 1, other ones in each play."""
    at = (play + 0.5) / PLAYS
    while True:
        at = (at + _GOLDEN) % 1.0
        yield at
