"""``pegasus add``: add commands to the queue; other programs never see a half-written entry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus import grid
from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.errors import ExitStatus
from pegasus.model import Entry
from pegasus.queue_file import (
    STANDARD_INPUT,
    ParamLists,
    QueueFile,
    read_command,
    read_commands,
    read_params,
    sole_command,
)
from pegasus.screen import Screen

_READ_SIZE = 1 << 16
"""Bytes that are read at a time: the capacity of a pipe on Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSettings:
    """The command line of ``pegasus add``.

    Attributes:
        command: the words that are not options; there has to be exactly one.
        params: the parameters as they were typed, ``NAME=VALUE,VALUE``.
    """

    queue_file: Path
    command: tuple[str, ...]
    params: tuple[str, ...] = ()
    top: bool = False
    color: ColorChoice = "auto"


async def add(settings: AddSettings) -> ExitStatus:
    """Add one command, or each line of standard input, with the same parameters for all.

    Raises:
        PegasusError: a command could not be run, or the queue file cannot be changed; nothing was
            added.
    """
    command = sole_command(settings.command)
    params = read_params(settings.params)
    return await in_foreground(partial(_add, settings, command, params), settings.color)


async def _add(
    settings: AddSettings, command: str, params: ParamLists, screen: Screen
) -> ExitStatus:
    if command == STANDARD_INPUT:
        # Abandoned when a person presses Ctrl-C instead of Ctrl-D: nothing else waits for it.
        commands = read_commands(await trio.to_thread.run_sync(_read_all, abandon_on_cancel=True))
    else:
        commands = [read_command(command)]
    entries = [Entry((each,), params) for each in commands]
    async with QueueFile(settings.queue_file).locked(screen.say) as locked:
        await trio.to_thread.run_sync(partial(locked.add, entries, top=settings.top))
    screen.say(_words(settings, entries))
    return ExitStatus.SUCCESS


def _read_all() -> bytes:
    """Read standard input, past Python's buffer: its lock must be free when Python exits."""
    blocks = []
    while block := os.read(0, _READ_SIZE):
        blocks.append(block)
    return b"".join(blocks)


def _words(settings: AddSettings, entries: Sequence[Entry]) -> str:
    count = sum(map(grid.count, entries))
    jobs = "1 job" if count == 1 else f"{count:,} jobs"
    where = "the top" if settings.top else "the end"
    return f"Added {jobs} at {where} of {settings.queue_file}." if count else "Nothing to add."
