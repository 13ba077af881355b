"""``pegasus attach``: follow, list or forget what detached commands have left on nodes.

To follow them is the business of ``follow``.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from pegasus.colour import ColorChoice
from pegasus.commands.follow import FollowSettings, follow_left
from pegasus.commands.foreground import in_foreground
from pegasus.commands.run import BY_CLIENTS
from pegasus.dispatch import Session, Shell, Stray
from pegasus.errors import ExitStatus, NodeUnreachable, PegasusError, sole_error
from pegasus.events import Ended, Prepared, Released
from pegasus.model import Lost, SubNode
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, choose_run
from pegasus.record.taking_over import ContinuedRun, LeftCommand, find_left, take_over
from pegasus.report.left import FOLDERS, follower_words, left_in, left_json, left_lines
from pegasus.screen import Screen
from pegasus.standard_streams import STDOUT, write
from pegasus.terminal_text import on_one_line
from pegasus.transport import OpenSession, open_ssh, session_opener

FORGET_LIMIT = 60.0
"""Seconds to reach a node and to remove folders there: as long as a connection may need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachSettings:
    """What the command line says; see ``pegasus attach --help``.

    Attributes:
        run: a run's name, number or a part of its name; None for all that have left something.
        jobs: the numbers of the jobs that are forgotten; none means all that have ended.
        listing: whether what is left is listed, and nothing else.
        json: whether the list is for programs.
        forget: whether folders are removed.
    """

    queue_file: Path
    ssh_config: Path | None = None
    print_period: int = 1
    color: ColorChoice = "auto"
    live: bool = True
    run: str | None = None
    jobs: tuple[int, ...] = ()
    listing: bool = False
    json: bool = False
    forget: bool = False


async def attach(settings: AttachSettings) -> ExitStatus:
    """Follow, list or forget what is left.

    Returns:
        See ``follow_left``, ``list_left`` and ``forget``.

    Raises:
        PegasusError: the command line contradicts itself, there is no such run, or the records
            cannot be read.
    """
    _refuse_contradictions(settings)
    if settings.listing:
        return await trio.to_thread.run_sync(list_left, settings)
    if settings.forget:
        return await forget(settings)
    return await follow_left(
        FollowSettings(
            queue_file=settings.queue_file,
            ssh_config=settings.ssh_config,
            print_period=settings.print_period,
            color=settings.color,
            live=settings.live,
            run=settings.run,
        )
    )


def _refuse_contradictions(settings: AttachSettings) -> None:
    if settings.listing and settings.forget:
        raise PegasusError("--list only looks, and --forget removes. Give one of them.")
    if settings.json and not settings.listing:
        raise PegasusError("--json belongs to --list. Add --list, or leave out --json.")
    if settings.jobs and not settings.forget:
        raise PegasusError(
            "Numbers of jobs belong to --forget. `pegasus attach` follows all that is left, and "
            "--list lists it."
        )


