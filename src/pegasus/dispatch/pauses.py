"""The waits of a dispatcher for more to do: in the queue, or after a fault of it."""

from __future__ import annotations

from typing import Protocol

import trio

from pegasus.dispatch.pending import PendingEntry
from pegasus.dispatch.run import Run
from pegasus.errors import FileFault, PegasusError

QUEUE_POLL = 0.2
"""Seconds between two checks of the queue file. A job that is added starts within half a second; a
check is one ``stat``, which also sees changes made on other machines. It is most of what an idle
Pegasus does."""

DISK_POLL = 5.0
"""Seconds between tries to rewrite a queue file on a disk that is full or gone: a user has to free
space or mount it first, so there is no need for more tries."""

SILENT_WAIT = 1.0
"""Seconds of waiting after which a run reports that it waits for jobs, as with every other wait."""

_WAITING = {True: "Waiting for the file to change.", False: "Trying again."}


class Waiter(Protocol):
    """The dispatcher that waits."""

    run: Run

    def can_try_again(self) -> bool:
        """Return whether a job that waits can be assigned now."""

    def has_more_to_come(self) -> bool:
        """Return whether there is, or may be, something to do, now or later."""

    async def wait_changed(self) -> None:
        """Wait until something has changed in the run."""

    def report_once(self, words: str) -> None:
        """Report a sentence, unless it is empty or was reported before."""


class QueuePauses:
    """Waits for more to do.

    Args:
        owner: the dispatcher.
    """

    def __init__(self, owner: Waiter) -> None:
        self._owner = owner
        self._pending = PendingEntry()

    async def wait_more(self) -> bool:
        """Wait until there may be more to assign; return False when there never will be."""
        if self._owner.run.queue.pending and not self._owner.can_try_again():
            # A writer without pauses changes the file before each check: limit the rate of takes.
            await self._poll_queue()
        began, run = trio.current_time(), self._owner.run
        while not run.queue.changed() and not self._owner.can_try_again():
            if not self._owner.has_more_to_come():
                return False
            await self._poll_queue()
            is_idle = run.daemon and not (run.ending.running or run.queue.pending)
            if is_idle and trio.current_time() - began >= SILENT_WAIT:
                run.on_idle()
        return True

    async def _poll_queue(self) -> None:
        with trio.move_on_after(QUEUE_POLL):
            await self._owner.wait_changed()
        self._owner.report_once(self._pending.words_due(self._owner.run.queue.pending))

    async def wait_after(self, fault: PegasusError) -> None:
        """Report a fault, once, and wait until the file or the disk may have changed.

        Raises:
            PegasusError: the fault, when nothing is under way that could bring a change.
        """
        if self._owner.has_more_to_come():
            self._owner.report_once(f"{fault} {_WAITING[isinstance(fault, FileFault)]}")
        if isinstance(fault, FileFault):
            if not await self.wait_more():
                raise fault
            return
        # The disk refuses, so a change of the file is no reason to try at once.
        with trio.move_on_after(DISK_POLL):
            while not self._owner.can_try_again():
                if not self._owner.has_more_to_come():
                    raise fault
                await self._owner.wait_changed()
