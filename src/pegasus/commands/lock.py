"""``pegasus lock``: hold the queue's lock while a person edits the queue, then check what is left.

From the outside in: signals, the screen, the lock, the editor. The check and the questions
belong to the edit, so the lock is held until the person is done with them.
"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from pegasus import grid
from pegasus.colour import ColorChoice
from pegasus.editor import can_ask, edit, find_editor, forget_typed, read_line
from pegasus.errors import ExitStatus, FileFault, PegasusError, TemplateFault, sole_error
from pegasus.interrupt import open_interrupts
from pegasus.model import Exited, Killed, Place
from pegasus.queue_file import LockedQueue, QueueFile, content, disk_errors
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.screen import Screen, open_screen
from pegasus.template import parse

HASTE = 1.0
"""Seconds in which nobody opens an editor, looks and closes it again: it went on without us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSettings:
    """What the command line says about an edit; see ``pegasus lock --help``."""

    queue_file: Path
    editor: str | None = None
    color: ColorChoice = "auto"


class Answer(enum.Enum):
    """What is to be done with a file that has errors; each may be answered by its first letter."""

    EDIT = "edit"
    KEEP = "keep"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Seen:
    """The queue file as it was at one time.

    Attributes:
        data: its bytes; None where there was no file.
        mode: its permissions.
    """

    data: bytes | None
    mode: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a queue file stands for: how many jobs, and everything that is wrong."""

    jobs: int = 0
    faults: tuple[FileFault, ...] = ()


async def lock(settings: LockSettings) -> ExitStatus:
    """Let a person edit the queue file under its lock.

    Returns:
        SUCCESS, where the file that is left has no errors or is still missing; JOB_FAILED, where
        that is so and yet the editor failed; USAGE, where the file has errors; INTERRUPTED.

    Raises:
        PegasusError: there is no editor, or the file cannot be locked, read or restored.
    """
    command = find_editor(settings.editor, os.environ)
    with open_interrupts() as signals, sole_error():
        async with trio.open_nursery() as nursery:
            status = ExitStatus.INTERRUPTED
            async with open_screen(color=settings.color) as screen:
                work = trio.CancelScope()
                nursery.start_soon(_obey, signals, work, nursery.cancel_scope)
                with work:
                    status = await _edit_locked(settings.queue_file, command, screen)
                if work.cancelled_caught:
                    screen.say(f"Interrupted: {settings.queue_file} stays as it is now.")
            nursery.cancel_scope.cancel(reason="the edit is over")
    return status


async def _obey(
    signals: AsyncIterator[str], work: trio.CancelScope, everything: trio.CancelScope
) -> None:
    """End the work with the first signal, and with the next one the last words as well."""
    stages = iter([work])
    async for name in signals:
        next(stages, everything).cancel(reason=name)


async def _edit_locked(path: Path, command: Sequence[str], screen: Screen) -> ExitStatus:
    queue = QueueFile(path)
    async with queue.locked(screen.say) as locked:
        session = _Session(path, locked.real, command, screen)
        return await session.run()


class _Session:
    """A person and a queue file, whose lock is held, from the first edit to the last answer."""

    def __init__(self, path: Path, real: Path, command: Sequence[str], screen: Screen) -> None:
        self._path = path
        self._real = real
        self._command = command
        self._screen = screen
        self._before = look(path, real)

    async def run(self) -> ExitStatus:
        """Edit until the file is right, or is to stay as it is."""
        while True:
            edited_well = await self._edit()
            now = look(self._path, self._real)
            found = await self._check(now)
            if not found.faults:
                return ExitStatus.SUCCESS if edited_well else ExitStatus.JOB_FAILED
            match await self._ask(can_restore=now != self._before):
                case Answer.RESTORE:
                    return await self._restore()
                case Answer.KEEP:
                    self._screen.say(f"{self._path} is kept as it is.")
                    return ExitStatus.USAGE

    async def _edit(self) -> bool:
        """Let the editor run to its end, and tell whether all is well with it."""
        await self._screen.wait_written()  # the terminal is the editor's from here on
        started = trio.current_time()
        status = await edit(self._command, self._real)
        if status:
            outcome = Exited(status) if status > 0 else Killed(-status)
            self._screen.say(f"The editor `{self._command[0]}` failed ({outcome}).")
        elif trio.current_time() - started < HASTE and look(self._path, self._real) == self._before:
            self._screen.say(
                "The editor ended at once. If its window is still open, it has to be told to "
                "wait, as in --editor 'code --wait' or --editor 'gvim -f'."
            )
        return status == 0

    async def _check(self, now: Seen) -> Found:
        """Look for errors, and say what was found."""
        if now.data is None:
            gone = FileFault(Place(str(self._path), 1, 1), "there is no such file any more")
            found = Found(faults=() if self._before.data is None else (gone,))
        else:
            found = await trio.to_thread.run_sync(
                check, str(self._path), now.data, abandon_on_cancel=True
            )
        self._screen.say(*self._words(now, found))
        return found

    def _words(self, now: Seen, found: Found) -> list[str]:
        unchanged = now.data == self._before.data
        if found.faults:
            many = len(found.faults)
            head = f"{self._path} {'is unchanged and ' if unchanged else ''}has "
            head += "an error:" if many == 1 else f"{many:,} errors:"
            return [head, *map(str, found.faults)]
        if now.data is None:
            return [f"There still is no {self._path}: nothing was written."]
        jobs = "1 job waits" if found.jobs == 1 else f"{found.jobs:,} jobs wait"
        return [f"{self._path} {'is unchanged' if unchanged else 'has no errors'}: {jobs} in it."]

    async def _ask(self, *, can_restore: bool) -> Answer:
        """Ask what to do; where there is nobody to ask, the file is kept."""
        if not can_ask():
            return Answer.KEEP
        choices = [answer for answer in Answer if can_restore or answer is not Answer.RESTORE]
        words = {
            Answer.EDIT: "(e)dit it again, which Enter does as well",
            Answer.KEEP: "(k)eep it as it is",
            Answer.RESTORE: "(r)estore what it was before",
        }
        forget_typed()
        while True:
            self._screen.say(f"What now? {', '.join(words[choice] for choice in choices)}")
            await self._screen.wait_written()
            answer = understand(await read_line(), choices)
            if answer is not None:
                return answer

    async def _restore(self) -> ExitStatus:
        """Put back what was there before the first edit, errors and all."""
        await trio.to_thread.run_sync(restore, self._path, self._real, self._before)
        self._screen.say(f"{self._path} is again what it was.")
        if self._before.data is None:
            return ExitStatus.SUCCESS
        found = check(str(self._path), self._before.data)
        return ExitStatus.USAGE if found.faults else ExitStatus.SUCCESS


def understand(typed: str | None, choices: Sequence[Answer]) -> Answer | None:
    """Read an answer: a choice's first letters, Enter for the first, Ctrl-D for keeping the file.

    Returns:
        None where it is none of the choices.
    """
    if typed is None:
        return Answer.KEEP
    letters = typed.strip().lower()
    return next((choice for choice in choices if choice.value.startswith(letters)), None)


def look(path: Path, real: Path) -> Seen:
    """Read a queue file, which need not exist.

    Raises:
        FileFault: it cannot be read.
    """
    try:
        mode = stat.S_IMODE(real.stat().st_mode)
        return Seen(content.read(str(path), real)[0], mode)
    except FileNotFoundError:
        return Seen(None)
    except OSError as error:
        raise PegasusError(f"{path}: {error.strerror}. Look after its folder.") from error


def check(path: str, data: bytes) -> Found:
    """Find everything in a queue file that is wrong whatever it is run on."""
    reader = QueueReader(path, data)
    jobs = 0
    faults: list[FileFault] = []
    for written in reader:
        if isinstance(written, FileFault):
            faults.append(written)
        else:
            jobs += grid.count(written.entry)
            faults += _template_faults(reader, written)
    return Found(jobs, tuple(faults))


def _template_faults(reader: QueueReader, written: Written) -> Iterator[FileFault]:
    for command in written.commands:
        try:
            parse(command.text)
        except TemplateFault as fault:
            yield reader.place_in(command, fault)


def restore(path: Path, real: Path, before: Seen) -> None:
    """Make a queue file what it was, in one step; its lock is held.

    Raises:
        PegasusError: it could not be written, and stays as it is.
    """
    try:
        if before.data is None:
            real.unlink(missing_ok=True)
            return
        done = LockedQueue(str(path), real).overwrite(before.data)
        if done and stat.S_IMODE(real.stat().st_mode) != before.mode:
            real.chmod(before.mode)  # it was replaced or removed, and nothing showed the mode
    except OSError as error:
        raise PegasusError(
            f"{path} cannot be restored: {error.strerror or error}. It stays as it is. "
            f"{disk_errors.next_step(error, 'Look after the disk')}."
        ) from error
    if not done:
        raise PegasusError(f"{path} was not restored: another program is writing it.")
