"""Delivers notifications: one notifier at a time, each with a time limit.

Rule 1: what waits is bounded. What does not fit is counted, and the next notification says how many
were left out.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager

import trio

from pegasus.errors import CannotStart, PegasusError, sole_error
from pegasus.event_bus import EventBus
from pegasus.events import Ended, Event, Printed, RunEnded, Stalled
from pegasus.model import Cancelled, succeeded
from pegasus.notifier.notification import (
    Notification,
    NotifyingRun,
    of_end,
    of_failure,
    of_stall,
)
from pegasus.process import run_fed
from pegasus.record.recording import Record
from pegasus.run_state import RunState
from pegasus.terminal_text import on_one_line, visible

NOTIFY_LIMIT = 20.0
"""Seconds that a notifier may run. A message over the network takes a few; a mail server that
answers late takes ten."""

WAITING_LIMIT = 10.0
"""Seconds at the end of a run for the notifications that wait; the rest is counted in the last one,
which has NOTIFY_LIMIT. So the end of Pegasus is delayed by half a minute at most."""

QUEUE_LIMIT = 100
"""Notifications that wait. Who gets a hundred messages about failures reads no more of them."""

SAID_AFTER = 1.0
"""Seconds after which a wait for the notifier is reported: a user wonders by then."""

ERROR_TAIL = 4096
"""Bytes of a notifier's standard error that are kept, for its last line."""

LONGEST_ERROR = 200
"""Characters of this line that are shown."""


