"""Questions to a node: commands of Pegasus itself, whose output is the answer.

Rule 1: a question has a limit, and nobody waits longer: what it has started is ended afterwards.
Rule 2: a question is no job: it has the number 0 and no run, and nobody sees its output.
Rule 3: an answer is a value, also where the node cannot be asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import trio

from pegasus.dispatch.ports import Session, Shell
from pegasus.errors import NodeUnreachable, sole_error
from pegasus.events import Printed
from pegasus.launch import NO_LAUNCH
from pegasus.model import (
    Apart,
    Assignment,
    Job,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    SubNode,
    TimedOut,
)
from pegasus.probes import LONGEST_ANSWER
from pegasus.rendered import as_written

NO_RUN = "-"
"""What a question has in PEGASUS_RUN; its PEGASUS_JOB is 0."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node has answered.

    Attributes:
        outcome: of the question: ``TimedOut`` after its limit, ``NotStarted`` or ``Lost`` where the
            node could not be asked.
        stdout: what it printed; where it timed out, until then. At most ``LONGEST_ANSWER`` bytes.
        stderr: likewise.
    """

    outcome: Outcome
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(eq=False)
class _Question:
    """A question that was put, and what has come of it so far."""

    text: str
    scope: trio.CancelScope | None = None
    outcome: Outcome | None = None
    ended: trio.Event = field(default_factory=trio.Event)
    printed: dict[Stream, bytes] = field(default_factory=lambda: dict.fromkeys(Stream, b""))

    async def show(self, printed: Printed) -> None:
        """Keep what is printed, up to the limit; the rest is dropped, lest the command wait."""
        await trio.lowlevel.checkpoint()
        kept = self.printed[printed.stream]
        self.printed[printed.stream] = kept + printed.data[: LONGEST_ANSWER - len(kept)]

    def end(self, outcome: Outcome) -> None:
        """Give the outcome, unless there is one."""
        if self.outcome is None:
            self.outcome = outcome
            self.ended.set()

    def answer(self, otherwise: Outcome) -> Answer:
        """Return the answer; its outcome is another one where it has none."""
        out, err = self.printed[Stream.STDOUT], self.printed[Stream.STDERR]
        return Answer(self.outcome or otherwise, out, err)


class Asker:
    """Asks a node over an open session; see ``open_asker``.

    Several questions may be asked at once, each in a shell of its own. One shell is kept for the
    next question, where it takes another one.
    """

    def __init__(self, session: Session, sub_node: SubNode, nursery: trio.Nursery) -> None:
        self._session, self._nursery = session, nursery
        self._sub_node = replace(sub_node, launch=NO_LAUNCH)  # ``run`` is for jobs
        self._waiting: deque[_Question] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._free = 0  # shells that wait for a question, or are being opened
        self._kill_now = trio.Event()

    async def ask(self, text: str, limit: float) -> Answer:
        """Run a command on the node, and return what it printed.

        Args:
            text: the command.
            limit: seconds until the answer, whatever happens. A command that has not ended then is
                ended in the background: SIGTERM, and SIGKILL later.
        """
        question = _Question(text)
        if self._kill_now.is_set():
            await trio.lowlevel.checkpoint()
            return Answer(NotStarted("nothing more is asked"))
        self._waiting.append(question)
        self._arrived.unpark_all()
        self._open_shells()
        try:
            with trio.move_on_after(max(limit, 0.0)):
                await question.ended.wait()
        finally:
            answer = question.answer(TimedOut(limit))
            self._forget(question)
        return answer

    def _forget(self, question: _Question) -> None:
        """End a question that nobody waits for any more."""
        with suppress(ValueError):
            self._waiting.remove(question)
        if question.scope is not None:
            question.scope.cancel(reason="nobody waits for the answer any more")

    def close(self) -> None:
        """End all questions, at once."""
        self._kill_now.set()
        while self._waiting:
            self._waiting.popleft().end(NotStarted("nothing more is asked"))
        self._nursery.cancel_scope.cancel(reason="nothing more is asked")

    def _open_shells(self) -> None:
        """Open a shell for each question that has none."""
        for _ in range(len(self._waiting) - self._free):
            self._free += 1
            self._nursery.start_soon(self._serve)

    async def _serve(self) -> None:
        """Answer questions in a new shell, as long as it takes another one and is needed."""
        is_free = True
        try:
            async with self._session.open_shell() as shell:
                is_new = True
                while question := await self._next_question(shell):
                    self._free, is_free = self._free - 1, False
                    if not await self._answer(shell, question, is_new=is_new) or self._free:
                        return
                    # No checkpoint since the answer: the next question comes to this shell.
                    self._free, is_free, is_new = self._free + 1, True, False
                    if not await shell.wait_next():
                        return
        except NodeUnreachable as error:
            while self._waiting:
                self._waiting.popleft().end(NotStarted(error.words))
        finally:
            self._free -= is_free
            if not self._kill_now.is_set():
                self._open_shells()

    async def _next_question(self, shell: Shell) -> _Question | None:
        """Wait for a question; None where the shell is gone."""
        is_gone = False
        while not self._waiting and not is_gone:
            async with trio.open_nursery() as nursery:

                async def watch(scope: trio.CancelScope) -> None:
                    nonlocal is_gone
                    await shell.wait_broken()
                    is_gone = True
                    scope.cancel()

                nursery.start_soon(watch, nursery.cancel_scope)
                await self._arrived.park()
                nursery.cancel_scope.cancel()
        return None if is_gone else self._waiting.popleft()

    async def _answer(self, shell: Shell, question: _Question, *, is_new: bool) -> bool:
        """Answer one question; return whether it was answered."""
        job = Job(question.text)
        assignment = Assignment(0, job, self._sub_node, as_written(question.text))
        try:
            with trio.CancelScope() as question.scope:
                found = await shell.run(assignment, NO_RUN, question.show, self._kill_now)
                if isinstance(found, NotStarted) and not is_new:
                    self._waiting.appendleft(question)  # the shell has ended meanwhile
                    return False
                question.end(Lost(found.words) if isinstance(found, Apart) else found)
                return True
        except BaseException:
            question.end(Lost("Pegasus has ended the question"))
            raise
        return False


@asynccontextmanager
async def open_asker(session: Session, sub_node: SubNode | None = None) -> AsyncIterator[Asker]:
    """Ask a node questions during the block; leaving it ends at once what still runs.

    Args:
        session: stays open for longer than the block.
        sub_node: its number is in the environment of the questions.
    """
    with sole_error():
        async with trio.open_nursery() as nursery:
            asker = Asker(session, sub_node or SubNode(0, ""), nursery)
            try:
                yield asker
            finally:
                asker.close()
