"""``pegasus add``: add commands to the queue; other programs never see a half-written entry."""

from __future__ import annotations

import os
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus import grid
from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.errors import ExitStatus, PegasusError
from pegasus.findings import Misfit, find_misfits
from pegasus.launch import NO_LAUNCH, Launch
from pegasus.model import Barrier, Demand, Entry
from pegasus.queue_file import (
    STANDARD_INPUT,
    ParamLists,
    QueueFile,
    read_command,
    read_commands,
    read_params,
    read_typed_barrier,
    read_typed_demand,
    sole_command,
    typed_entries,
)
from pegasus.screen import Screen
from pegasus.terminal_text import on_one_line

MISFITS_SHOWN = 3
"""Faults in a message: many lines of standard input may have the same one."""

LONGEST_SHOWN = 60
"""Characters of a command in a message: enough to recognise it."""

_READ_SIZE = 1 << 16
"""Bytes that are read at a time: the capacity of a pipe on Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSettings:
    """The command line of ``pegasus add``.

    Attributes:
        command: the words that are not options; there has to be exactly one.
        hosts_file: is compared with what is added, where it can be read.
        params: the parameters as they were typed, ``NAME=VALUE,VALUE``.
        needs: the slots that each job needs, as they were typed, ``NAME=NUMBER,NAME=NUMBER``.
        where: on which sub-nodes the jobs may run, as it was typed, ``NAME=VALUE,VALUE``.
        at_most: how many of the jobs may run at a time.
        launch: how the jobs are started.
        barrier: the kind of the barrier that is added instead of a command.
    """

    queue_file: Path
    command: tuple[str, ...]
    hosts_file: Path = Path("hosts.yaml")
    params: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    at_most: int | None = None
    launch: Launch = NO_LAUNCH
    barrier: str | None = None
    top: bool = False
    color: ColorChoice = "auto"


async def add(settings: AddSettings) -> ExitStatus:
    """Add one command, or each line of standard input, with the same parameters for all.

    Raises:
        PegasusError: a command could not be run, or the queue file cannot be changed; nothing was
            added.
    """
    work = (
        partial(_add_barrier, settings) if settings.barrier is not None else _command_of(settings)
    )
    return await in_foreground(work, settings.color)


def _command_of(settings: AddSettings) -> Callable[[Screen], Awaitable[ExitStatus]]:
    command = sole_command(settings.command)
    params = read_params(settings.params)
    demand = read_typed_demand(settings.needs, settings.where, settings.at_most, settings.launch)
    return partial(_add, settings, command, params, demand)


async def _add(
    settings: AddSettings, command: str, params: ParamLists, demand: Demand, screen: Screen
) -> ExitStatus:
    if command == STANDARD_INPUT:
        # Abandoned when a person presses Ctrl-C instead of Ctrl-D: nothing else waits for it.
        lines = read_commands(await trio.to_thread.run_sync(_read_all, abandon_on_cancel=True))
        origins, commands = [f"standard input:{number}: " for number in lines], [*lines.values()]
    else:
        origins, commands = [""], [read_command(command)]
    entries = typed_entries(commands, params, demand)
    files = settings.hosts_file, settings.queue_file

    def place(number: int) -> str:
        return f"{origins[number]}`{on_one_line(commands[number], LONGEST_SHOWN)}`"

    if misfits := await trio.to_thread.run_sync(find_misfits, *files, entries):
        raise PegasusError(
            f"{_misfit_words(settings, misfits, place)} Nothing was added. --hosts-file names "
            "another file; `pegasus lock` edits the queue without this check."
        )
    await _write(settings, entries, screen)
    count = sum(map(grid.count, entries))
    jobs = "1 job" if count == 1 else f"{count:,} jobs"
    screen.say(_words(settings, jobs) if count else "Nothing to add.")
    return ExitStatus.SUCCESS


def _misfit_words(
    settings: AddSettings, misfits: Sequence[Misfit], place: Callable[[int], str]
) -> str:
    """Say which commands could run nowhere, each fault once, with the first command that has it."""
    first: dict[str, Misfit] = {}
    for misfit in misfits:
        first.setdefault(misfit.words, misfit)
    shown = list(first.values())[:MISFITS_SHOWN]
    words = [f"{place(misfit.number)}: {misfit.words}" for misfit in shown]
    if names := list(dict.fromkeys(misfit.unknown for misfit in shown if misfit.unknown)):
        options = " ".join(f"--param {shlex.quote(name)}=…" for name in names)
        words.append(f"Add `{options}`, or name it in {settings.hosts_file}.")
    if more := len(misfits) - len(shown):
        words.append(f"{more:,} more command{'s do' if more > 1 else ' does'} not fit either.")
    return " ".join(words)


async def _add_barrier(settings: AddSettings, screen: Screen) -> ExitStatus:
    await _write(settings, [read_typed_barrier(settings.barrier or "")], screen)
    screen.say(_words(settings, "a barrier"))
    return ExitStatus.SUCCESS


async def _write(settings: AddSettings, entries: Sequence[Entry | Barrier], screen: Screen) -> None:
    async with QueueFile(settings.queue_file).locked(screen.say) as locked:
        await trio.to_thread.run_sync(partial(locked.add, entries, top=settings.top))


def _read_all() -> bytes:
    """Read standard input, past Python's buffer: its lock must be free when Python exits."""
    blocks = []
    while block := os.read(0, _READ_SIZE):
        blocks.append(block)
    return b"".join(blocks)


def _words(settings: AddSettings, what: str) -> str:
    where = "the top" if settings.top else "the end"
    return f"Added {what} at {where} of {settings.queue_file}."
