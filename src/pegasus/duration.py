"""Durations, as people write and read them.

Rule 1: inside Pegasus a duration is a float of seconds; other units exist only in texts.
"""

from __future__ import annotations

import re

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+|\d+(?:\.\d+)?")


def seconds(text: str) -> float:
    """Read ``90``, ``30s``, ``5m``, ``2h``, ``1h30m`` or ``1d``.

    Raises:
        ValueError: it is none of these, or zero.
    """
    if not _WRITTEN.fullmatch(text):
        raise ValueError(f"{text!r} is no length of time: write 90, 30s, 5m, 2h, 1h30m or 1d")
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not total:
        raise ValueError(f"{text!r} is no time at all")
    return total


def words(length: float) -> str:
    """Write a number of seconds for people: ``0.3 s``, ``3 min 5 s``, ``2 h 7 min``."""
    if length < 9.95:
        return f"{length:.1f} s"
    minutes, rest = divmod(round(length), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
