"""The signals by which users interrupt Pegasus: SIGINT, SIGTERM and SIGHUP, as a stream of names.

And Ctrl-Z, which stops Pegasus until it is continued.

Rule 1: nothing here decides anything; the caller decides what a first, second or third signal does.
Rule 2: KeyboardInterrupt is never used, since it breaks out of shielded cancel scopes.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio


@contextmanager
def open_interrupts() -> Iterator[AsyncIterator[str]]:
    """Receive SIGINT, SIGTERM and SIGHUP by name during the block.

    SIGHUP stays ignored where it is ignored, as with ``nohup``.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    with trio.open_signal_receiver(*numbers) as signals:
        yield _names(signals)


async def _names(signals: AsyncIterator[int]) -> AsyncIterator[str]:
    async for number in signals:
        yield signal.Signals(number).name


async def stop_when_asked(before: Callable[[], Awaitable[None]], after: Callable[[], None]) -> None:
    """Let Ctrl-Z stop this process as usual, but do something before; never ends.

    Where a parent process has Ctrl-Z ignored, it stays ignored.

    Args:
        before: called before the process stops.
        after: called when the process goes on, however it was stopped.
    """
    numbers = [signal.SIGCONT]
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
        numbers.append(signal.SIGTSTP)
    with trio.open_signal_receiver(*numbers) as signals:
        async for number in signals:
            if number == signal.SIGTSTP:
                await before()
                _stop()
            after()


def _stop() -> None:
    """Stop as without a handler: a process whose terminal has no shell does not stop at all."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)
