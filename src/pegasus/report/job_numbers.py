"""Numbers of jobs and sub-nodes in messages, such as those about a number that is none."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_JOBS_IN_MESSAGE = 10
"""Numbers of jobs in a message."""


def numbers_text(numbers: Sequence[int]) -> str:
    """Name numbers: all of them where they are few or without gaps."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] + 1 == len(numbers):
        return f"{numbers[0]} to {numbers[-1]}"
    shown = ", ".join(map(str, numbers[:_JOBS_IN_MESSAGE]))
    more = len(numbers) - _JOBS_IN_MESSAGE
    return f"{shown} and {more} more" if more > 0 else shown


def numbers_words(numbers: Collection[int]) -> str:
    """Say which jobs a run has, as the end of a sentence: ``it has jobs 1 to 4``."""
    if not numbers:
        return "it has no job"
    return f"it has job{'s' if len(numbers) > 1 else ''} {numbers_text(sorted(numbers))}"
