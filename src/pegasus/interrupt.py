"""Signals from people: Ctrl-C and its kin, as a stream of plain facts.

Rule 1: nothing here decides; what a first, second or third one means is the caller's.
Rule 2: KeyboardInterrupt is never relied upon: it breaks out of shields.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import trio


@contextmanager
def open_interrupts() -> Iterator[AsyncIterator[str]]:
    """Receive SIGINT, SIGTERM and SIGHUP by name for the length of the block.

    SIGHUP is left alone where it is ignored: that is what ``nohup`` asks for.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    with trio.open_signal_receiver(*numbers) as signals:
        yield _names(signals)


async def _names(signals: AsyncIterator[int]) -> AsyncIterator[str]:
    async for number in signals:
        yield signal.Signals(number).name
