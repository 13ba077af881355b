"""``pegasus lock``: hold the lock of the queue while a person edits the queue, then check the file.

The check and the questions are part of the edit: the lock is held until the person has answered.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.editor import can_ask, edit, find_editor, forget_typed, read_line
from pegasus.errors import ExitStatus, FileFault
from pegasus.model import Exited, Killed, Position
from pegasus.queue_file import QueueFile, Snapshot, TextCheck, check_text, restore, snapshot
from pegasus.screen import Screen

EDITOR_MINIMUM = 1.0
"""Seconds. An editor that ends faster has not waited for the person: it runs on in a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSettings:
    """The command line of ``pegasus lock``."""

    queue_file: Path
    editor: str | None = None
    color: ColorChoice = "auto"


class EditAnswer(enum.Enum):
    """What to do with a file that has errors; the first letter is enough."""

    EDIT = "edit"
    KEEP = "keep"
    RESTORE = "restore"


async def lock(settings: LockSettings) -> ExitStatus:
    """Let a person edit the queue file under its lock.

    Returns:
        SUCCESS, where the file that is left has no errors or is still missing; JOB_FAILED, where
        that is so and yet the editor failed; USAGE, where the file has errors; INTERRUPTED.

    Raises:
        PegasusError: there is no editor, or the file cannot be locked, read or restored.
    """
    command = find_editor(settings.editor, os.environ)
    interrupted = f"Interrupted: {settings.queue_file} stays as it is now."
    work = partial(_edit_locked, settings.queue_file, command)
    return await in_foreground(work, settings.color, interrupted)


async def _edit_locked(path: Path, command: Sequence[str], screen: Screen) -> ExitStatus:
    queue = QueueFile(path)
    async with queue.locked(screen.say) as locked:
        return await _EditSession(path, locked.real, command, screen).run()


class _EditSession:
    """An edit of a queue file whose lock is held, from the first editor to the last answer."""

    def __init__(self, path: Path, real: Path, command: Sequence[str], screen: Screen) -> None:
        self._path = path
        self._real = real
        self._command = command
        self._screen = screen
        self._before = snapshot(path, real)

    async def run(self) -> ExitStatus:
        """Edit until the file has no errors, or the person keeps or restores it."""
        while True:
            edited_well = await self._edit()
            now = snapshot(self._path, self._real)
            found = await self._check(now)
            if not found.faults:
                return ExitStatus.SUCCESS if edited_well else ExitStatus.JOB_FAILED
            match await self._ask(can_restore=now != self._before):
                case EditAnswer.RESTORE:
                    return await self._restore()
                case EditAnswer.KEEP:
                    self._screen.say(f"{self._path} is kept as it is.")
                    return ExitStatus.USAGE

    async def _edit(self) -> bool:
        """Run the editor, and tell whether it succeeded."""
        await self._screen.wait_written()  # from here on the editor owns the terminal
        started = trio.current_time()
        status = await edit(self._command, self._real)
        if status:
            outcome = Exited(status) if status > 0 else Killed(-status)
            self._screen.say(f"The editor `{self._command[0]}` failed ({outcome}).")
        elif trio.current_time() - started < EDITOR_MINIMUM and self._is_unchanged():
            self._screen.say(
                "The editor ended at once. If its window is still open, it has to be told to "
                "wait, as in --editor 'code --wait' or --editor 'gvim -f'."
            )
        return status == 0

    def _is_unchanged(self) -> bool:
        return snapshot(self._path, self._real) == self._before

    async def _check(self, now: Snapshot) -> TextCheck:
        """Look for errors, and report them."""
        if now.data is None:
            position = Position(str(self._path), 1, 1)
            step = "Save it again; an empty queue is a file with []"
            gone = FileFault(position, "there is no such file any more", step)
            found = TextCheck(faults=() if self._before.data is None else (gone,))
        else:
            found = await trio.to_thread.run_sync(
                check_text, str(self._path), now.data, abandon_on_cancel=True
            )
        self._screen.say(*self._words(now, found))
        return found

    def _words(self, now: Snapshot, found: TextCheck) -> list[str]:
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

    async def _ask(self, *, can_restore: bool) -> EditAnswer:
        """Ask what to do; without a terminal the file is kept."""
        if not can_ask():
            return EditAnswer.KEEP
        choices = [each for each in EditAnswer if can_restore or each is not EditAnswer.RESTORE]
        words = {
            EditAnswer.EDIT: "(e)dit it again, which Enter does as well",
            EditAnswer.KEEP: "(k)eep it as it is",
            EditAnswer.RESTORE: "(r)estore what it was before",
        }
        forget_typed()
        while True:
            self._screen.say(f"What now? {', '.join(words[choice] for choice in choices)}")
            await self._screen.wait_written()
            answer = understand(await read_line(), choices)
            if answer is not None:
                return answer

    async def _restore(self) -> ExitStatus:
        """Restore the file as it was before the first edit, even with errors."""
        await trio.to_thread.run_sync(restore, self._path, self._real, self._before)
        self._screen.say(f"{self._path} is again what it was.")
        if self._before.data is None:
            return ExitStatus.SUCCESS
        found = check_text(str(self._path), self._before.data)
        return ExitStatus.USAGE if found.faults else ExitStatus.SUCCESS


def understand(typed: str | None, choices: Sequence[EditAnswer]) -> EditAnswer | None:
    """Read an answer: the first letters of a choice, Enter for the first one, Ctrl-D for "keep".

    Returns:
        None where it is none of the choices.
    """
    if typed is None:
        return EditAnswer.KEEP
    letters = typed.strip().lower()
    return next((choice for choice in choices if choice.value.startswith(letters)), None)
