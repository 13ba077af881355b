"""The frame of the commands that follow commands on nodes: a screen, and the stages of the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import trio

from pegasus.colour import ColorChoice
from pegasus.commands.stages import Stages
from pegasus.dispatch import Ending
from pegasus.errors import ExitStatus, sole_error
from pegasus.interrupt import open_interrupts
from pegasus.process import raise_open_files_limit
from pegasus.screen import Screen, open_screen

FINAL_SCREEN_WAIT = 3.0
"""Seconds that the screen has to write what waits after the run was killed."""

Body: TypeAlias = Callable[[Screen, Stages], Awaitable[ExitStatus]]


async def in_frame(
    body: Body, *, color: ColorChoice, print_period: int, live: bool, quiet: bool = False
) -> ExitStatus:
    """Do the work of such a command, while signals move it from one stage of its end to the next.

    Args:
        body: gets the screen and the stages, and returns the exit status.
        color: the value of ``--color``.
        print_period: the value of ``--print-period``.
        live: whether there may be a live area below the log.
        quiet: whether there is no log of commands.
    """
    raise_open_files_limit()
    with open_interrupts() as signals, sole_error():
        async with trio.open_nursery() as nursery:
            reader_gone = trio.Event()
            screen_opened = open_screen(
                color=color,
                print_period=print_period,
                on_reader_gone=reader_gone.set,
                live=live,
                quiet=quiet,
            )
            status = await _on_screen(body, signals, nursery, screen_opened, reader_gone)
            nursery.cancel_scope.cancel(reason="the run is over")
    return status


async def _on_screen(
    body: Body,
    signals: AsyncIterator[str],
    nursery: trio.Nursery,
    screen_opened: AbstractAsyncContextManager[Screen],
    reader_gone: trio.Event,
) -> ExitStatus:
    with trio.CancelScope() as closing:
        async with screen_opened as screen:
            stages = Stages(screen)
            nursery.start_soon(stages.obey, signals)
            nursery.start_soon(_drain_when, reader_gone, stages.ending)
            status = await body(screen, stages)
            nursery.start_soon(_close_when, stages.ending.kill_now, closing)
    return status


async def _close_when(kill_now: trio.Event, closing: trio.CancelScope) -> None:
    """Do not wait for a screen that stalls, once the run is killed."""
    await kill_now.wait()
    closing.deadline = trio.current_time() + FINAL_SCREEN_WAIT


async def _drain_when(reader_gone: trio.Event, ending: Ending) -> None:
    await reader_gone.wait()
    ending.drain()
