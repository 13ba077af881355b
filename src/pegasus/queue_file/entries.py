"""The items of a queue file -> entries, and what a command must be.

Rule 1: an entry keeps the item it was read from, so that what remains of it can be written in the
user's own words.
Rule 2: a command is refused here when no node could be given it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.model import Entry, Place
from pegasus.yaml_text import BREAKS, Item, ListReader, Mapping, Scalar, Source, Words, scalars
from pegasus.yaml_text import texts as texts_of

LONGEST_COMMAND = 128 * 1024 - 1
"""Bytes of UTF-8: Linux gives a program no argument over MAX_ARG_STRLEN, its NUL included."""

QUOTE = "Quote the command, or use `|` and write it on the next line"

WORDS = Words(
    key="command",
    file="a queue",
    quote=QUOTE,
    plain='Write "- command: [...]" or a plain string',
    elsewhere=(
        "hostname",
        'Hosts belong in the hosts file; here write "- command: [...]" or a plain string',
    ),
    spaces=True,
)


@dataclass(frozen=True, slots=True)
class Written:
    """An entry, and how it is written in its file."""

    entry: Entry
    item: Item
    commands: tuple[Scalar, ...]


class QueueReader:
    """The entries of a queue file, read from its head.

    Args:
        path: as the user gave it; faults name it.
        data: the file's bytes.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.source = Source(path, data)
        self.list = ListReader(self.source, WORDS)

    def __iter__(self) -> Iterator[Written | FileFault]:
        """Give the entries in order, and in the place of a bad one its fault."""
        for item in self.list:
            if isinstance(item, FileFault):
                yield item
                continue
            try:
                yield self._written(item)
            except FileFault as fault:
                yield fault

    def _written(self, item: Item) -> Written:
        place = self.source.place(item.start)
        if isinstance(item.node, Scalar):
            commands: tuple[Scalar, ...] = (item.node,)
            entry = Entry((item.node.text,), (), place)
        else:
            values = {name.text: value for name, value in item.node.pairs}
            commands = scalars(values.pop("command"))
            params = tuple((name, texts_of(value)) for name, value in values.items())
            entry = Entry(tuple(command.text for command in commands), params, place)
        for command in commands:
            check_command(command.text, partial(self.source.place, command.start))
        return Written(entry, item, commands)

    def place_in(self, scalar: Scalar, fault: TemplateFault) -> FileFault:
        """Say where in the file a template is wrong, as exactly as its writing allows."""
        index = _index_in(self.source, scalar, fault.line, fault.column)
        return FileFault(self.source.place(index), fault.what, fault.instead)


def levels(mapping: Mapping) -> list[int]:
    """Give the indexes of a mapping's pairs in the order of a grid: the command first."""
    names = [name.text for name, _ in mapping.pairs]
    command = names.index("command")
    return [command, *(i for i in range(len(names)) if i != command)]


def check_command(command: str, place: Callable[[], Place], name: str = "this command") -> None:
    """Refuse a command that no node could be given, filled in or not.

    Args:
        command: the command.
        place: says where it stands, if there is something to say.
        name: what the fault calls it.

    Raises:
        FileFault: it is empty, too long, or has a NUL in it.
    """
    if not command.strip():
        raise FileFault(place(), f"{name} is empty", "Write a command, or remove the entry")
    if "\0" in command:
        raise FileFault(
            place(), f"{name} has a NUL in it, which no program can be given", "Remove the NUL"
        )
    length = len(command) if command.isascii() else len(command.encode("utf-8", "surrogateescape"))
    if length > LONGEST_COMMAND:
        raise FileFault(
            place(),
            f"{name} is {length:,} bytes long, and a node can be given {LONGEST_COMMAND:,}",
            "Put it into a script on the node, and run that",
        )


def _index_in(source: Source, scalar: Scalar, line: int, column: int) -> int:
    """Find a character of a scalar's text in the file; its beginning, where that is not certain."""
    lines = scalar.text.split("\n")
    if not 0 < line <= len(lines):
        return scalar.start
    wanted = lines[line - 1]
    if scalar.style == "|":
        begin = scalar.start
        for _ in range(line):
            begin = source.line_end(begin)
        end = source.line_end(begin)
    elif len(lines) > 1:
        return scalar.start
    else:
        begin, end = scalar.start + len(scalar.style), scalar.end - len(scalar.style)
    written = (
        source.text[begin:end].rstrip(BREAKS) if scalar.style == "|" else (source.text[begin:end])
    )
    indent = len(written) - len(wanted)
    if indent < 0 or written[indent:] != wanted or written[:indent].strip(" "):
        return scalar.start
    return begin + indent + column - 1


def check_added(entry: Entry, path: str) -> None:
    """Refuse an entry that would be a fault in the file."""
    names = [name for name, _ in entry.params]
    values = [values for _, values in entry.params]
    if "command" in names or len(set(names)) < len(names):
        raise PegasusError(
            'Two parameters have the same name, or one is called "command". Rename one.'
        )
    if not entry.commands or not all(values):
        raise PegasusError("A command or a value is missing. Give at least one for each name.")
    for command in entry.commands:
        try:
            check_command(command, lambda: Place(path, 1, 1))
        except FileFault as fault:
            words = f"{fault.what}. {fault.instead}."
            raise PegasusError(words[:1].upper() + words[1:]) from fault
