"""A session into this very machine: commands are local process groups, without any SSH."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from pegasus.model import Killed, Lost, Outcome
from pegasus.process import given_open_files, open_child
from pegasus.transport.script import SCRIPT
from pegasus.transport.shell import Shell, open_shell

NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hostnames that need no SSH, in lower case."""

PATIENCE = 2.0
"""Seconds that a shell may take to go: it has nothing left to do, on a machine that may be busy."""


class LocalSession:
    """An open way into this machine, which is always open."""

    def open_shell(self) -> AbstractAsyncContextManager[Shell]:
        """Start a shell that waits for a command.

        Raises:
            NodeUnreachable: it could not be started.
        """
        return open_shell(open_child(_argv(), PATIENCE), _judge)


def _argv() -> list[str]:
    """Spell the shell; Pegasus has raised its own limit of open files, which is not for jobs."""
    return ["sh", "-c", f"ulimit -S -n {given_open_files()} 2>/dev/null\n{SCRIPT}"]


async def _judge(status: int) -> Outcome:  # noqa: ASYNC124 -- the way over SSH has to look
    """Say what became of a command whose shell went without a word."""
    if status < 0:
        return Killed(-status)
    return Lost(f"its shell ended with status {status} and did not report how the command ended")
