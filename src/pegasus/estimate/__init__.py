"""How long a schedule will take from now on, from the durations seen so far, and words for it.

Rule 1: pure; no clock, no chance: the same durations give the same figure.
Rule 2: no figure without a basis, and never one that is negative or not finite.
"""

from __future__ import annotations

from pegasus.estimate.schedule import Remaining, Workload, estimate
from pegasus.estimate.words import about_words, remaining_words, short_remaining_words

__all__ = [
    "Remaining",
    "Workload",
    "about_words",
    "estimate",
    "remaining_words",
    "short_remaining_words",
]
