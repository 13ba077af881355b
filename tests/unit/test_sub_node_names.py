"""``--sub-node``: a number, a host, a name as in messages, or a parameter."""

from __future__ import annotations

import pytest

from pegasus.errors import PegasusError
from pegasus.model import SubNode
from pegasus.sub_node_names import number_meant

NODES = (
    SubNode(0, "node-1", (("gpu", "0"),)),
    SubNode(1, "node-1", (("gpu", "1"),)),
    SubNode(2, "user@node-2"),
    SubNode(5, "ssh://node-3:2222", (("rack", "7"), ("odd", "a&b"))),
)


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("1", 1),
        (2, 2),
        ("99", 99),
        ("node-1 (gpu=1)", 1),
        ("node-1&gpu=0", 0),
        ("gpu=1", 1),
        ("node-2", 2),
        ("user@node-2", 2),
        (" node-3 ", 5),
        ("hostname=ssh://node-3:2222", 5),
        ("odd=a&b", 5),
    ],
)
def test_names(typed: str | int, number: int) -> None:
    """Whatever distinguishes a sub-node from all others means it."""
    assert number_meant(typed, NODES) == number


def test_several() -> None:
    """A name that fits several is refused, with their numbers."""
    with pytest.raises(PegasusError) as caught:
        number_meant("node-1", NODES)
    assert "may be number 0 (node-1 (gpu=0)) or number 1 (node-1 (gpu=1))" in str(caught.value)
    assert "Give a number" in str(caught.value)


@pytest.mark.parametrize("typed", ["", "node-9", "gpu=2", "node-1&gpu=7", "&"])
def test_none(typed: str) -> None:
    """A name that fits none is refused, with those that there are."""
    with pytest.raises(PegasusError, match=r"no such sub-node\. There are number 0 \(node-1"):
        number_meant(typed, NODES)
    with pytest.raises(PegasusError, match="There is none"):
        number_meant(typed, ())
