"""The streams of a child that runs a shell: started, and read to their ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias, TypeVar

import trio

from pegasus.errors import CannotStart, NodeUnreachable, sole_error
from pegasus.model import Stream
from pegasus.process import Pipes

PipesT = TypeVar("PipesT", bound=Pipes)

ReadStream: TypeAlias = Callable[[Stream, trio.abc.ReceiveStream], Awaitable[None]]


@asynccontextmanager
async def started(pipes: AbstractAsyncContextManager[PipesT]) -> AsyncIterator[PipesT]:
    """Start a program; where this fails, only its sub-node can't be reached.

    Raises:
        NodeUnreachable: it could not be started.
    """
    async with AsyncExitStack() as stack:
        try:
            child = await stack.enter_async_context(pipes)
        except CannotStart as error:
            raise NodeUnreachable(str(error)) from error
        yield child


@asynccontextmanager
async def reading(
    read_stream: ReadStream, child: Pipes, beside: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[None]:
    """Read the child's outputs, also while the block is being cancelled.

    The readers end with the block and not with the cancellation, since a command may print
    something useful while it is being ended.

    Args:
        read_stream: reads one of the outputs to its end.
        child: what is read.
        beside: runs as long as the readers.
    """
    with sole_error():
        async with trio.open_nursery() as nursery:
            shield = trio.CancelScope(shield=True)

            async def read(stream: Stream, source: trio.abc.ReceiveStream) -> None:
                async with source:
                    await read_stream(stream, source)

            async def read_both() -> None:
                with shield:
                    async with trio.open_nursery() as readers:
                        readers.start_soon(read, Stream.STDOUT, child.stdout)
                        readers.start_soon(read, Stream.STDERR, child.stderr)
                        if beside is not None:
                            readers.start_soon(beside)

            nursery.start_soon(read_both)
            try:
                yield
            finally:
                shield.cancel(reason="the command ended")
