"""Waits for a condition with a limit, instead of a sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.nodes.errors import NodesFault

T = TypeVar("T")

PATIENCE = 10.0  # seconds; a wait of the tests takes longer only after a fault
GLANCE = 0.01  # seconds between two checks; short compared with the tests


def wait_until(
    condition: Callable[[], T],
    *,
    limit: float = PATIENCE,
    what: str = "what was to come",
    glance: float = GLANCE,
) -> T:
    """Wait until a condition holds, and return its (true) value.

    Args:
        condition: called repeatedly; a true value ends the wait.
        limit: seconds until the wait fails.
        what: the awaited condition, to follow "after 5 s still waiting for".
        glance: seconds between two checks; less for a short-lived condition. A check that
            computes for long is made less often: a wait takes a quarter of a processor at most.

    Raises:
        NodesFault: the limit passed.
    """
    deadline = time.monotonic() + limit
    while True:
        before = time.thread_time()
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise NodesFault(f"after {limit:g} s still waiting for {what}")
        time.sleep(max(glance, 3 * (time.thread_time() - before)))
