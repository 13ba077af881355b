"""Who listens to a run: fan-out to several listeners, progress of output, and the live state.

Rule 1: events and output reach the listeners in the order in which they happened.
Rule 2: the clock is read here, so that dispatch and the run state need none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pegasus.events import (
    Ended,
    Event,
    Listener,
    OutputSizes,
    Printed,
    Progressed,
    Returned,
    Started,
)
from pegasus.model import Assignment, Stream
from pegasus.run_state import RunState

PROGRESS_PERIOD = 10.0
"""Seconds between two reports of how much a command has printed: often enough to see that a command
still works, and less than a thousandth of what a journal holds of short jobs."""


class Fanout:
    """Several listeners as one; each receives an event before the next one does."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def tell(self, event: Event) -> None:
        """Pass an event on."""
        for listener in self._listeners:
            listener.tell(event)

    async def show(self, printed: Printed) -> None:
        """Pass output on, to one listener after the other."""
        for listener in self._listeners:
            await listener.show(printed)


@dataclass(slots=True)
class _Counts:
    """What a running command has printed, and when that was reported last."""

    reported_at: float
    sizes: dict[Stream, int] = field(default_factory=dict)


class EventBus(Fanout):
    """The listeners of a run; it also counts the output of each command and reports it.

    An ``Ended`` event gets the number of bytes that the command printed, and while a command
    prints there is a ``Progressed`` event each ``PROGRESS_PERIOD``.

    Args:
        listeners: each receives everything, in this order.
        clock: gives a time in seconds that never goes back.
    """

    def __init__(self, *listeners: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(*listeners)
        self._clock = clock
        self._running: dict[tuple[int, int], _Counts] = {}

    def tell(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, Started):
            self._running[_command_of(event.assignment)] = _Counts(self._clock())
        elif isinstance(event, Returned):
            self._running.pop(_command_of(event.assignment), None)
        elif isinstance(event, Ended):
            counts = self._running.pop(_command_of(event.assignment), None)
            if counts is not None and counts.sizes:
                event = replace(event, printed=counts.sizes)
        super().tell(event)

    async def show(self, printed: Printed) -> None:
        """Pass output on."""
        command = _command_of(printed.assignment)
        counts = self._running.get(command)
        if counts is not None:
            stream = printed.stream
            counts.sizes[stream] = counts.sizes.get(stream, 0) + len(printed.data)
        for listener in self._listeners:
            await listener.show(printed)
        if counts is None or self._running.get(command) is not counts:
            return  # a command that was ended while its reader stalled has no progress any more
        if self._clock() - counts.reported_at >= PROGRESS_PERIOD:
            counts.reported_at = self._clock()
            super().tell(Progressed(printed.assignment, dict(counts.sizes)))

    def resume(self, assignment: Assignment, printed: OutputSizes) -> None:
        """Count on for a detached command that an earlier Pegasus had started.

        Args:
            assignment: of the command.
            printed: how many bytes of its output the record has.
        """
        self._running[_command_of(assignment)] = _Counts(self._clock(), dict(printed))

    def without(self, listener: Listener) -> Fanout:
        """Return the listeners but one, for events that this one has received already."""
        return Fanout(*(each for each in self._listeners if each is not listener))


class LiveState:
    """A listener that keeps the state of a run that goes on.

    Attributes:
        state: the state; jobs that succeeded are not kept in it.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.state = RunState(keep_successes=False)
        self._clock = clock

    def tell(self, event: Event) -> None:
        """Apply an event; one about a job that succeeded, and is forgotten, changes nothing."""
        with suppress(KeyError):
            self.state.apply(event, self._clock())

    async def show(self, printed: Printed) -> None:
        """Ignore output; ``Progressed`` and ``Ended`` say how much there was."""


def _command_of(assignment: Assignment) -> tuple[int, int]:
    return assignment.number, assignment.sub_node.number
