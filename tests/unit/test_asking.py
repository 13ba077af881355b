"""Questions to a node."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from pegasus.dispatch import Answer, open_asker
from pegasus.model import Exited, Lost, NotStarted, Outcome, TimedOut
from pegasus.probes import LONGEST_ANSWER
from pegasus.transport.local import LocalSession
from tests.contract import LIMIT
from tests.fakes import FakeNode, FakeShell

HANGS = "echo $$; exec sleep 1000"

POLL = 0.02
"""Seconds between two looks at a process."""


class Answering(FakeNode):
    """A node that answers with the question, after as many seconds as it says."""

    def __init__(self) -> None:
        super().__init__(answer=self.reply, lanes=9)
        self.shells = 0

    async def reply(self, question: str) -> tuple[Outcome, bytes]:
        await trio.sleep(float(question))
        return Exited(0), question.encode()

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[Answering]:
        """Open a session that counts its shells."""
        async with self.open_session():
            yield self

    @asynccontextmanager
    async def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AsyncIterator[FakeShell]:
        self.shells += 1
        async with super().open_shell(on_key=on_key) as shell:
            yield shell


async def test_one_shell_for_many_questions(autojump_clock: trio.testing.MockClock) -> None:
    """Questions that come one after the other share a shell."""
    node = Answering()
    async with node.counted() as session, open_asker(session) as asker:
        for text in ("0", "1", "2"):
            assert await asker.ask(text, 5.0) == Answer(Exited(0), text.encode())
    assert node.shells == 1


async def test_a_question_waits_for_no_other(autojump_clock: trio.testing.MockClock) -> None:
    """Questions that come at once are asked at once, and then one shell is kept."""
    node = Answering()
    async with node.counted() as session, open_asker(session) as asker:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(asker.ask, "2", 3.0)
        assert trio.current_time() == 2.0
        await asker.ask("1", 3.0)
    assert node.shells == 3


async def test_the_limit_holds(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody waits longer than the limit, also while a command is being ended or a shell opens."""
    node = Answering()
    node.ends_in = 30.0
    async with node.counted() as session, open_asker(session) as asker:
        assert await asker.ask("inf", 2.0) == Answer(TimedOut(2.0))
        assert trio.current_time() == 2.0
        assert (await asker.ask("0", 2.0)).outcome == Exited(0)
        node.preparing = trio.lowlevel.ParkingLot()
        async with open_asker(session) as other:
            assert (await other.ask("0", 2.0)).outcome == TimedOut(2.0)
            assert (await other.ask("0", 2.0)).outcome == TimedOut(2.0)
            node.preparing.unpark_all()
            assert (await other.ask("0", 2.0)).outcome == Exited(0)
    assert trio.current_time() == 6.0
    assert node.shells == 3


async def test_a_node_that_cannot_be_asked(autojump_clock: trio.testing.MockClock) -> None:
    """An answer says why there is none; a shell that has gone meanwhile is replaced."""
    node = Answering()
    async with node.counted() as session, open_asker(session) as asker:
        assert (await asker.ask("0", 1.0)).outcome == Exited(0)
        node.broken, old = trio.Event(), node.broken
        old.set()
        assert (await asker.ask("0", 1.0)).outcome == Exited(0)
        node.hang_up()
        assert (await asker.ask("0", 1.0)).outcome == NotStarted("Connection refused")
    assert (await asker.ask("0", 1.0)).outcome == NotStarted("nothing more is asked")


async def test_the_end_of_an_asker(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever waits for an answer when the asker ends has one."""
    node, answers = Answering(), []

    async def ask() -> None:
        answers.append(await asker.ask("inf", 9.0))

    async with trio.open_nursery() as nursery, node.counted() as session:
        async with open_asker(session) as asker:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
        assert node.open == 1
    assert answers == [Answer(Lost("Pegasus has ended the question"))]


async def test_a_real_shell() -> None:
    """An answer has both streams up to a limit, the environment of no job, and its command ends."""
    with trio.fail_after(LIMIT):
        async with open_asker(LocalSession()) as asker:
            found = await asker.ask("echo $PEGASUS_RUN $PEGASUS_JOB; echo x >&2; exit 3", LIMIT)
            assert found == Answer(Exited(3), b"- 0\n", b"x\n")
            found = await asker.ask("head -c 1000000 /dev/zero", LIMIT)
            assert found == Answer(Exited(0), b"\0" * LONGEST_ANSWER)
            found = await asker.ask(HANGS, 0.5)
            while not found.stdout:
                found = await asker.ask(HANGS, 0.5)
            assert found.outcome == TimedOut(0.5)
            while is_alive(int(found.stdout)):
                await trio.sleep(POLL)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("limit", [0.0, -1.0])
async def test_no_time(limit: float, autojump_clock: trio.testing.MockClock) -> None:
    """A question without time times out."""
    async with Answering().counted() as session, open_asker(session) as asker:
        assert (await asker.ask("0", limit)).outcome == TimedOut(limit)
