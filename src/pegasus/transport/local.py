"""A session on this machine: commands are local process groups, without SSH."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import cache
from pathlib import Path

from pegasus.model import Killed, Lost, Outcome
from pegasus.process import given_open_files, open_child
from pegasus.transport.detached import DetachedShell
from pegasus.transport.follower import FOLLOWER_SCRIPT, follower_arguments
from pegasus.transport.opening import open_detached
from pegasus.transport.script import NODE_SCRIPT
from pegasus.transport.shell import NodeShell, open_shell

SHELL_EXIT_LIMIT = 2.0
"""Seconds for a shell to exit: it has nothing left to do, but the machine may be busy."""

MACHINE_IDS = (Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id"))
"""What identifies this machine, in the order of preference; the first is Linux's."""


class LocalSession:
    """A session on this machine, which is always connected."""

    @property
    def place(self) -> str:
        """What identifies this machine: see ``ports``."""
        return _this_machine()

    def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AbstractAsyncContextManager[NodeShell | DetachedShell]:
        """Start a shell that waits for a command.

        Args:
            on_key: see ``ports``; None for commands that end with the shell.

        Raises:
            NodeUnreachable: it could not be started.
        """
        if on_key is not None:
            argv = _argv(FOLLOWER_SCRIPT, *follower_arguments())
            return open_detached(open_child(argv, SHELL_EXIT_LIMIT), _explain, on_key)
        return open_shell(open_child(_argv(NODE_SCRIPT), SHELL_EXIT_LIMIT), _diagnose)


@cache
def _this_machine() -> str:
    """Return what no other machine has: what the kernel chose when it started.

    A copy of a machine's disk has the same machine-id, and two machines may have the same name.
    """
    for source in MACHINE_IDS:
        with suppress(OSError):
            if found := source.read_text(encoding="utf-8", errors="replace").strip():
                return f"local:{found}"
    return f"local:{socket.gethostname()}"


def _argv(script: str, *arguments: str) -> list[str]:
    """Return the shell's command line; Pegasus's own raised limit of open files is not for jobs."""
    limit = f"ulimit -S -n {given_open_files()} 2>/dev/null"
    return ["sh", "-c", f"{limit}\n{script}", *(["pegasus", *arguments] if arguments else [])]


async def _explain(status: int) -> str:  # noqa: ASYNC124 -- async for SSH, which connects
    """Return why a shell for detached commands has ended."""
    return f"its shell ended with status {status}"


async def _diagnose(status: int) -> Outcome:  # noqa: ASYNC124 -- async for SSH, which connects
    """Return the outcome of a command whose shell did not report it."""
    if status < 0:
        return Killed(-status)
    return Lost(f"its shell ended with status {status} and did not report how the command ended")
