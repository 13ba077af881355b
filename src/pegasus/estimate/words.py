"""The words for an estimated time."""

from __future__ import annotations

from pegasus import duration
from pegasus.estimate.schedule import LONGEST_ESTIMATE, Remaining

_ROUNDING = ((60, 5), (600, 30), (3600, 60), (10 * 3600, 600), (86400, 1800))
"""Below so many seconds a time is shown in steps of so many: an estimate is not more exact, and
figures that change all the time are hard to read."""

_COARSEST = 3600
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def about_words(seconds: float) -> str:
    """Give an estimated time in words: ``about 25 s``, ``about 2 h 10 min``, ``about 3 d 4 h``.

    Args:
        seconds: the time, not negative.
    """
    if seconds >= LONGEST_ESTIMATE:
        return f"more than {LONGEST_ESTIMATE / _DAY:.0f} d"
    step = next((step for limit, step in _ROUNDING if seconds < limit), _COARSEST)
    rounded = max(step, round(seconds / step) * step)
    if rounded < _MINUTE:
        return f"about {rounded} s"
    if rounded < _DAY:
        return f"about {duration.words(rounded)}".removesuffix(" 0 s").removesuffix(" 0 min")
    days, hours = divmod(rounded // _HOUR, 24)
    return f"about {days} d {hours} h"


def remaining_words(remaining: Remaining) -> str:
    """Say how long a run will take from now on, or why that is not known."""
    if remaining.seconds is None:
        return f"remaining: not known yet ({remaining.why})"
    return f"remaining: {about_words(remaining.seconds)}"


def short_remaining_words(remaining: Remaining) -> str:
    """Say the same where there is little room."""
    if remaining.seconds is None:
        return "remaining: ?"
    seconds = remaining.seconds
    if seconds < _MINUTE:
        return f"{about_words(seconds).replace('about ', '~')} left"
    for unit, length, limit in (("min", _MINUTE, _HOUR), ("h", _HOUR, _DAY)):
        if seconds < limit - length / 2:
            return f"~{seconds / length:.{int(seconds < 3 * length)}f} {unit} left"
    return f"~{seconds / _DAY:.0f} d left"
