"""How workers and times differ: fast and slow sub-nodes, and jobs that become longer or shorter.

Rule 1: pure.
Rule 2: a difference counts only as far as it is larger than chance makes it: with few commands for
each sub-node, or durations that vary much, all count as equally fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from pegasus.estimate.distribution import mean_of, variance_of

SPEED_RANGE = (0.05, 20.0)
"""Limits of how much longer a command may take on one sub-node than on the average one."""

TREND_RANGE = (0.4, 2.5)
"""Limits of how much longer the jobs that wait may take than those that ended."""

SURE_TREND = 3.0
"""Standard errors by which the later commands must differ from the earlier ones."""

TREND_COMMANDS_EACH = 4
"""Commands that each worker must have run before a trend counts: the first that end are the short
ones, whatever comes."""


def speeds_of(ended: Sequence[tuple[float, int]], workers: Sequence[int]) -> dict[int, float]:
    """Give how much longer a command takes on each worker than on the average one.

    The mean of each worker is moved towards that of all, by as much of the difference as chance
    explains (James and Stein, 1961).

    Args:
        ended: the durations of commands, and their workers' numbers.
        workers: the numbers of those that work; one that has not run anything is an average one.
    """
    by_worker: dict[int, list[float]] = {}
    for seconds, number in ended:
        by_worker.setdefault(number, []).append(seconds)
    mean = mean_of([seconds for seconds, _ in ended])
    if len(by_worker) < 2 or mean <= 0.0:
        return dict.fromkeys(workers, 1.0)
    within = _within(by_worker, len(ended))
    means = {number: mean_of(found) for number, found in by_worker.items()}
    noise = mean_of([within / len(found) for found in by_worker.values()])
    between = max(0.0, variance_of(list(means.values())) - noise)
    factors = dict.fromkeys(workers, 1.0)
    for number, found in by_worker.items():
        total = between + within / len(found)
        share = between / total if total > 0.0 else 0.0
        factor = 1.0 + share * (means[number] / mean - 1.0)
        factors[number] = min(max(factor, SPEED_RANGE[0]), SPEED_RANGE[1])
    return factors


def _within(by_worker: dict[int, list[float]], count: int) -> float:
    """Give the variance of durations on the same worker."""
    squares = sum(variance_of(found) * len(found) for found in by_worker.values())
    return squares / max(1, count - len(by_worker))


def future_factor(ended: Sequence[float], workers: int, waiting: int) -> float:
    """Give how much longer the jobs that wait will take than those that ended.

    Args:
        ended: the durations, the latest last.
        workers: how many workers there are.
        waiting: how many jobs wait.
    """
    count = len(ended)
    if count < max(16, TREND_COMMANDS_EACH * workers) or not waiting:
        return 1.0
    half = count // 2
    before, after = ended[:half], ended[half:]
    step = mean_of(after) - mean_of(before)
    error = sqrt(variance_of(before) / len(before) + variance_of(after) / len(after))
    mean = mean_of(ended)
    if abs(step) <= SURE_TREND * error or mean <= 0.0:
        return 1.0
    slope = step / (count / 2)
    expected = mean + slope * (count + waiting) / 2
    return min(max(expected / mean, TREND_RANGE[0]), TREND_RANGE[1])
