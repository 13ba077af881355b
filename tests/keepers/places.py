"""Detached commands on this machine, with a sh and a directory of the test's choice."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from pegasus.detachment import Detachment
from pegasus.events import OutputSizes
from pegasus.model import Apart, Outcome, Stream
from pegasus.process import open_child
from pegasus.transport.detached import DetachedShell
from pegasus.transport.follower import FOLLOWER_SCRIPT
from pegasus.transport.keeper import KEEPER_SCRIPT
from pegasus.transport.opening import open_detached
from tests.contract import LIMIT, Output, assignment
from tests.nodes.processes import everything, has_in_environment

SHELLS = (
    ["dash"],
    ["bash"],
    ["busybox", "sh"],
    ["ksh"],
    ["mksh"],
    ["yash"],
)
HERE = [shell for shell in SHELLS if shutil.which(shell[0])]


async def explain(status: int) -> str:
    """Explain the end of a shell."""
    await trio.lowlevel.checkpoint()
    return f"status {status}"


def ignore_key(key: str) -> None:
    """Forget a key: these tests record nothing."""


@dataclass(frozen=True)
class Place:
    """Where detached commands run: a sh, and a directory for their folders.

    Attributes:
        base: the directory, which is on the PATH as well: what is called sh there is the sh.
        sh: the shell's words.
        keeper: the keeper's text.
        follower: the session's text.
    """

    base: Path
    sh: tuple[str, ...]
    keeper: str = KEEPER_SCRIPT
    follower: str = FOLLOWER_SCRIPT

    def __post_init__(self) -> None:
        if not (self.base / "sh").exists():
            real = Path(shutil.which(self.sh[0]) or self.sh[0]).resolve()
            (self.base / "sh").symlink_to(real)

    @property
    def root(self) -> Path:
        """The folder of the folders."""
        return self.base / f"pegasus-{os.getuid()}"

    def argv(self, **environment: str) -> list[str]:
        """Return the command line of a session."""
        changes = [f"{name}={value}" for name, value in environment.items()]
        path = f"PATH={self.base}:{os.environ['PATH']}"
        words = [self.follower, "pegasus", str(self.base), self.keeper]
        return ["env", "--default-signal", path, *changes, *self.sh, "-c", *words]

    def open_shell(
        self, on_key: Callable[[str], None] = ignore_key, /, **environment: str
    ) -> AbstractAsyncContextManager[DetachedShell]:
        """Open a shell for detached commands."""
        return open_detached(open_child(self.argv(**environment), 2.0), explain, on_key)

    def left(self) -> list[Path]:
        """Return the folders that are left."""
        return sorted(self.root.iterdir()) if self.root.exists() else []


async def follow(
    shell: DetachedShell,
    key: str | None,
    command: str = "",
    output: Output | None = None,
    detachment: Detachment | None = None,
) -> Outcome | Apart:
    """Run a command, or follow it where the detachment has an extent."""
    output = output or Output()
    detachment = detachment or Detachment(trio.Event())
    assigned = replace(assignment(command), key=key)
    with trio.fail_after(LIMIT):
        return await shell.run(assigned, "run-1", output.show, trio.Event(), detachment)


async def run_detached(
    shell: DetachedShell, command: str, limit: float = math.inf
) -> tuple[Outcome | Apart, Output, bool]:
    """Run a command and release it; also return whether the shell takes another one."""
    key, output = shell.key, Output()
    assert key is not None
    outcome = await follow(shell, key, command, output, Detachment(trio.Event(), limit))
    with trio.fail_after(LIMIT):
        assert await shell.release(key)
        return outcome, output, await shell.wait_next()


async def find_out(
    place: Place, key: str, received: OutputSizes | None = None
) -> tuple[Outcome | Apart, Output]:
    """Follow a command from a fresh session, and release it."""
    output = Output()
    detachment = Detachment(trio.Event(), extent=received or dict.fromkeys(Stream, 0))
    async with place.open_shell() as shell:
        outcome = await follow(shell, key, "", output, detachment)
        assert await shell.release(key)
    return outcome, output


def processes_of(place: Place) -> list[str]:
    """Return the command lines of processes that belong to this place."""
    return [
        f"{process.pid} {process.command[:60]}"
        for process in everything()
        if process.alive and process.pid != os.getpid()
        if has_in_environment(process.pid, f"PATH={place.base}:")
    ]


async def wait_no_process(place: Place, limit: float = 5.0) -> None:
    """Wait until no process of this place is left."""
    left = [""]
    with trio.move_on_after(limit):
        while left:
            left = processes_of(place)
            if left:
                await trio.sleep(0.05)  # ten times what a look takes
    assert not left, left
