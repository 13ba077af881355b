"""The early end of a run in stages, and who ended a command.

Rule 1: a stage is only ever followed by a later one.
Rule 2: the first cause that ends a command counts; what a user asks for counts before the time
limit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from pegasus.model import Assignment

KILLED_LIMIT = 3.0
"""Seconds for what is left to do after a run that was killed: a user expects it to end at once."""


class EndedBy(enum.Enum):
    """Who or what ended a command before it ended by itself."""

    TIME_LIMIT = "the command reached its time limit"
    STOP_JOB = "a user stopped the job"
    ABORT = "a user aborted the run"


class RunningCommand:
    """A command that runs, with the cancel scope that ends it.

    Args:
        assignment: what runs.
        deadline: when its time limit is reached, on Trio's clock.

    Attributes:
        assignment: what runs.
        scope: encloses the command while it runs.
    """

    __slots__ = ("_ended_by", "assignment", "scope")

    def __init__(self, assignment: Assignment, deadline: float) -> None:
        self.assignment = assignment
        self.scope = trio.CancelScope(deadline=deadline)
        self._ended_by: EndedBy | None = None

    @property
    def ended_by(self) -> EndedBy | None:
        """The cause that ended the command; None while there is none."""
        if self._ended_by is None and self.scope.cancel_called:
            self._ended_by = EndedBy.TIME_LIMIT  # every other cause is set in `end`
        return self._ended_by

    @property
    def run_name(self) -> str | None:
        """The run that it belongs to; None for the run that goes on."""
        return None

    @property
    def is_reached(self) -> bool:
        """Whether its sub-node is connected; only a detached command can do without."""
        return True

    def end(self, cause: EndedBy) -> None:
        """End the command; a cause of a user stays the cause.

        A command that reached its time limit, and that a user stops before it has ended, was
        stopped: it is not tried again.
        """
        if self.ended_by in {None, EndedBy.TIME_LIMIT}:
            self._ended_by = cause
            self.scope.cancel(reason=cause.value)

    def leave(self) -> None:
        """End the command, since it cannot outlive Pegasus; a detached one goes on."""
        self.end(EndedBy.ABORT)


class Stage(enum.IntEnum):
    """How far the early end of a run has come."""

    TAKING = 0
    DRAINING = 1
    ABORTING = 2
    KILLING = 3


_STAGE_WORDS = {
    Stage.TAKING: "",
    Stage.DRAINING: "draining: nothing more is taken; what runs goes on to its end",
    Stage.ABORTING: "ending what runs: SIGTERM, SIGKILL after 10 s",
    Stage.KILLING: "killing what runs",
}


class Ending:
    """Ends a run early: first the taking of jobs, then the commands, then the commands at once.

    Attributes:
        stage: the stage that the run is in.
        taking: the dispatcher enters this scope around the taking of jobs.
        working: the caller enters this scope around the whole work of the run.
        kill_now: set when commands that are being ended get SIGKILL at once.
        draining: set when nothing more will be taken.
        drained: set when nothing more will be taken and every taken job has begun.
        running: the commands that run, in the order in which they began.
        left: whether Pegasus ends and its detached commands go on.
    """

    def __init__(self) -> None:
        self.stage = Stage.TAKING
        self.taking = trio.CancelScope()
        self.working = trio.CancelScope()
        self.kill_now = trio.Event()
        self.draining = trio.Event()
        self.drained = trio.Event()
        self.running: dict[RunningCommand, None] = {}
        self.left = False
        self._rest: trio.CancelScope | None = None

    def is_aborted(self) -> bool:
        """Return whether the commands that run are being ended."""
        return self.stage >= Stage.ABORTING

    def words(self) -> str:
        """Say how the run is being ended; empty before that."""
        if self.left:
            return "Pegasus ends; its detached commands go on"
        return _STAGE_WORDS[self.stage]

    def drain(self) -> None:
        """Take nothing more; commands that run continue."""
        self.stage = max(self.stage, Stage.DRAINING)
        self.taking.cancel(reason="the run is drained")
        self.draining.set()

    def abort(self) -> None:
        """Take nothing more, and end the commands that run."""
        self.drain()
        self.stage = max(self.stage, Stage.ABORTING)
        for command in list(self.running):
            command.end(EndedBy.ABORT)
        self.working.cancel(reason=EndedBy.ABORT.value)

    def leave(self) -> None:
        """Take nothing more, and stop following detached commands, which go on."""
        self.drain()
        self.left = True
        for command in list(self.running):
            command.leave()
        self.working.cancel(reason="the run is left")

    def leave_after_error(self) -> None:
        """Stop following detached commands where an error ends the run, and no user does."""
        if self.stage < Stage.ABORTING and not self.left:
            for command in list(self.running):
                command.leave()

    def kill(self) -> None:
        """Take nothing more, and kill the commands that run."""
        self.abort()
        self.stage = Stage.KILLING
        self.kill_now.set()

    @contextmanager
    def after_run(self) -> Iterator[None]:
        """Do in this block what is left to do after the run; ``end_rest`` cancels it."""
        with trio.CancelScope() as scope:
            if self.stage is Stage.KILLING:
                scope.deadline = trio.current_time() + KILLED_LIMIT
            self._rest = scope
            try:
                yield
            finally:
                self._rest = None

    def end_rest(self) -> bool:
        """Cancel what is left to do after the run; return whether there was something."""
        if self._rest is None:
            return False
        self._rest.cancel(reason="a user ended it")
        return True
