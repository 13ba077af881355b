"""The items of a queue file -> entries, and what a command must be.

Rule 1: an entry keeps the item it was read from, so that its remainder can be written as the user
wrote it.
Rule 2: a command that no node could run is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pegasus import grid
from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.model import Entry, Position
from pegasus.rendered import wrong_with
from pegasus.shell_text import changed_command, changed_value, ends_in_quotes
from pegasus.yaml_text import (
    BREAKS,
    Item,
    ListReader,
    Mapping,
    Scalar,
    SourceText,
    Words,
    refuse_changed,
    scalars,
)
from pegasus.yaml_text import texts as texts_of

MOST_JOBS = 1_000_000_000
"""Jobs of one entry; at a thousand per second they take twelve days. After a take, an entry may
leave one entry for each list with two or more values: this limit keeps that below thirty."""

_COMMENT_START = re.compile(r"[ \t]+#")

QUOTE_THE_COMMAND = "Quote the command, or use `|` and write it on the next line"

QUEUE_WORDS = Words(
    key="command",
    file="a queue",
    quote=QUOTE_THE_COMMAND,
    plain='Write "- command: [...]" or a plain string',
    elsewhere=(
        "hostname",
        'Hosts belong in the hosts file; here write "- command: [...]" or a plain string',
    ),
    spaces=True,
)


@dataclass(frozen=True, slots=True)
class Written:
    """An entry with its text in the file."""

    entry: Entry
    item: Item
    commands: tuple[Scalar, ...]


class QueueReader:
    """The entries of a queue file, read from its head.

    Args:
        path: as the user gave it; faults name it.
        data: the file's bytes.
        pulse: is called often while the file is read; it may raise, to stop the reading.
    """

    def __init__(self, path: str, data: bytes, pulse: Callable[[], None] | None = None) -> None:
        self.source = SourceText(path, data, pulse)
        self.list = ListReader(self.source, QUEUE_WORDS)

    def __iter__(self) -> Iterator[Written | FileFault]:
        """Give the entries in order; a bad entry is given as its fault."""
        for item in self.list:
            if isinstance(item, FileFault):
                yield item
                continue
            try:
                yield self._written(item)
            except FileFault as fault:
                yield fault

    def _written(self, item: Item) -> Written:
        position = self.source.position(item.start)
        if isinstance(item.node, Scalar):
            commands: tuple[Scalar, ...] = (item.node,)
            refuse_changed(self.source, item.node, "command", changed_command)
            entry = Entry((item.node.text,), (), position)
        else:
            values = {name.text: value for name, value in item.node.pairs}
            command = values.pop("command")
            commands = scalars(command)
            refuse_changed(self.source, command, "command", changed_command)
            for value in values.values():
                refuse_changed(self.source, value, "value", changed_value)
            params = tuple((name, texts_of(value)) for name, value in values.items())
            entry = Entry(tuple(command.text for command in commands), params, position)
        refuse_too_many(entry, position)
        for command in commands:
            check_command(command.text, partial(self.source.position, command.start))
            self._refuse_cut(command)
        return Written(entry, item, commands)

    def _refuse_cut(self, command: Scalar) -> None:
        """Refuse a command whose quotes YAML ends with a comment: ``echo "a # b"``."""
        if command.style:
            return
        comment = _COMMENT_START.match(self.source.text, command.end)
        if comment and ends_in_quotes(command.text):
            raise FileFault(
                self.source.position(comment.end() - 1),
                'YAML reads all from this "#" on as a comment, and it stands in quotes of the '
                "command",
                QUOTE_THE_COMMAND,
            )

    def fault_at(self, scalar: Scalar, fault: TemplateFault) -> FileFault:
        """Give the fault of a template with its position in the file, as exactly as possible."""
        index = _index_in(self.source, scalar, fault.line, fault.column)
        return FileFault(self.source.position(index), fault.what, fault.instead)


def levels(mapping: Mapping) -> list[int]:
    """Give the indexes of the pairs of a mapping in the order of a grid: the command first."""
    names = [name.text for name, _ in mapping.pairs]
    command = names.index("command")
    return [command, *(i for i in range(len(names)) if i != command)]


def refuse_too_many(entry: Entry, position: Position) -> None:
    """Refuse an entry with more than MOST_JOBS jobs.

    Raises:
        FileFault: it has more.
    """
    if entry.params and grid.count(entry) > MOST_JOBS:
        raise FileFault(
            position,
            f"this entry stands for more than {MOST_JOBS:,} jobs, one for each combination of its "
            "values",
            "Shorten its lists, or write several entries",
        )


def check_command(command: str, position: Callable[[], Position]) -> None:
    """Refuse a command that no node could run, before it is rendered.

    Args:
        command: the command.
        position: gives its position, for a fault.

    Raises:
        FileFault: it is empty, too long, or has a NUL in it.
    """
    wrong = wrong_with(command)
    if wrong is not None:
        raise FileFault(position(), *wrong)


def _index_in(source: SourceText, scalar: Scalar, line: int, column: int) -> int:
    """Find a character of the text of a scalar in the file; the start of the scalar if unsure."""
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
    """Refuse an entry that would be a fault in the file.

    Raises:
        PegasusError: it would.
    """
    names = [name for name, _ in entry.params]
    values = [values for _, values in entry.params]
    if "command" in names or len(set(names)) < len(names):
        raise PegasusError(
            'Two parameters have the same name, or one is called "command". Rename one.'
        )
    if not entry.commands or not all(values):
        raise PegasusError("A command or a value is missing. Give at least one for each name.")
    position = Position(path, 1, 1)
    try:
        refuse_too_many(entry, position)
        for command in entry.commands:
            check_command(command, lambda: position)
    except FileFault as fault:
        words = f"{fault.what}. {fault.instead}."
        raise PegasusError(words[:1].upper() + words[1:]) from fault
