"""Lists of values -> combinations, and the combinations that remain after the first n.

Rule 1: pure; a grid may have millions of jobs: nothing here creates more than the caller needs.
Rule 2: one order everywhere: commands outermost, then the parameters as written, the last fastest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from pegasus.model import Entry, Job


def count(entry: Entry) -> int:
    """Count the jobs of an entry."""
    return math.prod(sizes(entry))


def jobs(entry: Entry) -> Iterator[Job]:
    """Give the jobs of an entry one by one, in the order in which they run."""
    names = [name for name, _ in entry.params]
    for command, *values in itertools.product(
        entry.commands, *(values for _, values in entry.params)
    ):
        yield Job(command, tuple(zip(names, values, strict=True)), entry.position, entry.demand)


def entries(entry: Entry, parts: Sequence[tuple[range, ...]]) -> tuple[Entry, ...]:
    """Give an entry for each part of a grid; a part has the indexes of each list."""
    return tuple(
        Entry(
            tuple(entry.commands[i] for i in part[0]),
            tuple(
                (name, tuple(values[i] for i in indexes))
                for (name, values), indexes in zip(entry.params, part[1:], strict=True)
            ),
            entry.position,
            entry.demand,
        )
        for part in parts
    )


def remains(sizes: Sequence[int], n: int) -> list[tuple[range, ...]]:
    """Cover a grid without its first ``n`` combinations by as few grids as possible.

    The number ``n``, written in the mixed radix of the sizes, is the first combination that stays.
    The grid that begins there varies from its last non-zero digit onwards; each list before that
    adds one grid, with the values after its digit.

    Args:
        sizes: the lengths of the lists, the one that varies fastest last; none is 0.
        n: how many combinations are gone.

    Returns:
        For each grid the indexes that remain of each list.
    """
    if n <= 0:
        return [tuple(range(size) for size in sizes)]
    if n >= math.prod(sizes):
        return []
    digits = _digits(sizes, n)
    last = max(level for level, digit in enumerate(digits) if digit)
    grids = []
    for level in range(last, -1, -1):
        first = digits[level] if level == last else digits[level] + 1
        if first < sizes[level]:
            fixed = [range(digit, digit + 1) for digit in digits[:level]]
            whole = [range(size) for size in sizes[level + 1 :]]
            grids.append((*fixed, range(first, sizes[level]), *whole))
    return grids


def sizes(entry: Entry) -> list[int]:
    """Give the lengths of the lists of an entry, the commands first."""
    return [len(entry.commands), *(len(values) for _, values in entry.params)]


def _digits(sizes: Sequence[int], n: int) -> list[int]:
    digits = []
    for size in reversed(sizes):
        n, digit = divmod(n, size)
        digits.append(digit)
    return digits[::-1]
