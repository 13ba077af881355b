"""How long commands take, as a distribution: from those that ended, and those that still run.

Rule 1: pure.
Rule 2: a command that runs counts: it is known to take longer than it has run. Without these, an
estimate would be too short as long as the long commands have not ended (Kaplan and Meier, 1958).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import fsum, sqrt

LONGEST_TAIL = 3.0
"""How many times its scale a command may take beyond all that ended."""


class Distribution:
    """A distribution of durations, in seconds.

    Args:
        times: at which commands ended, in order.
        ended: for each of these the share of commands that has ended by then.
        scale: how much longer a command may take that runs longer than all that ended.

    Attributes:
        mean: the mean duration.
    """

    def __init__(self, times: Sequence[float], ended: Sequence[float], scale: float) -> None:
        self._times, self._ended, self._scale = times, ended, scale
        steps = zip(times, [0.0, *ended], ended, strict=False)
        beyond = (1.0 - ended[-1]) * (times[-1] + scale)
        self.mean = sum(at * (after - before) for at, before, after in steps) + beyond

    def value(self, chance: float) -> float:
        """Give the duration that a share of commands does not exceed."""
        index = bisect_left(self._ended, chance)
        if index < len(self._times):
            return self._times[index]
        return self._times[-1] + self._tail((chance - self._ended[-1]), self._scale)

    def rest(self, chance: float, age: float) -> float:
        """Give the same for how much longer a command takes that has run for some time."""
        index = bisect_right(self._times, age)
        gone = self._ended[index - 1] if index else 0.0
        if index < len(self._times):
            return max(0.0, self.value(gone + chance * (1.0 - gone)) - age)
        scale = max(self._scale, age - self._times[-1])
        return self._tail(chance * (1.0 - self._ended[-1]), scale)

    def _tail(self, beyond: float, scale: float) -> float:
        """Give how much longer a command takes that runs longer than all that ended.

        Nothing is known of such a command but that it is unlike the others. The longer it has run
        the longer it is likely to run: half of them take less than 0.4 of the scale.
        """
        left = 1.0 - self._ended[-1]
        share = beyond / left if left > 0.0 else 0.0
        if share >= 1.0:
            return scale * LONGEST_TAIL
        return scale * min(1.0 / sqrt(1.0 - share) - 1.0, LONGEST_TAIL)


def distribution_of(ended: Sequence[float], running: Sequence[float]) -> Distribution:
    """Estimate the distribution of durations.

    Args:
        ended: durations of commands that ended, at least one.
        running: how long others have run that go on.
    """
    observed = sorted([(seconds, False) for seconds in ended] + [(age, True) for age in running])
    at_risk, surviving = len(observed), 1.0
    times: list[float] = []
    shares: list[float] = []
    for seconds, goes_on in observed:
        if not goes_on:
            surviving *= 1.0 - 1.0 / at_risk
            times.append(seconds)
            shares.append(1.0 - surviving)
        at_risk -= 1
    return Distribution(times, shares, sqrt(variance_of(ended)))


def mean_of(values: Sequence[float]) -> float:
    """Give the mean of values, at least one."""
    return fsum(values) / len(values)


def variance_of(values: Sequence[float]) -> float:
    """Give the variance of values, at least one.

    Not those of ``statistics``: that computes with fractions, and takes as long to load as all else
    that a short command needs.
    """
    mean = mean_of(values)
    return fsum([(value - mean) ** 2 for value in values]) / len(values)
