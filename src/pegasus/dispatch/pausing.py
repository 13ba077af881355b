"""Pauses the taking of a run, until it is resumed.

Rule 1: a pause cancels a scope around the taking, as a drain does, and a resume begins the taking
again. So what takes is safe to cancel at each checkpoint, and to begin once more.
Rule 2: the events are told while nothing is taken: no job is taken or started between them.
Rule 3: a pause may come in the moment in which the taking ends by itself. Then either the pause is
refused, since the taking is over, or the taking begins again after the resume: a paused run never
ends by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from pegasus.events import Listener, RunPaused, RunResumed


class PauseSwitch:
    """Pauses and resumes the taking of a run.

    Args:
        listener: is told of each change.
        wait_started: waits until each command that was assigned has begun.

    Attributes:
        is_over: whether the taking has ended, so that there is nothing to pause any more.
    """

    def __init__(self, listener: Listener, wait_started: Callable[[], Awaitable[None]]) -> None:
        self.is_over = False
        self._listener = listener
        self._wait_started = wait_started
        self._resumed = trio.Event()
        self._resumed.set()
        self._stopped = trio.Event()  # the taking, so far as it had begun
        self._stopped.set()
        self._scope = trio.CancelScope()

    @property
    def is_paused(self) -> bool:
        """Whether nothing is taken and nothing started."""
        return not self._resumed.is_set()

    async def repeat(self, take: Callable[[], Awaitable[None]]) -> None:
        """Take until there is no more to take; after each pause, once more from the beginning.

        Args:
            take: takes and assigns jobs; it ends when there are no more.
        """
        try:
            while not await self._take_until_paused(take):
                while self.is_paused:
                    await self._resumed.wait()
        finally:
            self.is_over = True

    async def _take_until_paused(self, take: Callable[[], Awaitable[None]]) -> bool:
        """Take, unless paused; return whether the taking ended by itself, and without a pause."""
        self._stopped = trio.Event()
        try:
            with trio.CancelScope() as self._scope:
                if not self.is_paused:
                    await take()
        finally:
            self._stopped.set()
        return not (self._scope.cancelled_caught or self.is_paused)

    async def pause(self) -> bool:
        """Take and start nothing; return once this is so, and all that was taken has begun.

        Returns:
            Whether the run was not paused before.
        """
        if self.is_paused:
            await trio.lowlevel.checkpoint()
            return False
        self._resumed = trio.Event()
        self._scope.cancel(reason="the run is paused")
        await self._stopped.wait()
        await self._wait_started()
        if self.is_paused:
            self._listener.tell(RunPaused())
        return True

    def resume(self) -> bool:
        """Take jobs again; return whether the run was paused."""
        if not self.is_paused:
            return False
        self._listener.tell(RunResumed())
        self._resumed.set()
        return True
