"""Promises of the grid: commands x parameters, in order, and what remains of them."""

from __future__ import annotations

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus import grid
from pegasus.model import Entry, Job, Position
from tests.examples import examples

ENTRY = Entry(("a", "b"), (("x", ("1", "2", "3")), ("y", ("p", "q"))), Position("q.yaml", 3, 1))

QUICK = settings(max_examples=examples(100), deadline=None)


def names(size: int, letter: str) -> tuple[str, ...]:
    """Give some values that tell where they stand."""
    return tuple(f"{letter}{i}" for i in range(size))


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def entry_of(lengths: list[int]) -> Entry:
    """Give an entry with lists of these lengths."""
    params = tuple((f"p{i}", names(n, f"v{i}-")) for i, n in enumerate(lengths[1:]))
    return Entry(names(lengths[0], "command "), params)


def test_commands_are_outermost_and_the_last_parameter_varies_fastest() -> None:
    """The order in which a grid runs is the one that its lists are written in."""
    assert [(job.command, *(value for _, value in job.params)) for job in grid.jobs(ENTRY)] == list(
        itertools.product("ab", "123", "pq")
    )


def test_a_job_names_its_parameters_in_the_order_written() -> None:
    """A job knows the names of its values."""
    assert next(grid.jobs(ENTRY)) == Job("a", (("x", "1"), ("y", "p")))


def test_a_plain_command_is_one_job() -> None:
    """An entry without parameters is one job for each command."""
    assert list(grid.jobs(Entry(("a",)))) == [Job("a")]
    assert grid.count(Entry(("a",))) == 1


def test_a_parameter_may_have_any_name() -> None:
    """No name means anything to a grid, not even ``command``."""
    entry = Entry(("a",), (("command", ("1", "2")), ("", ("3",))))
    assert [job.params for job in grid.jobs(entry)] == [
        (("command", "1"), ("", "3")),
        (("command", "2"), ("", "3")),
    ]


def take(entry: Entry, n: int) -> tuple[tuple[Job, ...], tuple[Entry, ...]]:
    """Split off the first jobs of an entry, as a queue does."""
    left = grid.entries(entry, grid.remains(grid.sizes(entry), n))
    return tuple(itertools.islice(grid.jobs(entry), n)), left


def test_nothing_taken_leaves_the_entry_as_it_is() -> None:
    """Taking no job is not a change."""
    assert take(ENTRY, 0) == ((), (ENTRY,))


def test_everything_taken_leaves_no_entry() -> None:
    """All jobs, or more than there are, leave nothing."""
    assert take(ENTRY, 12)[1] == ()
    taken, rest = take(ENTRY, 100)
    assert (len(taken), rest) == (12, ())


def test_what_remains_knows_its_place() -> None:
    """A remainder stands where its entry stood."""
    assert {entry.position for entry in take(ENTRY, 1)[1]} == {ENTRY.position}


def test_the_first_of_a_large_grid_leaves_one_entry_for_each_list() -> None:
    """A 22 x 4 x 5 grid never becomes 439 lines."""
    entry = entry_of([22, 4, 5])
    _, rest = take(entry, 1)
    assert [[len(e.commands), *(len(v) for _, v in e.params)] for e in rest] == [
        [1, 1, 4],
        [1, 3, 5],
        [21, 4, 5],
    ]


def test_millions_of_jobs_are_never_enumerated() -> None:
    """Taking from a grid of 10^60 jobs takes no longer than from a small one."""
    entry = entry_of([1000] * 20)
    taken, rest = take(entry, 3)
    assert len(taken) == 3
    assert sum(grid.count(part) for part in rest) == 1000**20 - 3


@QUICK
@given(sizes, st.data())
def test_what_is_taken_and_what_remains_are_the_grid_in_order(
    lengths: list[int], data: st.DataObject
) -> None:
    """No combination is lost, doubled or moved, wherever a grid is split."""
    entry = entry_of(lengths)
    n = data.draw(st.integers(0, math.prod(lengths) + 1))
    taken, rest = take(entry, n)
    assert [*taken, *itertools.chain.from_iterable(map(grid.jobs, rest))] == list(grid.jobs(entry))
    assert len(rest) <= len(lengths)


@QUICK
@given(sizes, st.data())
def test_what_remains_is_as_few_grids_as_can_be(lengths: list[int], data: st.DataObject) -> None:
    """No two neighbours of a remainder could be written as one entry."""
    n = data.draw(st.integers(0, math.prod(lengths) - 1))
    parts = grid.remains(lengths, n)
    for one, other in itertools.pairwise(parts):
        different = [i for i in range(len(lengths)) if one[i] != other[i]]
        assert len(different) > 1, (lengths, n, parts)
