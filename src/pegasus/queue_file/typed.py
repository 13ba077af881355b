r"""Commands and parameters as people type them on a command line or on standard input.

A parameter is ``NAME=VALUE,VALUE``. The first ``=`` ends the name, a comma ends a value, ``\,`` is
a comma within a value, and every other character stands for itself. The same name again appends
values. So every list of texts can be written.

Rule 1: pure; a text that the queue file would refuse is refused here, with what to type instead.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.model import Position
from pegasus.queue_file.entries import check_command
from pegasus.template import parse

STANDARD_INPUT = "-"
"""The command that means: read commands from standard input."""

ParamLists: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""The names of parameters with their values, in the order in which they were typed."""

_WIDE_ENCODINGS = {
    "UTF-32": re.compile(b"\xff\xfe\0\0|\0\0\xfe\xff"),  # first: it may begin as UTF-16 does
    "UTF-16": re.compile(b"\xff\xfe|\xfe\xff"),
    "UTF-16LE": re.compile(rb"([\t\n\r -~]\0){2}"),
    "UTF-16BE": re.compile(rb"(\0[\t\n\r -~]){2}"),
}
"""How text in other encodings begins: with a byte-order mark, or with two characters of ASCII."""

_BYTE_ORDER_MARK = "\ufeff"
"""``"$(cat file)"`` passes on the mark of the file. It is invisible, and no command begins with
it."""

_COMMA = re.compile(r"(?<!\\),")


def sole_command(words: Sequence[str]) -> str:
    """Give the command among the words of a command line that are not options.

    Several words are refused, because the user's shell has split a command.

    Raises:
        PegasusError: the command is missing, or there are several words.
    """
    for word in words:
        if word.startswith("-") and word != STANDARD_INPUT:
            raise PegasusError(
                f"`pegasus add` has no option {word}. Its options are in `pegasus add --help`; "
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
    return words[0].removeprefix(_BYTE_ORDER_MARK)


def read_params(typed: Iterable[str]) -> ParamLists:
    r"""Read parameters: ``bs=8,16``, ``x=one\, two``.

    A byte-order mark before a name or before the first value is removed.

    Raises:
        PegasusError: a parameter has no name, or the name ``command``.
    """
    params = read_lists(typed, "--param", "a parameter is a name and its values: --param bs=8,16")
    if any(name == "command" for name, _ in params):
        raise PegasusError("--param command: this name is the command's own. Take another.")
    return params


def read_lists(typed: Iterable[str], option: str, example: str) -> ParamLists:
    """Read names with their values.

    Args:
        typed: ``NAME=VALUE,VALUE``; the same name again appends values.
        option: which has them, for messages.
        example: what such a text is.

    Raises:
        PegasusError: a text has no name.
    """
    params: dict[str, tuple[str, ...]] = {}
    for each in typed:
        _refuse_other_bytes(each, option)
        name, equals, values = each.removeprefix(_BYTE_ORDER_MARK).partition("=")
        if not equals or not name.strip():
            raise PegasusError(f"{option} {each}: {example}")
        params[name] = (*params.get(name, ()), *_values(values.removeprefix(_BYTE_ORDER_MARK)))
    return tuple(params.items())


def _values(text: str) -> tuple[str, ...]:
    return tuple(value.replace("\\,", ",") for value in _COMMA.split(text))


def read_command(typed: str) -> str:
    """Check a command of the command line, and give it.

    Raises:
        PegasusError: it is not UTF-8, or the queue would refuse it.
    """
    _refuse_other_bytes(typed, "COMMAND")
    _check(typed, Position("COMMAND", 1, 1))
    return typed


def read_commands(data: bytes) -> dict[int, str]:
    """Read one command from each line of standard input; blank lines are skipped.

    A line may end as on Windows. Each line may begin with a byte-order mark, because the input may
    be several files in a row.

    Returns:
        The commands by the numbers of their lines, from 1.

    Raises:
        FileFault: a command is not UTF-8, or the queue would refuse it.
    """
    _refuse_wide_encodings(data)
    commands = {}
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
            commands[number] = command
    return commands


def _refuse_wide_encodings(data: bytes) -> None:
    """Refuse UTF-16 and UTF-32, with or without a byte-order mark.

    Raises:
        FileFault: it is one of them.
    """
    names = (name for name, beginning in _WIDE_ENCODINGS.items() if beginning.match(data))
    if (name := next(names, None)) is not None:
        raise FileFault(
            Position("standard input", 1, 1),
            f"this is {name}, and commands are read as UTF-8",
            f"Convert it: iconv -f {name} -t UTF-8",
        )


def _refuse_other_bytes(text: str, where: str) -> None:
    """Refuse an argument whose bytes are not UTF-8: a queue file cannot contain it.

    Raises:
        PegasusError: it is not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PegasusError(
            f"{where}: this is not UTF-8: {text!r}. Write it in UTF-8, or put the bytes into a "
            "file that the command reads."
        ) from error


def _check(command: str, position: Position) -> None:
    """Refuse a command that the queue would refuse, and tags that no values could fill.

    Raises:
        FileFault: it is empty, too long, has a NUL in it, or a tag with a fault.
    """
    check_command(command, lambda: position)
    try:
        parse(command)
    except TemplateFault as fault:
        line, column = position.line + fault.line - 1, fault.column
        raise FileFault(Position(position.path, line, column), fault.what, fault.instead) from fault
