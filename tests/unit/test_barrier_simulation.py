"""Random histories of runs at a barrier: it never opens early, and opens once it may.

A seed makes one history. ``PEGASUS_SIMULATIONS`` sets how many there are.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.unit.barrier_world import ALL_KINDS, BarrierWorld

SIMULATIONS = int(os.environ.get("PEGASUS_SIMULATIONS", "6"))
STEPS = 40


@pytest.mark.parametrize("seed", range(SIMULATIONS))
def test_a_barrier_opens_when_it_may(seed: int, tmp_path: Path) -> None:
    """Whatever is killed, retried or taken over: it is never open early, and never shut for good.

    Before the nodes are asked it may still wait; after their answers it opens exactly if it may.
    """
    world = BarrierWorld(tmp_path, random.Random(seed))
    for _ in range(STEPS):
        world.step()
        for kind in ALL_KINDS:
            assert not any(world.opens(kind)) or world.may_open(kind), kind
        if world.chance.random() < 0.3:
            world.ask_nodes()
            for kind in ALL_KINDS:
                assert set(world.opens(kind)) <= {world.may_open(kind)}, kind
    world.let_all_succeed()
    world.begin()
    world.ask_nodes()
    for kind in ALL_KINDS:
        assert set(world.opens(kind)) == {True}
