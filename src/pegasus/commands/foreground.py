"""The frame of the short commands: a screen, and an end by Ctrl-C."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from pegasus.colour import ColorChoice
from pegasus.errors import ExitStatus, sole_error
from pegasus.interrupt import open_interrupts
from pegasus.screen import Screen, open_screen


async def in_foreground(
    work: Callable[[Screen], Awaitable[ExitStatus]], color: ColorChoice, interrupted: str = ""
) -> ExitStatus:
    """Do some work, which the first signal cancels; the second one also cancels its last messages.

    Args:
        work: gets a screen, and returns the exit status.
        color: the value of ``--color``.
        interrupted: the message for work that was cancelled; empty for none.

    Returns:
        The exit status of the work; INTERRUPTED where it was cancelled.

    Raises:
        PegasusError: raised by the work.
    """
    status = ExitStatus.INTERRUPTED
    with open_interrupts() as signals, sole_error():
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            nursery.start_soon(_obey, signals, scope, nursery.cancel_scope)
            async with open_screen(color=color) as screen:
                with scope:
                    status = await work(screen)
                if interrupted and scope.cancelled_caught:
                    screen.say(interrupted)
            nursery.cancel_scope.cancel(reason="the work is done")
    return status


async def _obey(
    signals: AsyncIterator[str], work: trio.CancelScope, everything: trio.CancelScope
) -> None:
    stages = iter([work])
    async for name in signals:
        next(stages, everything).cancel(reason=name)