def list_left(settings: AttachSettings) -> ExitStatus:
    """List what is left on nodes, and where, as far as the records say.

    Raises:
        PegasusError: there is no such run, or the records cannot be read.
    """
    warnings: list[str] = []
    found = [each for run in _runs_meant(settings, warnings) for each in left_in(run)]
    if settings.json:
        lines = [left_json(str(settings.queue_file), found, warnings)]
    else:
        lines = [*left_lines(found), *(f"Warning: {words}" for words in warnings)]
    with suppress(BrokenPipeError):  # the user has seen enough
        write(STDOUT, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    return ExitStatus.SUCCESS


def _runs_meant(settings: AttachSettings, warnings: list[str]) -> list[RunRecord]:
    runs = find_left(QueueFile(settings.queue_file).real, warnings)
    return [choose_run(runs, settings.run)] if runs and settings.run is not None else runs


# Forgetting.


async def forget(settings: AttachSettings) -> ExitStatus:
    """Remove the folders of commands that have ended or were given up.

    Returns:
        SUCCESS; JOB_FAILED where something that was meant is still there.

    Raises:
        PegasusError: it is not clear which run is meant, or the records cannot be read.
    """
    return await in_foreground(partial(_forget, settings), settings.color)


async def _forget(settings: AttachSettings, screen: Screen) -> ExitStatus:
    warnings: list[str] = []
    runs = await trio.to_thread.run_sync(_runs_meant, settings, warnings)
    for warning in warnings:
        screen.say(warning)
    if settings.jobs and len(runs) > 1:
        names = ", ".join(run.name for run in runs)
        raise PegasusError(
            f"Several runs have left commands on nodes: {names}. Say which with --run RUN."
        )
    if not runs:
        screen.say("Nothing is left on any node.")
        return ExitStatus.JOB_FAILED if settings.jobs else ExitStatus.SUCCESS
    is_done = True
    by_clients = BY_CLIENTS in os.environ
    with sole_error():
        async with open_ssh(settings.ssh_config, by_clients=by_clients, on_note=screen.say) as ssh:
            for run in runs:
                async with take_over(run, "", screen.say) as continued:
                    if continued is not None:
                        work = _Forgetting(continued, session_opener(ssh), settings.jobs, screen)
                        is_done &= await work.forget()
                    else:
                        is_done &= _report_followed(run, screen)
    return ExitStatus.SUCCESS if is_done else ExitStatus.JOB_FAILED


def _report_followed(run: RunRecord, screen: Screen) -> bool:
    if run.is_alive():
        words = f"Run {run.name}: {follower_words(run)} follows its commands. Nothing is forgotten."
        screen.say(words)
        return False
    return not list(run.state.left())


@dataclass(slots=True)
class _Forgetting:
    """The removal of what one run has left.

    Attributes:
        run: the run, whose record is locked.
        open_session: connects to a sub-node.
        jobs: the numbers of the jobs that are meant; none means all that have ended.
        screen: shows what is done.
        kept: how many folders that were meant are still there.
        removed: how many are not.
    """

    run: ContinuedRun
    open_session: OpenSession
    jobs: Sequence[int]
    screen: Screen
    kept: int = 0
    removed: int = 0
    _folders: defaultdict[SubNode, list[LeftCommand]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _strays: defaultdict[SubNode, list[Stray]] = field(default_factory=lambda: defaultdict(list))

    async def forget(self) -> bool:
        """Remove what is meant; return whether all of it is gone."""
        self._choose()
        async with trio.open_nursery() as nursery:
            for sub_node in self._folders.keys() | self._strays.keys():
                nursery.start_soon(self._forget_on, sub_node)
        name, count = self.run.name, self.removed
        noun = "folder was" if count == 1 else "folders were"
        self.screen.say(f"Run {name}: {count:,} {noun} forgotten, {self.kept:,} kept.")
        return not self.kept

    def _choose(self) -> None:
        left = {command.assignment.number for command in self.run.commands}
        for number in sorted(set(self.jobs) - left):
            self._keep(f"Job {number} has left nothing on any node.")
        for command in self.run.commands:
            if command.assignment.number in self.jobs or (command.has_ended and not self.jobs):
                self._folders[command.assignment.sub_node].append(command)
        if not self.jobs:
            for key, sub_node in self.run.state.folders.strays.items():
                self._strays[sub_node].append(Stray(sub_node, key, self.run.record))

    async def _forget_on(self, sub_node: SubNode) -> None:
        """Remove what is meant on one sub-node."""
        words = f"it does not answer within {FORGET_LIMIT:.0f} s"
        try:
            with trio.move_on_after(FORGET_LIMIT):
                async with self.open_session(sub_node) as session:
                    await self._forget_through(session, sub_node)
                return
        except NodeUnreachable as error:
            words = on_one_line(error.words)
        for command in self._folders.pop(sub_node, []):
            self._forget_unreached(command, words)
        self.kept += len(self._strays.pop(sub_node, []))

    async def _forget_through(self, session: Session, sub_node: SubNode) -> None:
        """Remove what is meant over a connection; the folder that its shell prepares goes too."""
        prepared: list[Stray] = []

        def note(key: str) -> None:
            prepared.append(Stray(sub_node, key, self.run.record))
            self.run.record.tell(Prepared(sub_node, key))

        async with session.open_shell(on_key=note) as shell:
            folders = self._folders[sub_node]
            while folders:
                await self._forget_one(shell, folders[0])
                del folders[0]
            for stray in self._strays[sub_node]:
                await stray.remove(shell)
            self._strays[sub_node].clear()
        if shell.is_dismissed:
            for stray in prepared:
                stray.tell_removed()

    async def _forget_one(self, shell: Shell, command: LeftCommand) -> None:
        given = command.assignment
        where = f"job {given.number} on {given.sub_node}"
        stop = f"`pegasus stop {given.number} --run {self.run.name}`"
        if not command.has_ended:
            self._keep(
                f"{where}: its end is not recorded. `pegasus attach` follows it to its end, {stop} "
                "ends it."
            )
        elif await shell.release(given.key or ""):
            self._tell_released(command)
        else:
            self._keep(f"{where}: it still runs. Stop it first: {stop}")

    def _forget_unreached(self, command: LeftCommand, words: str) -> None:
        """Forget a command whose node cannot be reached, if it was named."""
        given = command.assignment
        where = f"job {given.number} on {given.sub_node}"
        if not self.jobs:
            self._keep(
                f"{where}: the node cannot be reached: {words}. Its folder stays; `pegasus attach "
                f"--forget {given.number} --run {self.run.name}` forgets it nevertheless."
            )
            return
        path = f"{FOLDERS}/{given.key}"
        if not command.has_ended:
            lost = Lost(f"forgotten; its folder {path} on {given.sub_node} may be left")
            self.run.record.tell(Ended(given, lost, 0.0, printed=command.extent))
        self._tell_released(command)
        self.screen.say(
            f"{where}: the node cannot be reached: {words}. It is forgotten; {path} may be left "
            "there, and the command may still run."
        )

    def _tell_released(self, command: LeftCommand) -> None:
        self.removed += 1
        self.run.record.tell(Released(command.assignment))

    def _keep(self, words: str) -> None:
        self.kept += 1
        self.screen.say(words)
