"""Opens shells for detached commands.

Rule 1: a shell is ready when its block begins, and gone when the block is left.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import trio

from pegasus.errors import CannotStart, NodeUnreachable
from pegasus.process import Pipes
from pegasus.transport.detached import DetachedShell, Explain
from pegasus.transport.shell import reading


def _ignore(words: str) -> None:
    """Ignore the report of a slow start."""


@asynccontextmanager
async def open_detached(
    pipes: AbstractAsyncContextManager[Pipes],
    explain: Explain,
    on_key: Callable[[str], None],
    on_slow: Callable[[str], None] = _ignore,
    lines: bytes = b"",
) -> AsyncIterator[DetachedShell]:
    """Start a shell for detached commands; it is ready when the block begins.

    Args:
        pipes: starts the shell, or a connection to it, and ends it.
        explain: says why the shell has ended.
        on_key: gets each key before the node is asked for its folder.
        on_slow: gets a sentence, once, where the start takes long.
        lines: what the command reads before it is the shell.

    Raises:
        NodeUnreachable: the shell did not become ready; in ssh's or the shell's own words.
    """
    mark = b"\x1e" + secrets.token_hex(16).encode()
    async with AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(pipes)
        except CannotStart as error:
            raise NodeUnreachable(str(error)) from error
        shell = DetachedShell(opened, mark, explain, on_key)
        await stack.enter_async_context(reading(shell.read, opened))
        with suppress(OSError, trio.BrokenResourceError):
            if rest := opened.write_now(shell.prepare(lines + mark + b"\n")):
                await opened.stdin.send_all(rest)
        await shell.wait_ready(on_slow)
        try:
            yield shell
        finally:
            with trio.CancelScope(shield=True):
                await shell.dismiss()
