"""A worker: the task that wraps one sub-node, keeps it connected and at work.

Rule 1: a worker says that it is free only when a shell on its sub-node waits for a command.
Rule 2: whatever it was handed it accounts for: ended in some way, or returned.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import trio

from pegasus.dispatch.run import Run, Session, Shell
from pegasus.errors import NodeUnreachable, sole_error
from pegasus.events import Connected, Unreachable
from pegasus.model import (
    Assignment,
    Cancelled,
    Lost,
    NotStarted,
    Outcome,
    SubNode,
    TimedOut,
)

FIRST_PATIENCE = 1.0
LAST_PATIENCE = 60.0
"""Seconds between tries to reach a node: the first soon, since most failures pass; a minute at the
most, since a node that is back should not idle for longer."""


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
        leaving: whether it is to go when it has done what it was handed.
    """

    sub_node: SubNode
    run: Run
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    shell: Shell | None = None
    assignment: Assignment | None = None
    reached: bool = False
    failed: bool = False
    leaving: bool = False

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

    async def _connect_and_work(self, desk: Desk) -> None:
        """Work until the connection breaks, or nothing more comes; try until it stands."""
        for patience in patiences():
            try:
                async with self.run.open_session(self.sub_node) as session:
                    return await self._work(desk, session)
            except NodeUnreachable as error:
                self._hand_back(desk, error.words)
                stood = self.reached and not self.failed
                self.failed = True
                self.run.listener.tell(Unreachable(self.sub_node, error.words, patience))
                desk.unreached(self)
            await trio.sleep(patience)
            if stood:
                return None
        return None

    def _connected(self) -> None:
        """Tell, once, that the sub-node can take jobs: a way to it without a shell is none."""
        if self.failed or not self.reached:
            self.reached, self.failed = True, False
            self.run.listener.tell(Connected(self.sub_node))

    async def _work(self, desk: Desk, session: Session) -> None:
        """Run one job after the other over an open session."""
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
        except trio.Cancelled:
            self._account(desk, Cancelled(), trio.current_time() - began)
            raise
        if scope.cancelled_caught and scope.deadline < math.inf:
            outcome = TimedOut(self.run.timeout)
        if isinstance(outcome, NotStarted):
            self.assignment = None
            desk.take_back(assignment, outcome.words)
        else:
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


def patiences() -> Iterator[float]:
    """Give the seconds to wait before each next try: doubled each time, and jittered.

    The jitter keeps many sub-nodes of one host from knocking in step.
    """
    patience = FIRST_PATIENCE
    while True:
        yield patience * random.uniform(0.75, 1.25)  # noqa: S311 -- no secret
        patience = min(2 * patience, LAST_PATIENCE)
