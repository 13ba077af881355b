"""The detached commands that a sub-node holds: they run, or their folders are not removed yet.

Rule 1: a command is in ``commands`` from its hand-over, or its taking over, until its folder is
gone. A broken connection does not remove it.
Rule 2: the order of the steps at its end: output on the disk, end reported, end on the disk, folder
removed. Each step can be cancelled, and continued later or by another run.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import trio

from pegasus import duration
from pegasus.dispatch.detached import RELEASE_LIMIT, DetachedCommand, Remains, Stray
from pegasus.dispatch.ending import EndedBy, Stage
from pegasus.dispatch.ports import Session, Shell
from pegasus.dispatch.run import Run
from pegasus.errors import NodeUnreachable
from pegasus.events import Ended, Listener, Noted, Prepared
from pegasus.model import Apart, Assignment, Lost, NotStarted, Outcome, SubNode

FOLDERS_LIMIT = 10.0
"""Seconds at the end of a run for the removal of folders in which no command started: to connect
takes a few. A node that does not answer keeps them, and the next run removes them."""


class HeldReports(Protocol):
    """What is reported to the dispatcher about detached commands."""

    def take_back(self, assignment: Assignment, words: str) -> None:
        """Report a command of this run that certainly never started."""

    def end(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Report the end of a command of this run."""

    def end_inherited(self, run_name: str, ended: Ended) -> None:
        """Report the end of a command of an earlier run, which its own run has been told."""


