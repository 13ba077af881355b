"""The remaining time of a run, from the durations of its own commands, and the words for it.

Rule 1: pure; no clock, no chance: the same state gives the same figure.
Rule 2: no figure without a basis, and never one that is negative or not finite.
"""

from __future__ import annotations

from pegasus.estimate.schedule import Remaining, remaining_of
from pegasus.estimate.words import about_words, remaining_words, short_remaining_words

__all__ = ["Remaining", "about_words", "remaining_of", "remaining_words", "short_remaining_words"]