class Notifier:
    """Queues notifications about runs, and runs the notifier for each of them.

    Args:
        command: the notifier, for ``sh -c``; None where there is none, and nothing happens.
        say: gets a message where it fails, once.
        is_aborted: whether a user ends the commands that run; then there is no notification about
            single jobs.
    """

    def __init__(
        self, command: str | None, say: Callable[[str], None], is_aborted: Callable[[], bool]
    ) -> None:
        self._command = command
        self._say = say
        self._is_aborted = is_aborted
        self._queue: deque[Notification] = deque()
        self._left_out = 0
        self._running: trio.CancelScope | None = None
        self._changed = trio.Event()
        self._failed = False
        self._run: NotifyingRun | None = None
        self._state = RunState()
        self._end: Notification | None = None

    # What happens in runs.

    def begin(self, bus: EventBus, record: Record, state: RunState) -> None:
        """Listen to the run that goes on.

        Args:
            bus: has its events.
            record: of the run.
            state: of the run; it is read at its end.
        """
        if self._command is not None:
            self._run, self._state = _run_of(record), state
            bus.add(RunNotifications(self, self._run))

    def follow(self, bus: EventBus, record: Record) -> None:
        """Listen to an earlier run, which is followed."""
        if self._command is not None:
            bus.add(RunNotifications(self, _run_of(record)))

    def end(self, ended: RunEnded, error: PegasusError | None = None) -> None:
        """Note the end of the run, and the error that ended it; ``finish`` delivers it."""
        if self._run is not None:
            words = "" if error is None else str(error)
            self._end = of_end(self._run, ended, self._state, words, time.time())

    def notify(self, run: NotifyingRun, event: Event) -> None:
        """Queue the notification about an event, if there is one; never waits."""
        match event:
            case Ended(_, outcome) if not succeeded(outcome) and not event.again:
                if not isinstance(outcome, Cancelled) and not self._is_aborted():
                    self._put(of_failure(run, event, time.time()))
            case Stalled():
                self._put(of_stall(run, event, time.time()))
            case _:
                pass

    def _put(self, notification: Notification) -> None:
        if len(self._queue) >= QUEUE_LIMIT:
            self._left_out += 1
        else:
            self._queue.append(notification)
            self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # Delivery.

    async def deliver(self) -> None:
        """Run the notifier for each notification, one after the other, until cancelled."""
        while True:
            while not self._queue:
                await self._changed.wait()
            notification = self._queue.popleft()
            left_out, self._left_out = self._left_out, 0
            with trio.CancelScope() as self._running:
                await self._deliver(notification, left_out)
            self._running = None
            self._change()

    async def _deliver(self, notification: Notification, left_out: int) -> None:
        tail = bytearray()

        def keep(data: bytes) -> None:
            tail.extend(data)
            del tail[:-ERROR_TAIL]

        data, environ = notification.json(left_out), notification.environ(os.environ)
        try:
            with trio.move_on_after(NOTIFY_LIMIT) as limit:
                status = await run_fed(("sh", "-c", self._command or ":"), data, keep, environ)
        except CannotStart as error:
            self._report(str(error))
            return
        if limit.cancelled_caught:
            self._report(f"it ran longer than {NOTIFY_LIMIT:g} s and was ended")
        elif status:
            how = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
            self._report(": ".join(filter(None, (how, _last_line(tail)))))

    def _report(self, words: str) -> None:
        """Report the first failure; the same command would fail again and again."""
        if not self._failed:
            self._failed = True
            self._say(
                f"The command of --notify failed: {words.removesuffix('.')}. Try it by hand with a "
                "saved event; further failures are not reported. No job is affected."
            )

    # The end.

    async def finish(self) -> None:
        """Deliver what waits, and the end of the run, within half a minute."""
        if self._run is not None and self._end is None:
            self.end(RunEnded(None, "failed"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say_that_it_waits)
            with trio.move_on_after(WAITING_LIMIT) as waiting:
                await self._wait_idle()
            if waiting.cancelled_caught:
                self._give_up_waiting()
                await self._wait_idle()
            if self._end is not None:
                self._queue.append(self._end)
                self._change()
                await self._wait_idle()
            nursery.cancel_scope.cancel(reason="all is delivered")

    async def _wait_idle(self) -> None:
        while self._queue or self._running is not None:
            await self._changed.wait()

    def _give_up_waiting(self) -> None:
        left_out = len(self._queue)
        self._left_out += left_out
        self._queue.clear()
        if self._running is not None:
            self._running.cancel(reason="the run is over")
            words = f"it had not ended {WAITING_LIMIT:g} s after the run, and was ended"
            others = f"; {left_out:,} events that waited for it were left out" if left_out else ""
            self._report(words + others)

    async def _say_that_it_waits(self) -> None:
        await trio.sleep(SAID_AFTER)
        longest = WAITING_LIMIT + NOTIFY_LIMIT
        self._say(f"Waiting for the command of --notify, {longest:g} s at most. Ctrl-C ends it.")


class RunNotifications:
    """The listener of one run.

    Args:
        notifier: gets what is worth a notification.
        run: the run.
    """

    def __init__(self, notifier: Notifier, run: NotifyingRun) -> None:
        self._notifier = notifier
        self._run = run

    def tell(self, event: Event) -> None:
        """Receive an event."""
        if isinstance(event, Ended | Stalled):
            self._notifier.notify(self._run, event)

    async def show(self, printed: Printed) -> None:
        """Ignore output; it is in the record."""


@asynccontextmanager
async def open_notifier(
    command: str | None,
    say: Callable[[str], None],
    is_aborted: Callable[[], bool],
    after_run: Callable[[], AbstractContextManager[object]],
) -> AsyncIterator[Notifier]:
    """Deliver notifications during the block, and at its end those that wait and the last one.

    Args:
        command: see ``Notifier``.
        say: see ``Notifier``.
        is_aborted: see ``Notifier``.
        after_run: gives a scope, which a user can cancel, for the wait at the end.
    """
    notifier = Notifier(command, say, is_aborted)
    if command is None:
        yield notifier
        return
    with sole_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notifier.deliver)
            failure: Exception | None = None
            try:
                yield notifier
            except Exception as error:  # noqa: BLE001 -- raised again below, after the last one
                failure = error
            with after_run():
                await notifier.finish()
            nursery.cancel_scope.cancel(reason="no more notifications")
            if failure is not None:
                raise failure


def _run_of(record: Record) -> NotifyingRun:
    return NotifyingRun(record.began, record.folder.output if record.folder is not None else None)


def _last_line(error: bytes | bytearray) -> str:
    lines = bytes(error).decode("utf-8", "backslashreplace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    shown = visible(on_one_line(last))
    return shown if len(shown) <= LONGEST_ERROR else f"{shown[:LONGEST_ERROR]}…"