class HeldCommands:
    """The detached commands that a sub-node holds.

    Args:
        sub_node: where they are.
        run: the run that follows them.
        reports: gets the ends.
        on_outcome: called with each outcome, before it is reported.
        remains: what earlier runs have left there.

    Attributes:
        commands: the commands, the oldest first.
        probed: set once it was tried to reach what earlier runs have left.
        is_finishing: whether commands are followed or folders removed, which ends by itself.
    """

    def __init__(
        self,
        sub_node: SubNode,
        run: Run,
        reports: HeldReports,
        on_outcome: Callable[[Outcome], None],
        remains: Remains,
    ) -> None:
        self.commands = list(remains.commands)
        self.probed = trio.Event()
        self.is_finishing = False
        self._is_opening = False  # a shell, which has asked its node for a folder
        self._sub_node = sub_node
        self._run = run
        self._reports = reports
        self._on_outcome = on_outcome
        self._strays = list(remains.strays)
        self._unused: dict[str, Stray] = {}  # the folders of the shell that is open
        self._listener = remains.listener or run.listener
        for command in self._open:
            run.ending.running[command] = None
        if not self.to_do:
            self.probed.set()

    @property
    def _open(self) -> list[DetachedCommand]:
        return [command for command in self.commands if not command.is_reported]

    @property
    def may_run(self) -> bool:
        """Whether there is a command whose end was not reported."""
        return bool(self._open)

    @property
    def to_do(self) -> bool:
        """Whether there is a command to follow, or a folder to remove."""
        return bool(self.commands or self._strays)

    # Folders.

    @property
    def has_folders(self) -> bool:
        """Whether folders without a command are on the node, which can be removed at once."""
        return self._is_opening or not self.probed.is_set()

    @asynccontextmanager
    async def open_shell(self, session: Session, *, detached: bool) -> AsyncIterator[Shell]:
        """Open a shell; record each folder that it makes, and remember those that are not used.

        Raises:
            NodeUnreachable: the shell could not be started.
        """
        shell: Shell | None = None
        self._is_opening = detached
        note = partial(self._note, *self._owner_of_folders()) if detached else None
        try:
            async with session.open_shell(on_key=note) as shell:
                self._is_opening = False
                yield shell
        finally:
            self._is_opening = False
            unused, self._unused = self._unused, {}
            for stray in unused.values():
                if shell is not None and shell.is_dismissed:
                    stray.tell_removed()
                else:
                    self._strays.append(stray)

    def _owner_of_folders(self) -> tuple[SubNode, Listener]:
        """Give the sub-node and the listener of a run whose record is searched for folders."""
        if self._run.detached or not self.to_do:
            return self._sub_node, self._listener
        if self.commands:
            first = self.commands[0]
            return first.assignment.sub_node, first.owner.listener
        return self._strays[0].sub_node, self._strays[0].listener

    def _note(self, sub_node: SubNode, listener: Listener, key: str) -> None:
        self._unused[key] = Stray(sub_node, key, listener)
        listener.tell(Prepared(sub_node, key))

    # Commands.

    async def start(self, shell: Shell, assignment: Assignment) -> Outcome | Apart:
        """Start a command, and follow it until its folder is removed or the connection breaks."""
        command = DetachedCommand(assignment, self._run.owner, self._run.timeout)
        self._unused.pop(command.key, None)
        self.commands.append(command)
        self._run.ending.running[command] = None
        return await self._follow(shell, command)

    async def follow_all(self, shell: Shell) -> None:
        """Follow the commands to their ends, and remove what is left of earlier ones.

        Raises:
            NodeUnreachable: the connection broke.
        """
        self.is_finishing = True
        try:
            await self._follow_all(shell)
        finally:
            self.is_finishing = False
        self.probed.set()

    async def _follow_all(self, shell: Shell) -> None:
        for stray in self._strays.copy():
            await stray.remove(shell)
            self._strays.remove(stray)  # one that cannot be removed is not tried again
        for command in self.commands.copy():
            if command.is_reported:
                await self._clean_up(shell, command)
            elif isinstance(found := await self._follow(shell, command), Apart):
                if command.left:
                    await trio.lowlevel.checkpoint()  # which ends here: the run is left
                raise NodeUnreachable(found.words)

    def tell_unreachable(self, words: str) -> None:
        """Report that the commands cannot be reached."""
        for command in self._open:
            if not command.left:
                command.tell_apart(words)
        self.probed.set()

    async def _follow(self, shell: Shell, command: DetachedCommand) -> Outcome | Apart:
        self.probed.set()
        began = trio.current_time()
        found = await command.run(shell, self._run.ending.kill_now)
        if isinstance(found, Apart) and command.extent is None:
            found = NotStarted("ended before it was handed over")
        if isinstance(found, Apart):
            if not command.left:
                command.tell_apart(found.words)
            return found
        seconds = shell.seconds
        if seconds is None:
            seconds = trio.current_time() - began
        before, self.is_finishing = self.is_finishing, True
        try:
            await self._complete(shell, command, found, seconds)
        except trio.Cancelled:
            with trio.move_on_after(RELEASE_LIMIT, shield=True):
                await self._complete(shell, command, found, seconds)
            self._report(command, found, seconds)
            raise
        finally:
            self.is_finishing = before
        return found

    async def _complete(
        self, shell: Shell, command: DetachedCommand, outcome: Outcome, seconds: float
    ) -> None:
        """Do the steps at the end of a command that are not done yet."""
        await command.owner.persist(command.assignment)
        self._report(command, outcome, seconds)
        if command in self.commands and await command.release(shell):
            self.commands.remove(command)

    def _report(self, command: DetachedCommand, outcome: Outcome, seconds: float) -> None:
        if command.is_reported:
            return
        command.is_reported = True
        self._run.ending.running.pop(command, None)
        self._on_outcome(outcome)
        if command.owner.name != self._run.name:
            ended = Ended(command.assignment, outcome, seconds)
            command.owner.listener.tell(ended)
            self._reports.end_inherited(command.owner.name, ended)
        elif isinstance(outcome, NotStarted) and not outcome.is_final and not command.is_stopping:
            self._reports.take_back(command.assignment, outcome.words)
            # Its try is forgotten, so only its folder is left to be removed.
            self.commands.remove(command)
            self._strays.append(Stray(self._sub_node, command.key, self._run.listener))
        else:
            self._reports.end(command.assignment, outcome, seconds)

    async def _clean_up(self, shell: Shell, command: DetachedCommand) -> None:
        """Remove the folder of a command whose end was reported; end it, if it runs after all."""
        if not await command.release(shell):
            command.end(EndedBy.STOP_JOB)
            self._run.ending.running[command] = None
            try:
                found = await command.run(shell, self._run.ending.kill_now)
            finally:
                self._run.ending.running.pop(command, None)
            if isinstance(found, Apart):
                raise NodeUnreachable(found.words)
            await command.release(shell)
        self.commands.remove(command)

    # Commands that cannot be reached.

    @property
    def give_up_at(self) -> float:
        """When the next command counts as lost, on Trio's clock."""
        since = [each.apart_since for each in self._open if each.apart_since is not None]
        return min(since, default=math.inf) + self._run.give_up

    def give_up(self) -> None:
        """Report as lost what was not reached for too long; it is ended once it is reached."""
        for command in self._open:
            apart = command.apart_since
            if apart is not None and trio.current_time() >= apart + self._run.give_up:
                words = f"its node was unreachable for {duration.words(self._run.give_up)}"
                self._report(command, Lost(f"{words} (--give-up)"), self._run.give_up)

    def leave(self) -> None:
        """Stop following the commands, which go on."""
        for command in self._open:
            command.leave()

    def report_left_stops(self) -> None:
        """Say which commands an aborted run could not end."""
        ending = self._run.ending
        if ending.stage < Stage.ABORTING or ending.left:
            return
        for command in self._open:
            self._run.listener.tell(
                Noted(
                    f"Job {command.assignment.number} of run {command.owner.name} goes on: "
                    f"{self._sub_node} cannot be reached. The next `pegasus queue`, "
                    "`broadcast` or `attach` that reaches it ends it."
                )
            )
