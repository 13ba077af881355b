"""What ``pegasus check --connect`` says about the slots of a node."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from pegasus.dispatch import try_pools
from pegasus.dispatch.prober import PROBE_LIMIT
from pegasus.errors import NodeUnreachable
from pegasus.model import Pool, SubNode
from tests.unit.probing import GPU, AskedNode

FIXED = Pool("disk", ids=("0", "1"))
NVIDIA = Pool("gpu", "nvidia")


def row(number: int, memory: str) -> bytes:
    """Give the line of a GPU, as nvidia-smi prints it."""
    return f"{number}, GPU-{number:08}-8528, {memory}, Disabled, Default\n".encode()


async def tried(node: AskedNode, *pools: Pool) -> list[str]:
    """Ask a node for its pools; give the sentences, with a star where none can be used."""
    sub_node = SubNode(0, "n0", pools=pools)
    async with node.open_session(sub_node) as session:
        found = await try_pools(session, sub_node)
    return [f"{'' if each.is_valid else '* '}{each}" for each in found]


async def test_what_a_node_has(autojump_clock: trio.testing.MockClock) -> None:
    """The slots are counted; slots of the hosts file are known, and nobody is asked for them."""
    node = AskedNode()
    assert await tried(node, FIXED, GPU) == ["gpu: 2 slots free"]
    assert len(node.questions) == 1
    node.prints = b"7\n"
    assert await tried(node, GPU) == ["gpu: 1 slot free"]
    node.prints = b""
    assert await tried(node, GPU) == ["gpu: 0 slots free"]
    assert await tried(node, FIXED) == []
    assert await tried(node) == []


async def test_slots_that_are_not_free(autojump_clock: trio.testing.MockClock) -> None:
    """The first ones are named with the reason, and the others are counted."""
    node = AskedNode(prints=b"".join(row(number, "9001") for number in range(8)) + row(8, "3"))
    (said,) = await tried(node, NVIDIA)
    assert said.startswith("gpu: 9 slots, 8 not free: 0 (9,001 MiB in use by others")
    assert said.count("(") == 3
    assert said.endswith(") and 5 more")


async def test_several_pools_are_asked_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """A question that hangs is given up, and takes no time from the others."""
    node = AskedNode(takes=PROBE_LIMIT * 2)
    began = trio.current_time()
    pools = [GPU, Pool("other", "probe", command="x")]
    said = await tried(node, *pools)
    assert trio.current_time() - began < PROBE_LIMIT + 1
    assert [words.partition(":")[0] for words in said] == [
        "* no gpu counts as free",
        "* no other counts as free",
    ]


async def test_a_probe_that_fails(autojump_clock: trio.testing.MockClock) -> None:
    """The reason is that of a run."""
    node = AskedNode(prints=b"Lorem ipsum\n")
    (said,) = await tried(node, NVIDIA)
    assert said.startswith("* no gpu counts as free: nvidia-smi printed an unexpected line")


async def test_a_connection_that_breaks(autojump_clock: trio.testing.MockClock) -> None:
    """The node does not answer, and says why."""
    node = AskedNode()
    sub_node = SubNode(0, "n0", pools=(GPU,))
    async with node.open_session(sub_node) as session:
        node.is_up = False
        with pytest.raises(NodeUnreachable, match="the connection broke"):
            await try_pools(session, sub_node)
