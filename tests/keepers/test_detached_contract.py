"""The contract of sessions, for detached commands on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import trio

from pegasus.dispatch import Session
from pegasus.events import Printed
from pegasus.model import Apart, Assignment, Outcome
from pegasus.transport.detached import DetachedShell
from tests import contract
from tests.contract import *  # noqa: F403 -- the tests of the contract run here
from tests.keepers.places import Place
from tests.launch_contract import Launches

del test_cancelled_while_it_runs  # noqa: F821 -- a detached command goes on


class Releasing:
    """A shell for detached commands that runs each as if it were none."""

    def __init__(self, shell: DetachedShell) -> None:
        self._shell = shell
        self.wait_begun, self.wait_next = shell.wait_begun, shell.wait_next

    @property
    def begun(self) -> bool:
        """Whether the command has begun."""
        return self._shell.begun

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Callable[[Printed], Awaitable[None]],
        kill_now: trio.Event,
    ) -> Outcome | Apart:
        """Run a command, and remove its folder."""
        key = self._shell.key
        assert key is not None
        outcome = await self._shell.run(replace(assignment, key=key), run_name, show, kill_now)
        assert await self._shell.release(key)
        return outcome


class ReleasingSession:
    """A session with such shells."""

    place = "here"

    def __init__(self, place: Place) -> None:
        self._place = place

    @asynccontextmanager
    async def open_shell(self) -> AsyncIterator[Releasing]:
        """Open a shell."""
        async with self._place.open_shell() as shell:
            yield Releasing(shell)


@pytest.fixture
def open_session(tmp_path: Path) -> contract.OpenSession:
    """Give a session on this machine whose commands are detached."""

    @asynccontextmanager
    async def open_detached() -> AsyncIterator[Session]:
        await trio.lowlevel.checkpoint()
        yield cast("Session", ReleasingSession(Place(tmp_path, ("dash",))))

    return open_detached


class TestDetached(contract.OnlyReal, Launches):
    """Detached commands keep the contract of real sessions, but for what their keeper changes."""

    test_leftovers_need_a_fresh_shell = None  # type: ignore[assignment]
    test_a_killed_group = None  # type: ignore[assignment]
