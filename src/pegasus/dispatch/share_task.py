"""Tells other runs of the queue what this one holds, and notices what they let go."""

from __future__ import annotations

from collections.abc import Callable

import trio

from pegasus.dispatch.slot_ledger import SlotLedger

OTHERS_POLL = 0.5
"""Seconds between two looks at what other runs hold, while a job of this run waits."""

LAST_WRITE_LIMIT = 2.0
"""Seconds at the end of a run for the last word to the others; a disk that hangs gets no more. What
is not written is found out later: the run is over then, and the node is asked."""


class Sharing:
    """Keeps the shared files and the ledger of a run alike.

    Args:
        ledger: of the run.
        is_wanted: whether a job of this run waits, so that it matters what others hold.
        on_free: called when another run has let something go.
        on_look: called after each look at the other runs: one of them may be over now.
        on_problem: gets a sentence about what is amiss with the shared files, once.
    """

    def __init__(
        self,
        ledger: SlotLedger,
        is_wanted: Callable[[], bool],
        on_free: Callable[[], None],
        on_look: Callable[[], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._is_wanted = is_wanted
        self._on_free = on_free
        self._on_look = on_look
        self._on_problem = on_problem
        self._reported = 0

    async def run(self) -> None:
        """Write and read, until it is cancelled."""
        while True:
            if self._ledger.is_written and not (self._is_wanted() and self._ledger.has_others):
                await self._ledger.wait_changed()
            if not self._ledger.is_written:
                await trio.to_thread.run_sync(self._ledger.flush, abandon_on_cancel=True)
                if not self._ledger.is_written:  # the disk refuses, or something has changed again
                    await trio.sleep(OTHERS_POLL)
            elif self._is_wanted() and self._ledger.has_others:
                look, now = self._ledger.look_at_others, trio.current_time()
                if await trio.to_thread.run_sync(look, now, abandon_on_cancel=True):
                    self._on_free()
                self._on_look()
                with trio.move_on_after(OTHERS_POLL):
                    await self._ledger.wait_changed()

    def report_problems(self) -> None:
        """Report what has gone wrong since the last call."""
        problems = self._ledger.shared.problems
        for each in problems[self._reported :]:
            self._on_problem(each)
        self._reported = len(problems)

    async def finish(self) -> None:
        """Write what is still held at the end of the run."""
        if not self._ledger.is_written:
            await trio.to_thread.run_sync(self._ledger.flush, abandon_on_cancel=True)
