r"""``pegasus add``: put commands into the queue, so that nobody ever sees it half-written.

How parameters are written: ``NAME=VALUE,VALUE``. The first ``=`` ends the name, a comma ends a
value, ``\,`` is a comma that does not, and every other character stands for itself; the same
name once more appends. So every list of texts can be written, and few need any care.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus import grid
from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.errors import ExitStatus, FileFault, PegasusError, TemplateFault
from pegasus.model import Entry, Position
from pegasus.queue_file import LockedQueue, QueueFile, check_command, content
from pegasus.screen import Screen
from pegasus.template import parse

STANDARD_INPUT = "-"

_PIECE = 1 << 16
"""Bytes that are read at a time: what a pipe of Linux holds."""

_WIDE = {
    "UTF-32": re.compile(b"\xff\xfe\0\0|\0\0\xfe\xff"),  # first: it may begin as UTF-16 does
    "UTF-16": re.compile(b"\xff\xfe|\xfe\xff"),
    "UTF-16LE": re.compile(rb"([\t\n\r -~]\0){2}"),
    "UTF-16BE": re.compile(rb"(\0[\t\n\r -~]){2}"),
}
"""How text in other encodings begins: with a byte-order mark, or with two characters of ASCII."""

_MARK = "\ufeff"
"""A byte-order mark, decoded: ``"$(cat file)"`` passes on that of the file. It cannot be seen, and
no command begins with it."""

_COMMA = re.compile(r"(?<!\\),")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSettings:
    """What the command line says about what is added; see ``pegasus add --help``.

    Attributes:
        command: the words of the command line that are no options; there has to be one.
        params: as they were typed, ``NAME=VALUE,VALUE``.
    """

    queue_file: Path
    command: tuple[str, ...]
    params: tuple[str, ...] = ()
    top: bool = False
    color: ColorChoice = "auto"


async def add(settings: AddSettings) -> ExitStatus:
    """Add one command, or each line of standard input, with the same parameters for all.

    Raises:
        PegasusError: something that was asked for could not be run, or the queue file cannot
            take it; nothing was added.
    """
    command = _sole_word(settings.command)
    params = read_params(settings.params)
    return await in_foreground(partial(_add, settings, command, params), settings.color)


Params = tuple[tuple[str, tuple[str, ...]], ...]


async def _add(settings: AddSettings, command: str, params: Params, screen: Screen) -> ExitStatus:
    if command == STANDARD_INPUT:
        # Abandoned when somebody presses Ctrl-C instead of Ctrl-D: nothing else waits for it.
        commands = read_commands(await trio.to_thread.run_sync(_read_all, abandon_on_cancel=True))
    else:
        _refuse_bytes(command, "COMMAND")
        _check(command, Position("COMMAND", 1, 1))
        commands = [command]
    entries = [Entry((each,), params) for each in commands]
    async with QueueFile(settings.queue_file).locked(screen.say) as locked:
        add_to = partial(_add_locked, locked, entries, top=settings.top)
        await trio.to_thread.run_sync(add_to)
    screen.say(_words(settings, entries))
    return ExitStatus.SUCCESS


def _read_all() -> bytes:
    """Read standard input; not through Python's buffer, whose lock nobody may hold at the end."""
    pieces = []
    while piece := os.read(0, _PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def _add_locked(locked: LockedQueue, entries: Sequence[Entry], *, top: bool) -> None:
    content.refuse_read_only(locked.path, locked.real)
    locked.add(entries, top=top)


def _words(settings: AddSettings, entries: Sequence[Entry]) -> str:
    count = sum(map(grid.count, entries))
    jobs = "1 job" if count == 1 else f"{count:,} jobs"
    where = "the top" if settings.top else "the end"
    return f"Added {jobs} at {where} of {settings.queue_file}." if count else "Nothing to add."


def _sole_word(words: Sequence[str]) -> str:
    """Give the command; of a command line that the user's shell has taken apart make no guess.

    Raises:
        PegasusError: it is missing, or there are several.
    """
    for word in words:
        if word.startswith("-") and word != STANDARD_INPUT:
            raise PegasusError(
                f"`pegasus add` has no option {word}. Its options stand in `pegasus add --help`; "
                "a command that begins with a dash needs a blank in front."
            )
    if not words:
        raise PegasusError(
            "There is no command to add. Write it in quotes: pegasus add 'echo hello', or give "
            "one on each line of standard input: pegasus add -"
        )
    if len(words) > 1:
        raise PegasusError(
            f"{words[0]!r} and {words[1]!r} are two words, and a command is one. Put it in "
            "quotes, as in pegasus add 'echo hello'; for several commands, write one on each line "
            "of standard input: pegasus add -"
        )
    return words[0].removeprefix(_MARK)


def read_params(written: Iterable[str]) -> Params:
    r"""Read parameters as they are typed: ``bs=8,16``, ``x=one\, two``.

    A byte-order mark in front of a name, or of the first value, is left out.

    Raises:
        PegasusError: one has no name, or a name that a queue has another use for.
    """
    params: dict[str, tuple[str, ...]] = {}
    for each in written:
        _refuse_bytes(each, "--param")
        name, equals, values = each.removeprefix(_MARK).partition("=")
        if not equals or not name.strip():
            raise PegasusError(
                f"--param {each}: a parameter is a name and its values: --param bs=8,16"
            )
        if name == "command":
            raise PegasusError("--param command: this name is the command's own. Take another.")
        params[name] = (*params.get(name, ()), *_values(values.removeprefix(_MARK)))
    return tuple(params.items())


def _values(text: str) -> tuple[str, ...]:
    return tuple(value.replace("\\,", ",") for value in _COMMA.split(text))


def read_commands(data: bytes) -> list[str]:
    """Read one command a line; lines with nothing on them are left out.

    Lines may end as they do on Windows, and begin with a byte-order mark: of files that were put
    together each may bring its own.

    Raises:
        FileFault: one could not be run.
    """
    _refuse_wide_characters(data)
    commands = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        position = Position("standard input", number, 1)
        line = line.removeprefix(codecs.BOM_UTF8).removesuffix(b"\r")  # noqa: PLW2901
        try:
            command = line.decode()
        except UnicodeDecodeError as error:
            position = Position("standard input", number, len(line[: error.start].decode()) + 1)
            raise FileFault(position, "this is not UTF-8", "Convert it with iconv") from error
        if command.strip():
            _check(command, position)
            commands.append(command)
    return commands


def _refuse_wide_characters(data: bytes) -> None:
    """Refuse UTF-16 and UTF-32, with or without a byte-order mark.

    Raises:
        FileFault: it is that.
    """
    name = next((name for name, beginning in _WIDE.items() if beginning.match(data)), None)
    if name is not None:
        position, instead = (
            Position("standard input", 1, 1),
            f"Convert it: iconv -f {name} -t UTF-8",
        )
        raise FileFault(position, f"this is {name}, and commands are read as UTF-8", instead)


def _refuse_bytes(text: str, where: str) -> None:
    """Refuse an argument whose bytes are no UTF-8, since no queue file could hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PegasusError(f"{where}: this is not UTF-8: {text!r}.") from error


def _check(command: str, position: Position) -> None:
    """Refuse what the queue would refuse, and what no values could ever fill in.

    Raises:
        FileFault: it is empty, too long, has a NUL in it, or a tag that cannot be read.
    """
    check_command(command, lambda: position)
    try:
        parse(command)
    except TemplateFault as fault:
        line, column = position.line + fault.line - 1, fault.column
        raise FileFault(Position(position.path, line, column), fault.what, fault.instead) from fault
