"""Promises of a demand compared with sub-nodes: where a job can run, with what, and why nowhere."""

from __future__ import annotations

import pytest

from pegasus.demand import (
    accepts,
    example_slots,
    fits_on,
    needs_on,
    nowhere,
    slots_variable,
)
from pegasus.model import Demand, Job, Needs, Pool, PoolKind, SubNode, Where


def pool(name: str, size: int = 0, kind: PoolKind = "fixed") -> Pool:
    """Give a pool of some slots."""
    return Pool(name, kind, tuple(map(str, range(size))))


BARE = SubNode(0, "bare", (("model", "v100"),))
EIGHT = SubNode(1, "eight", (("model", "a100"),), "ssh", (pool("gpu", 8), pool("cpu", 4)))
ASKED = SubNode(2, "asked", (("model", "h100"),), "ssh", (pool("gpu", kind="nvidia"),))
FOUR = SubNode(3, "four", (), "ssh", (pool("gpu", 4, "nvidia"),))


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ((), [BARE, EIGHT, ASKED, FOUR]),
        ((("model", ("a100", "h100")),), [EIGHT, ASKED]),
        ((("hostname", ("four", "bare")),), [BARE, FOUR]),
        ((("model", ("a100", "v100")), ("hostname", ("bare",))), [BARE]),
        ((("model", ("A100",)),), []),
        ((("rack", ("",)),), []),
    ],
)
def test_where(where: Where, accepted: list[SubNode]) -> None:
    """Each condition must hold, as text; a sub-node without the parameter does not match."""
    assert [each for each in (BARE, EIGHT, ASKED, FOUR) if accepts(where, each)] == accepted


@pytest.mark.parametrize(
    ("needs", "on_bare", "on_eight", "on_asked", "on_four"),
    [
        (None, {}, {"gpu": 1}, {"gpu": 1}, {"gpu": 1}),
        ((("gpu", 0),), {}, {}, {}, {}),
        ((("gpu", 5),), None, {"gpu": 5}, {"gpu": 5}, None),
        ((("gpu", 9),), None, None, {"gpu": 9}, None),
        ((("gpu", 1), ("cpu", 4)), None, {"gpu": 1, "cpu": 4}, None, None),
        ((("gpu", 1), ("cpu", 5)), None, None, None, None),
        ((("gpu", 1), ("tpu", 0)), None, {"gpu": 1}, {"gpu": 1}, {"gpu": 1}),
    ],
)
def test_needs(
    needs: Needs | None,
    on_bare: dict[str, int] | None,
    on_eight: dict[str, int] | None,
    on_asked: dict[str, int] | None,
    on_four: dict[str, int] | None,
) -> None:
    """Without needs one slot of the first pool; a pool that is missing or too small excludes."""
    demand = Demand(needs)
    found = [needs_on(demand, each) for each in (BARE, EIGHT, ASKED, FOUR)]
    assert found == [on_bare, on_eight, on_asked, on_four]
    assert [fits_on(demand, each) for each in (BARE, EIGHT)] == [
        on_bare is not None,
        on_eight is not None,
    ]


@pytest.mark.parametrize(
    ("demand", "about", "words"),
    [
        (
            Demand((("gpu", 9),)),
            "needs",
            "this needs 9 slots of gpu, and no sub-node has more than 8 (eight (model=a100))",
        ),
        (
            Demand((("gpu", 5),), (("hostname", ("four",)),)),
            "needs",
            (
                'this needs 5 slots of gpu, and no sub-node that its "where" accepts has more '
                "than 4 (four)"
            ),
        ),
        (
            Demand((("gpu", 1), ("tpu", 1))),
            "needs",
            "this needs 1 slot of tpu, and no sub-node has a pool of that name",
        ),
        (
            Demand((("cpu", 4), ("ram", 1))),
            "needs",
            "this needs 4 slots of cpu and 1 slot of ram, and no sub-node has all of them",
        ),
        (
            Demand(None, (("rack", ("1",)),)),
            "where",
            '"where" asks for the parameter "rack", and no sub-node has it',
        ),
        (
            Demand(None, (("model", ("x", "y")),)),
            "where",
            '"where" asks for model=x or model=y, and no sub-node has that',
        ),
        (
            Demand(None, (("model", ("a100",)), ("hostname", ("four",)))),
            "where",
            'no sub-node has all that "where" asks for: "model" and "hostname"',
        ),
    ],
)
def test_nowhere(demand: Demand, about: str, words: str) -> None:
    """The reason names what is missing and the best that there is."""
    ram = SubNode(4, "ram", (), "ssh", (pool("ram", 1),))
    found = nowhere(Job("x", (), None, demand), [BARE, EIGHT, FOUR, ram])
    assert found is not None
    assert (found.about, found.what) == (about, words)
    assert found.instead


def test_somewhere() -> None:
    """Where only a node knows its slots, a job of any width may fit."""
    wide = Job("x", (), None, Demand((("gpu", 1_000),)))
    assert nowhere(wide, [EIGHT, ASKED]) is None
    assert nowhere(wide, []) is None
    assert nowhere(Job("x"), [BARE]) is None


def test_example_slots() -> None:
    """Each pool of the sub-node has its first slots; where they are not known, from 0."""
    both = Demand((("gpu", 2), ("cpu", 0)))
    assert [(held.pool, held.text) for held in example_slots(both, EIGHT)] == [
        ("gpu", "0,1"),
        ("cpu", ""),
    ]
    (held,) = example_slots(both, ASKED)
    assert (held.text, held.kind) == ("0,1", "nvidia")
    assert example_slots(Demand(), BARE) == ()


@pytest.mark.parametrize(("name", "variable"), [("gpu", "GPU"), ("a-b_1", "A_B_1"), ("_x", "_X")])
def test_the_variable_of_a_pool(name: str, variable: str) -> None:
    """A shell can name it."""
    assert slots_variable(name) == f"PEGASUS_SLOTS_{variable}"
