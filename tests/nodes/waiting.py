"""Waiting for a condition with a limit, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.nodes.errors import NodesFault

T = TypeVar("T")

PATIENCE = 10.0  # seconds; nothing that tests wait for takes longer unless it is broken
GLANCE = 0.01  # seconds between two looks; well below anything that a test can feel


def wait_until(
    condition: Callable[[], T],
    *,
    limit: float = PATIENCE,
    what: str = "what was to come",
    glance: float = GLANCE,
) -> T:
    """Look at a condition until it holds, and give its (true) value.

    Args:
        condition: asked again and again; anything true ends the waiting.
        limit: seconds after which waiting is given up.
        what: what is waited for, to follow "after 5 s still waiting for".
        glance: seconds between two looks; less for a moment that passes quickly.

    Raises:
        NodesFault: the limit passed.
    """
    deadline = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise NodesFault(f"after {limit:g} s still waiting for {what}")
        time.sleep(glance)
    return value
