"""A worker: the task that keeps one sub-node connected and runs commands on it.

Rule 1: a worker is ready only while a shell on its sub-node waits for a command.
Rule 2: a worker reports what happened to every command that it was assigned: it ended, or returned.
"""

from __future__ import annotations

from typing import Protocol

import trio

from pegasus import duration
from pegasus.dispatch.backoff import STEADY, ConnectionHistory
from pegasus.dispatch.detached import Remains
from pegasus.dispatch.ending import EndedBy, RunningCommand
from pegasus.dispatch.held import FOLDERS_LIMIT, HeldCommands, HeldReports
from pegasus.dispatch.ports import Session, Shell
from pegasus.dispatch.run import Run
from pegasus.dispatch.worker_states import (
    Away,
    Busy,
    Connecting,
    Finished,
    Preparing,
    Ready,
    WorkerState,
)
from pegasus.errors import NodeUnreachable, sole_error
from pegasus.events import Connected, Noted, Unreachable
from pegasus.model import (
    Apart,
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


class WorkerReports(HeldReports, Protocol):
    """What workers report to the dispatcher."""

    @property
    def closed(self) -> bool:
        """Whether nothing more will be assigned."""

    def offer(self, worker: Worker) -> None:
        """Report that a worker is ready."""

    def withdraw(self, worker: Worker) -> None:
        """Report that a worker is not ready any more."""

    def unreachable(self, worker: Worker) -> None:
        """Report that a worker's sub-node cannot be reached.

        Raises:
            PegasusError: the run cannot continue without it.
        """


class Worker:
    """The task that keeps one sub-node connected and runs commands on it.

    Args:
        sub_node: where it runs commands.
        run: the run that it belongs to.
        reports: gets its reports.
        remains: what earlier runs have left on the sub-node. Where this run does not have the
            sub-node, or it follows another command there, the worker takes no jobs, and ends when
            nothing is left to follow or to remove.
        lane: its number among the workers of a sub-node with pools, from 0; the first one alone
            reports the state of the connection.

    Attributes:
        sub_node: where it runs commands.
        lane: see above.
        place: identifies the machine; empty before the first connection.
        state: what it does at present.
        leaving: whether it is to end as soon as it has no command.
        history: what happened to its connections.
        held: the detached commands of its sub-node.
    """

    def __init__(
        self,
        sub_node: SubNode,
        run: Run,
        reports: WorkerReports,
        remains: Remains | None = None,
        lane: int = 0,
    ) -> None:
        self.sub_node = sub_node
        self.lane = lane
        self.place = ""
        remains = remains or Remains()
        self.held = HeldCommands(sub_node, run, reports, self._end_detached, remains)
        self._listener = remains.listener or run.listener
        self._follows_only = remains.listener is not None
        self.state: WorkerState = Connecting()
        self.leaving = False
        self.history = ConnectionHistory()
        self._run = run
        self._reports = reports
        self._scope = trio.CancelScope()
        self._woken = trio.Event()

    @property
    def connected(self) -> bool:
        """Whether its sub-node is connected and stays in the run."""
        return isinstance(self.state, Preparing | Ready | Busy) and not self.leaving

    @property
    def is_busy(self) -> bool:
        """Whether a command runs on its sub-node, as far as is known."""
        return isinstance(self.state, Busy) or self.held.may_run

    async def serve(self) -> None:
        """Keep the sub-node connected and run commands, until nothing more will be assigned."""
        try:
            with self._scope:
                while not self._is_over:
                    await self._connect_and_work()
        finally:
            self._account(NotStarted("aborted before it began"), 0.0)
            self.held.probed.set()
            self.held.report_left_stops()
            self.state = Finished()

    # Orders of the dispatcher.

    def assign(self, shell: Shell, assignment: Assignment) -> None:
        """Assign a command to the shell that is ready."""
        self.state = Busy(shell, assignment)
        self._woken.set()

    def leave(self) -> None:
        """End as soon as no command runs."""
        self.leaving = True
        self._withdraw()
        if self.is_busy or self.held.is_finishing:
            return
        if self.held.has_folders:
            self._scope.deadline = trio.current_time() + FOLDERS_LIMIT
        else:
            self._scope.cancel(reason="no more commands for this sub-node")

    def abandon(self) -> None:
        """End at once; detached commands still run on the sub-node, which cannot be reached."""
        self.held.leave()
        self._scope.cancel(reason="the run goes on without this sub-node")

    def stay(self) -> bool:
        """Revoke ``leave``; return whether this was possible, which is while a command runs."""
        if self.is_busy:
            self.leaving = False
        return not self.leaving

    # The connection.

    @property
    def _is_over(self) -> bool:
        is_done = self._follows_only and not self.held.to_do
        may_end = self.leaving or self._reports.closed or is_done
        return may_end and not self.held.may_run and self.held.probed.is_set()

    async def _connect_and_work(self) -> None:
        """Work until the connection breaks, and wait before the next try."""
        pause: float | None = None
        try:
            async with self._run.open_session(self.sub_node) as session:
                self.history.begin()
                self.place = session.place
                await self._work(session)
        except NodeUnreachable as error:
            pause = self._fail(error.words)
        if pause is not None:
            with trio.move_on_at(self.held.give_up_at):
                await trio.sleep(pause)
            self.held.give_up()

    def _fail(self, words: str) -> float | None:
        """Report that the sub-node cannot be reached; return the seconds until the next try."""
        broke = isinstance(self.state, Preparing)
        next_try = self.history.fail(was_connected=broke)
        self.state = Away(words, broke)
        self.held.tell_unreachable(words)
        again_in: float | None = None  # where the run ends there is no other try
        try:
            self._reports.unreachable(self)
            again_in = None if self._is_over else next_try.pause
        finally:
            if not self.lane:
                self._listener.tell(Unreachable(self.sub_node, words, again_in))
        if again_in is not None and next_try.losses is not None and not self.lane:
            self._report_losses(next_try.losses, again_in)
        return again_in

    def _report_losses(self, losses: int, pause: float) -> None:
        """Report, once, that the sub-node will get jobs less often."""
        self._run.listener.tell(
            Noted(
                f"{self.sub_node} lost {losses} jobs in a row: it gets the next one "
                f"in {duration.words(pause)}, and after each further loss it waits longer, until "
                "a job ends on it. Find out why its connection breaks, or take it out of the "
                "hosts file."
            )
        )

    def _report_connected(self) -> None:
        if not self.lane:
            self._listener.tell(Connected(self.sub_node))

    async def _wait_steady(self) -> None:
        await trio.sleep(STEADY)
        if self.history.become_steady():
            self._report_connected()

    # The shells.

    async def _work(self, session: Session) -> None:
        """Run one command after the other over an open session."""
        while not self._is_over:
            if self.held.to_do:
                await self._follow_held(session)
                continue
            async with self.held.open_shell(session, detached=self._run.detached) as shell:
                self._connect()
                if self._is_over:
                    return
                await shell.wait_key()
                broken = await self._work_in(shell)
            if broken is not None:
                raise NodeUnreachable(broken)

    async def _follow_held(self, session: Session) -> None:
        """Follow the detached commands that the sub-node holds."""
        async with self.held.open_shell(session, detached=True) as shell:
            self._connect()
            await self.held.follow_all(shell)

    def _connect(self) -> None:
        self.state = Preparing()
        if self.history.connect():
            self._report_connected()

    async def _work_in(self, shell: Shell) -> str | None:
        """Run commands in one shell until it takes no more.

        Returns:
            Why the connection is broken; None where it is not.
        """
        ready = Ready(shell)
        with sole_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, shell)
                if not self.history.steady:
                    nursery.start_soon(self._wait_steady)
                takes_another = True
                while takes_another:
                    assignment = await self._wait_assigned(ready)
                    broken = _break_of(assignment, await self._run_one(shell, assignment))
                    if self._is_over or broken is not None:
                        break
                    takes_another = await shell.wait_next()
                nursery.cancel_scope.cancel(reason="this shell takes no more commands")
        return broken

    async def _watch(self, shell: Shell) -> None:
        """Stop being ready as soon as the shell is gone."""
        await shell.wait_broken()
        self._withdraw()
        self._woken.set()

    async def _wait_assigned(self, ready: Ready) -> Assignment:
        """Become ready, and wait for a command.

        Raises:
            NodeUnreachable: the shell is gone.
        """
        self._woken = trio.Event()
        if not self.leaving:
            self.state = ready
            self._reports.offer(self)
        try:
            await self._woken.wait()
        finally:
            self._withdraw()
        if isinstance(self.state, Busy):
            return self.state.assignment
        raise NodeUnreachable("the connection broke")

    def _withdraw(self) -> None:
        if isinstance(self.state, Ready):
            self.state = Preparing()
            self._reports.withdraw(self)

    # The command.

    async def _run_one(self, shell: Shell, assignment: Assignment) -> Outcome | Apart:
        if assignment.key is not None:
            try:
                return await self.held.start(shell, assignment)
            finally:
                self.state = Preparing()
        run, began = self._run, trio.current_time()
        command = RunningCommand(assignment, began + run.timeout)
        run.ending.running[command] = None
        try:
            with command.scope:
                found = await shell.run(
                    assignment, run.name, run.listener.show, run.ending.kill_now
                )
                outcome = Lost(found.words) if isinstance(found, Apart) else found
            if command.scope.cancelled_caught:
                outcome = self._ended_outcome(command)
        except BaseException as error:
            # Also a group of cancellations. A command that began must not be reported as not
            # started, even where Pegasus itself fails.
            if isinstance(error, Exception):
                outcome = Lost(f"Pegasus failed while it ran: {error!r}")
            else:
                outcome = self._ended_outcome(command)
            self._account(outcome, trio.current_time() - began)
            raise
        finally:
            del run.ending.running[command]
        self._finish(assignment, outcome, trio.current_time() - began)
        return outcome

    def _ended_outcome(self, command: RunningCommand) -> Outcome:
        """Return the outcome of a command that Pegasus ended."""
        if command.ended_by is EndedBy.TIME_LIMIT:
            return TimedOut(self._run.timeout)
        return Cancelled()

    def _finish(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Report what happened to a command."""
        self._note_outcome(outcome)
        if isinstance(outcome, NotStarted) and not outcome.is_final:
            self.state = Preparing()
            self._reports.take_back(assignment, outcome.words)
        else:
            self._account(outcome, seconds)

    def _end_detached(self, outcome: Outcome) -> None:
        """Note that a detached command has ended, before this is reported."""
        self.state = Preparing()
        self._note_outcome(outcome)

    def _note_outcome(self, outcome: Outcome) -> None:
        """Note what an outcome says about the connection."""
        if isinstance(outcome, Lost) and not self._run.detached:
            self.history.lose_job()
        elif isinstance(outcome, Exited | Killed) and self.history.complete_job():
            self._report_connected()  # the node itself reported this end

    def _account(self, outcome: Outcome, seconds: float) -> None:
        """Report the end of the assigned command, if there is one."""
        if isinstance(self.state, Busy):
            assignment, self.state = self.state.assignment, Preparing()
            self._reports.end(assignment, outcome, seconds)


def _break_of(assignment: Assignment, outcome: Outcome | Apart) -> str | None:
    """Return why the connection is broken, where an outcome says so.

    That a detached command is lost is reported by its node, over a connection that works.
    """
    if isinstance(outcome, NotStarted):
        return None if outcome.is_final else outcome.words
    if isinstance(outcome, Apart) or (isinstance(outcome, Lost) and assignment.key is None):
        return outcome.words
    return None
