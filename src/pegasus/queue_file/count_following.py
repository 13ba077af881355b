"""Keeps the number of waiting jobs up to date while a run shows it."""

from __future__ import annotations

from typing import NoReturn

import trio

from pegasus.queue_file.counting import WaitingJobs

_COUNT_LOOK_PERIOD = 0.5
"""Seconds between two looks at the state of the file, as often as the queue itself is looked at."""


async def follow_count(waiting: WaitingJobs) -> NoReturn:
    """Count the queue in a thread now, and again when it has changed, until cancelled.

    A count that is cancelled ends at the next entry.
    """
    limiter = trio.CapacityLimiter(1)  # its own: a slow disk must not hold back other threads
    while True:
        if waiting.is_due():
            await trio.to_thread.run_sync(
                waiting.count, trio.from_thread.check_cancelled, limiter=limiter
            )
        await trio.sleep(_COUNT_LOOK_PERIOD)
