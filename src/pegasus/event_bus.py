"""Who listens to a run: fan-out to several listeners, progress of output, and the live state.

Rule 1: events and output reach the listeners in the order in which they happened.
Rule 2: the clock is read here, so that dispatch and the run state need none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pegasus.events import (
    Cut,
    Ended,
    Event,
    Listener,
    OutputSizes,
    Printed,
    Progressed,
    Reconnected,
    Returned,
    Stalled,
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

    def add(self, listener: Listener) -> None:
        """Add a listener, which receives everything after the others."""
        self._listeners = (*self._listeners, listener)

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
    """What a running command has printed, and when that was reported last.

    Attributes:
        silent_since: when it printed last, or was connected.
        shown_now: how many reads of its output wait for listeners; meanwhile it may be unable to
            print, and is not silent.
        cut: whether its connection is broken, so that nothing is known.
        stalled: whether its silence was reported.
    """

    assignment: Assignment
    reported_at: float
    silent_since: float
    sizes: dict[Stream, int] = field(default_factory=dict)
    shown_now: int = 0
    cut: bool = False
    stalled: bool = False


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
        match event:
            case Started(assignment):
                self._running[_command_of(assignment)] = self._counts_of(assignment)
            case Returned(assignment):
                self._running.pop(_command_of(assignment), None)
            case Ended(assignment):
                counts = self._running.pop(_command_of(assignment), None)
                if counts is not None and counts.sizes:
                    event = replace(event, printed=counts.sizes)
            case Cut(assignment) | Reconnected(assignment):
                if counts := self._running.get(_command_of(assignment)):
                    counts.cut, counts.stalled = isinstance(event, Cut), False
                    counts.silent_since = self._clock()
            case Stalled(assignment):
                if counts := self._running.get(_command_of(assignment)):
                    counts.stalled = True
                    counts.reported_at = -math.inf  # what it prints next ends the silence
            case _:
                pass
        super().tell(event)

    def _counts_of(self, assignment: Assignment) -> _Counts:
        now = self._clock()
        return _Counts(assignment, now, now)

    async def show(self, printed: Printed) -> None:
        """Pass output on."""
        command = _command_of(printed.assignment)
        counts = self._running.get(command)
        if counts is None:
            await super().show(printed)
            return
        stream = printed.stream
        counts.sizes[stream] = counts.sizes.get(stream, 0) + len(printed.data)
        counts.shown_now += 1
        try:
            for listener in self._listeners:
                await listener.show(printed)
        finally:
            counts.shown_now -= 1
            counts.silent_since, counts.stalled = self._clock(), False
        if self._running.get(command) is not counts:
            return  # a command that was ended while its reader stalled has no progress any more
        if counts.silent_since - counts.reported_at >= PROGRESS_PERIOD:
            counts.reported_at = counts.silent_since
            super().tell(Progressed(printed.assignment, dict(counts.sizes)))

    def resume(self, assignment: Assignment, printed: OutputSizes) -> None:
        """Count on for a detached command that an earlier Pegasus had started.

        Args:
            assignment: of the command.
            printed: how many bytes of its output the record has.
        """
        counts = self._counts_of(assignment)
        counts.sizes, counts.cut = dict(printed), True  # until it is followed again
        self._running[_command_of(assignment)] = counts

    # Silence.

    def now(self) -> float:
        """Give the time on the clock of ``silences``."""
        return self._clock()

    def silences(self) -> Iterator[tuple[Assignment, float]]:
        """Give the commands that are silent, and since when.

        Those whose silence was reported are left out, and those of which nothing is known: their
        connection is broken, or their output waits for a listener.
        """
        for counts in self._running.values():
            if not (counts.stalled or counts.cut or counts.shown_now):
                yield counts.assignment, counts.silent_since

    def forget_silences(self) -> None:
        """Let all silences begin now: nothing is known of the time before."""
        now = self._clock()
        for counts in self._running.values():
            counts.silent_since = now

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
