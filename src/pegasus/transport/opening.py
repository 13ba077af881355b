"""Opens shells for detached commands.

Rule 1: a shell is ready when its block begins, and gone when the block is left.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import trio

from pegasus.process import Pipes
from pegasus.transport.child_streams import reading, started
from pegasus.transport.detached import DetachedShell, Explain


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
    async with started(pipes) as child:
        shell = DetachedShell(child, mark, explain, on_key)
        async with reading(shell.read, child):
            with suppress(OSError, trio.BrokenResourceError):
                if rest := child.write_now(shell.prepare(lines + mark + b"\n")):
                    await child.stdin.send_all(rest)
            await shell.wait_ready(on_slow)
            try:
                yield shell
            finally:
                with trio.CancelScope(shield=True):
                    await shell.dismiss()
