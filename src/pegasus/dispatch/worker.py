"""A worker: the task that wraps one sub-node, keeps it connected and at work.

Rule 1: a worker says that it is free only when a shell on its sub-node waits for a command.
Rule 2: whatever it was handed it accounts for: ended in some way, or returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import trio

from pegasus import duration
from pegasus.dispatch.patience import SEVERAL_LOSSES, STEADY, Patience
from pegasus.dispatch.run import Run, Session, Shell
from pegasus.errors import NodeUnreachable, PegasusError, sole_error
from pegasus.events import Connected, Noted, Unreachable
from pegasus.model import (
    Assignment,
    Cancelled,
    Exited,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    SubNode,
    TimedOut,
)

DROPS_TOLD = 2
"""Connections that broke in a row before they were steady, from which on the next one is told only
once it is steady: else ``connected`` and the same reason would be told again and again."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker's word that its shell is ready for one command."""

    worker: Worker
    give: trio.MemorySendChannel[Assignment]

    @property
    def stands(self) -> bool:
        """Tell whether the shell is still there."""
        return self.give.statistics().open_receive_channels > 0


class Desk(Protocol):
    """Where workers report."""

    @property
    def closed(self) -> bool:
        """Tell whether nothing more will be taken."""

    def announce(self, slot: Slot) -> None:
        """Offer a slot."""

    def unreached(self, worker: Worker) -> None:
        """Take note that a worker's sub-node can't be reached."""

    def take_back(self, assignment: Assignment, words: str) -> None:
        """Take back a job that certainly never started."""

    def end(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Take note of an end."""


@dataclass(eq=False, slots=True)
class Worker:
    """The task that wraps a sub-node, as the dispatcher sees it.

    Attributes:
        sub_node: what it wraps.
        run: the run that it works for.
        scope: its whole life.
        shell: the shell that waits for a command, or runs one; None once it is gone.
        assignment: what it was handed and has not accounted for yet.
        reached: whether it has ever been connected.
        failed: whether its connection broke, or the last try to connect failed.
        leaving: whether it is to go when it has done what it was handed; or has gone.
        patience: what went wrong with it, and how long to wait because of it.
        steady: whether its connection is one to rely on.
        told_away: whether the last that was told of it is that it can't be reached.
    """

    sub_node: SubNode
    run: Run
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    shell: Shell | None = None
    assignment: Assignment | None = None
    reached: bool = False
    failed: bool = False
    leaving: bool = False
    patience: Patience = field(default_factory=Patience)
    steady: bool = False
    told_away: bool = False

    @property
    def connected(self) -> bool:
        """Tell whether it works, or could, and will go on to."""
        return self.reached and not self.failed and not self.leaving

    async def serve(self, desk: Desk) -> None:
        """Keep the sub-node connected and at work, until nothing more will come."""
        try:
            with self.scope:
                while not desk.closed and not self.leaving:
                    await self._connect_and_work(desk)
        finally:
            self._account(desk, NotStarted("aborted before it began"), 0.0)

    def leave(self) -> None:
        """Go as soon as nothing runs."""
        self.leaving = True
        if self.assignment is None:
            self.scope.cancel(reason="nothing more for this sub-node")

    def stay(self) -> bool:
        """Stay after all, if it is not too late: only while what it was handed keeps it."""
        if self.assignment is None:
            return False
        self.leaving = False
        return True

    async def _connect_and_work(self, desk: Desk) -> None:
        """Work until nothing more comes, or the connection breaks; wait before the next try."""
        pause: float | None = None
        try:
            async with self.run.open_session(self.sub_node) as session:
                await self._work(desk, session)
        except NodeUnreachable as error:
            pause = self._fail(desk, error.words)
        if pause is not None:
            await trio.sleep(pause)

    def _fail(self, desk: Desk, words: str) -> float | None:
        """Tell that the sub-node can't be reached; give the seconds until the next try, if any."""
        self._hand_back(desk, words)
        stood = self.reached and not self.failed
        self.failed = self.told_away = True
        too_many = self.patience.loss_is_new and self.patience.losses == SEVERAL_LOSSES
        pause = self.patience.fail(stood=stood)
        again_in = None if desk.closed or self.leaving else pause
        try:
            desk.unreached(self)
        except PegasusError:  # the run ends: nobody tries again
            again_in = None
            raise
        finally:
            self.run.listener.tell(Unreachable(self.sub_node, words, again_in))
        if again_in is not None and too_many:
            self._tell_losses(again_in)
        return again_in

    def _tell_losses(self, pause: float) -> None:
        """Say once that jobs will come slower from now on."""
        self.run.listener.tell(
            Noted(
                f"{self.sub_node} lost {self.patience.losses} jobs in a row: it gets the next one "
                f"in {duration.words(pause)}, and after each further loss it waits longer, until "
                "a job ends on it. Find out why its connection breaks, or take it out of the "
                "hosts file."
            )
        )

    def _connected(self) -> None:
        """Tell, once, that the sub-node can take jobs: a way to it without a shell is none."""
        first, self.reached, self.failed = not self.reached, True, False
        if first or (self.told_away and self.patience.drops < DROPS_TOLD):
            self._tell_connected()

    def _tell_connected(self) -> None:
        self.told_away = False
        self.run.listener.tell(Connected(self.sub_node))

    def _become_steady(self) -> None:
        """Rely on the connection from now on."""
        self.steady = True
        self.patience.steady()
        if self.told_away:
            self._tell_connected()

    async def _wait_steady(self) -> None:
        await trio.sleep(STEADY)
        self._become_steady()

    async def _work(self, desk: Desk, session: Session) -> None:
        """Run one job after the other over an open session."""
        self.steady = False
        while not desk.closed and not self.leaving:
            async with session.open_shell() as self.shell:
                self._connected()
                outcome = await self._work_in(desk, self.shell)
            if isinstance(outcome, Lost | NotStarted):
                raise NodeUnreachable(outcome.words)

    async def _work_in(self, desk: Desk, shell: Shell) -> Outcome:
        """Run one job after the other in a shell, for as long as it takes more."""
        with sole_error():
            async with trio.open_nursery() as nursery:
                give, receive = trio.open_memory_channel[Assignment](1)
                nursery.start_soon(self._hear_break, shell, receive)
                if not self.steady:
                    nursery.start_soon(self._wait_steady)
                again = True
                with give, receive:
                    while again:
                        assignment = await self._next(desk, Slot(self, give), receive)
                        outcome = await self._run_one(desk, shell, assignment)
                        over = desk.closed or self.leaving
                        if over or isinstance(outcome, Lost | NotStarted):
                            break
                        again = await shell.wait_next()
                nursery.cancel_scope.cancel(reason="this shell is through")
        return outcome

    async def _hear_break(
        self, shell: Shell, receive: trio.MemoryReceiveChannel[Assignment]
    ) -> None:
        """Let nothing more be given to a shell that is gone."""
        await shell.wait_broken()
        self.shell = None
        receive.close()

    async def _next(
        self, desk: Desk, slot: Slot, receive: trio.MemoryReceiveChannel[Assignment]
    ) -> Assignment:
        """Say that a shell is ready, and wait for what it shall run."""
        try:
            desk.announce(slot)
            return await receive.receive()
        except trio.ClosedResourceError:
            raise NodeUnreachable("the connection broke") from None

    async def _run_one(self, desk: Desk, shell: Shell, assignment: Assignment) -> Outcome:
        began = trio.current_time()
        outcome: Outcome = Cancelled()
        try:
            with self.run.running.entered(assignment, self.run.timeout) as scope:
                outcome = await shell.run(assignment, self.run.name, self.run.listener.show)
        except BaseException as error:
            # Also a group of cancellations. What began must not be told as not started, even where
            # Pegasus itself fails.
            failed = isinstance(error, Exception)
            outcome = Lost(f"Pegasus failed while it ran: {error!r}") if failed else Cancelled()
            self._account(desk, outcome, trio.current_time() - began)
            raise
        if scope.cancelled_caught and scope.deadline < math.inf:
            outcome = TimedOut(self.run.timeout)
        if isinstance(outcome, NotStarted):
            self.assignment = None
            desk.take_back(assignment, outcome.words)
            return outcome
        if isinstance(outcome, Lost):
            self.patience.lose()
        elif isinstance(outcome, Exited | Killed):  # told by the node itself
            self.patience.losses = 0
            self._become_steady()
        self._account(desk, outcome, trio.current_time() - began)
        return outcome

    def _hand_back(self, desk: Desk, words: str) -> None:
        """Hand back a job that came in the very moment in which the shell broke."""
        if self.assignment is not None:
            assignment, self.assignment = self.assignment, None
            desk.take_back(assignment, words)

    def _account(self, desk: Desk, outcome: Outcome, seconds: float) -> None:
        if self.assignment is not None:
            assignment, self.assignment = self.assignment, None
            desk.end(assignment, outcome, seconds)
