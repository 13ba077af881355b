"""The words of the panel for times that have passed."""

from __future__ import annotations

from pegasus import duration

_MINUTE, _DAY = 60, 86400


def whole_seconds(seconds: float) -> str:
    """Give a time that has passed in words, without parts of seconds."""
    return f"{max(0.0, seconds):.0f} s" if seconds < _MINUTE - 1 else duration.words(seconds)


def clock(seconds: float) -> str:
    """Give a time that has passed as on a clock: ``0:07``, ``2:01``, ``1:02:03``, ``3d 02:15``."""
    whole = int(max(0.0, seconds))
    minutes, rest = divmod(whole, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    if whole >= _DAY:
        return f"{hours // 24}d {hours % 24:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
