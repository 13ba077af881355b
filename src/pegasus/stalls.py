"""``--stall``: reports commands that have printed nothing for long.

Rule 1: a stall is reported, and nothing else: no command is ended or delayed by it.
Rule 2: where it is unknown whether a command prints, there is no stall.
"""

from __future__ import annotations

import math

import trio

from pegasus.event_bus import EventBus
from pegasus.events import Stalled

LATE = 5.0
"""Seconds by which this task may wake up late. Where it is later, Pegasus itself was stopped
(Ctrl-Z, a machine that slept), and what commands printed meanwhile is still to be read."""

SLIGHTLY_LATE = 1.0
"""Seconds of delay up to which what commands printed has been read."""

READING = 1.0
"""Seconds for the output that waits after a delay. Then a silence that goes on is a stall."""


async def watch_stalls(bus: EventBus, limit: float) -> None:
    """Report each command once for each silence of that length, until cancelled.

    One task watches all commands, and output costs it nothing. It sleeps until the first silence
    may be long enough. A command that starts or prints meanwhile is due later than that.

    Args:
        bus: the listeners of the run.
        limit: seconds; without a limit this returns at once.
    """
    if limit == math.inf:
        return
    while True:
        now = bus.now()
        for assignment, since in list(bus.silences()):
            if now - since >= limit:
                bus.tell(Stalled(assignment, now - since))
        due = min((since for _, since in bus.silences()), default=now) + limit
        await trio.sleep(due - now)
        late = bus.now() - due
        if late > LATE:
            bus.forget_silences()
        elif late > SLIGHTLY_LATE:
            await trio.sleep(READING)
