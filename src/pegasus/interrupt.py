"""The signals by which users interrupt Pegasus: SIGINT, SIGTERM and SIGHUP, as a stream of names.

Rule 1: nothing here decides anything; the caller decides what a first, second or third signal does.
Rule 2: KeyboardInterrupt is never used, since it breaks out of shielded cancel scopes.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
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
