"""The items of a queue file -> entries, and what a command must be.

Rule 1: an entry keeps the item it was read from, so that its remainder can be written as the user
wrote it.
Rule 2: a command that no node could run is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pegasus import grid
from pegasus.demand import with_group
from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.model import Barrier, Entry, Position
from pegasus.queue_file.demands import DEMAND_KEYS, read_barrier_kind, read_demand
from pegasus.rendered import wrong_with
from pegasus.shell_text import changed_command, changed_value, ends_in_quotes
from pegasus.yaml_text import (
    BREAKS,
    Item,
    ListReader,
    Mapping,
    PairValue,
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
    sections=dict.fromkeys(DEMAND_KEYS, 1),
    alone="barrier",
    moved={"slots": "Slots belong in the hosts file; here write `needs: {gpu: 2}`"},
    synonyms=frozenset({"cmd", "cmds", "script"}),
)


@dataclass(frozen=True, slots=True)
class Written:
    """An entry with its text in the file."""

    entry: Entry
    item: Item
    commands: tuple[Scalar, ...]

    def demand_start(self, name: str) -> int:
        """Give the index of the key ``needs``, ``where`` or ``at_most`` in the file.

        It is the start of the entry where the entry has no such key.
        """
        pairs = self.item.node.pairs if isinstance(self.item.node, Mapping) else ()
        found = (key for key, value in pairs if key.text == name and isinstance(value, Mapping))
        key = next(found, None)
        return self.item.start if key is None else key.start


@dataclass(frozen=True, slots=True)
class WrittenBarrier:
    """A barrier with its text in the file."""

    barrier: Barrier
    item: Item


class QueueReader:
    """The entries of a queue file, read from its head.

    Args:
        path: as the user gave it; faults name it.
        data: the file's bytes.
        pulse: is called often while the file is read; it may raise, to stop the reading.
        first_line: the number of the first line of the data, where they are the end of a file.
    """

    def __init__(
        self,
        path: str,
        data: bytes,
        pulse: Callable[[], None] | None = None,
        *,
        first_line: int = 1,
    ) -> None:
        self.source = SourceText(path, data, pulse, first_line=first_line)
        self.list = ListReader(self.source, QUEUE_WORDS)

    def __iter__(self) -> Iterator[Written | WrittenBarrier | FileFault]:
        """Give the entries and barriers in order; a bad one is given as its fault."""
        for item in self.list:
            if isinstance(item, FileFault):
                yield item
                continue
            try:
                yield self._written(item)
            except FileFault as fault:
                yield fault

    def _written(self, item: Item) -> Written | WrittenBarrier:
        position = self.source.position(item.start)
        if isinstance(item.node, Scalar):
            commands: tuple[Scalar, ...] = (item.node,)
            refuse_changed(self.source, item.node, "command", changed_command)
            entry = Entry((item.node.text,), (), position)
        else:
            values = {name.text: value for name, value in item.node.pairs}
            if "command" not in values:
                kind = read_barrier_kind(self.source, item.node)
                return WrittenBarrier(Barrier(kind, position), item)
            command = values.pop("command")
            assert not isinstance(command, Mapping)  # noqa: S101 - QUEUE_WORDS permits none there
            commands = scalars(command)
            refuse_changed(self.source, command, "command", changed_command)
            for value in values.values():
                refuse_changed(self.source, value, "value", changed_value)
            entry = self._entry(commands, values, position)
        refuse_too_many(entry, position)
        for each in commands:
            check_command(each.text, partial(self.source.position, each.start))
            self._refuse_cut(each)
        return Written(entry, item, commands)

    def _entry(
        self, commands: Sequence[Scalar], values: dict[str, PairValue], position: Position
    ) -> Entry:
        params = []
        sections = {}
        for name, value in values.items():
            if isinstance(value, Mapping):
                sections[name] = value
            else:
                params.append((name, texts_of(value)))
        texts = tuple(each.text for each in commands)
        if not sections:
            return Entry(texts, tuple(params), position)
        demand = read_demand(self.source, sections)
        return with_group(Entry(texts, tuple(params), position, demand))

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
    """Give the indexes of the pairs of a mapping in the order of a grid: the command first.

    What the entry demands is not a part of its grid.
    """
    names = [name.text for name, _ in mapping.pairs]
    command = names.index("command")
    lists = (i for i, (_, value) in enumerate(mapping.pairs) if not isinstance(value, Mapping))
    return [command, *(i for i in lists if i != command)]


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


def check_added(entry: Entry | Barrier, path: str) -> None:
    """Refuse an entry that would be a fault in the file.

    Raises:
        PegasusError: it would.
    """
    if isinstance(entry, Barrier):
        return
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
