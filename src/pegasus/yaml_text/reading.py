"""YAML events -> the items of a list, one by one, with their faults.

Rule 1: a fault is a value: the items after it follow, unless YAML cannot continue.
Rule 2: an item is given only if it is certainly complete. The characters after it are examined, but
not parsed, so that a broken item does not hide the valid items before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import yaml

from pegasus.errors import FileFault
from pegasus.yaml_text import events
from pegasus.yaml_text.composing import Composer, Words, scalar_end
from pegasus.yaml_text.mistakes import is_open_quote, mistake_at, place_of
from pegasus.yaml_text.nodes import Item
from pegasus.yaml_text.source import BREAKS, SourceText

_BLANK_OR_COMMENT = re.compile(f"(?:[ \t{BREAKS}]+|#[^{BREAKS}]*)*")
_NOTHING_BUT_DOTS = re.compile(f"(?:[ \t{BREAKS}]+|#[^{BREAKS}]*|^\\.\\.\\.$)*\\Z", re.MULTILINE)
_BREAK_CHARACTER = re.compile(f"[{BREAKS}]")

_PARAMETER = re.compile(r"[ ]*(?P<name>[\w.-]+)[ \t]*:(?=\s|$)")
_TEXT_ENTRY = re.compile(
    r"""(?P<indent>[ ]*)-[ ]+
        (?P<text> '(?:[^']|'')*' | "(?:[^"\\]|\\.)*"
            | (?:[^\s'"\[\]{}|>&*!%@`\#,?:-]|[?:-](?=\S))
              (?: [^ \t:]++ | :(?!\s|$) | [ \t]++(?!\#|$) )*+ )
        (?:[ \t]++(?:\#.*)?)?$""",
    re.VERBOSE,
)
"""An entry on one line that is a text, plain or in quotes."""


class ListReader:
    """A file that is a list, read from its head.

    Args:
        source: the file.
        words: the vocabulary of its messages.

    Attributes:
        flow: whether the list is in brackets; known when the first item is requested.
        start: the start of the list, its first dash or its ``[``; None if there is no list.
        end: where a further item of a list without brackets belongs; None until all items were
            given without a fault that stops YAML.
        last_end: the end of the last item that was given; before the first, the start of the list.
    """

    def __init__(self, source: SourceText, words: Words) -> None:
        self.source = source
        self.words = words
        self._compose = Composer(source, words)
        self.flow = False
        self.start: int | None = None
        self.end: int | None = None
        self.last_end = 0
        self._checked = 0

    def __iter__(self) -> Iterator[Item | FileFault]:
        """Give the items in order; a bad item is given as its fault."""
        try:
            yield from self._items(events.parse(self.source))
        except yaml.YAMLError as error:
            if (dots := self._only_dots()) is not None:
                self.end = dots
                return
            if item := self._whole_before_stray():
                self.last_end = self._checked = item.end
                yield item
            yield self._syntax_fault(error)
        except FileFault as fault:
            yield fault

    def _items(self, stream: Iterator[yaml.Event]) -> Iterator[Item | FileFault]:
        next(stream)  # the stream's start
        if not isinstance(next(stream), yaml.StreamEndEvent) and self._is_list(next(stream)):
            for event in stream:
                if isinstance(event, yaml.SequenceEndEvent):
                    break
                yield self._item(event, stream)
        yield from self._tail(stream)

    def _is_list(self, event: yaml.Event) -> bool:
        """Tell a list from an empty file; raise FileFault for anything else."""
        self._compose.refuse_extras(event)
        if isinstance(event, yaml.SequenceStartEvent):
            self.start, self.flow = events.start(event), bool(event.flow_style)
            self.last_end = self.start + 1 if self.flow else self.start
            return True
        if isinstance(event, yaml.ScalarEvent) and not event.value and not event.style:
            return False
        if bad := self.source.bad_character(0, max(events.end(event), 1)):
            raise bad
        kind = "a mapping" if isinstance(event, yaml.MappingStartEvent) else "one text"
        raise FileFault(
            self.source.position(events.start(event)),
            f"this file is {kind}, and {self.words.file} is a list",
            'Begin each entry with "- "',
        )

    def _tail(self, stream: Iterator[yaml.Event]) -> Iterator[FileFault]:
        """Check what follows the list."""
        end = next(stream, None)
        following = next(stream, None)
        self.source.decode_all()
        if isinstance(following, yaml.DocumentStartEvent):
            yield FileFault(
                self.source.position(events.start(following)),
                "a second YAML document begins here, and only one is read",
                'Remove the "---", so that all entries are in one list',
            )
            return
        if bad := self.source.bad_character(self._checked, len(self.source.text)):
            yield bad
            return
        explicit = isinstance(end, yaml.DocumentEndEvent) and end.explicit
        self.end = events.start(end) if end and explicit else len(self.source.text)

    def _item(self, event: yaml.Event, stream: Iterator[yaml.Event]) -> Item | FileFault:
        start = events.start(event) if self.flow else self.next_content(self.last_end)
        of_item = [event, *events.rest_of(event, stream)]
        self.last_end = end = self._end_of(of_item)
        unchecked, self._checked = self._checked, self.line_done(end)
        if bad := self.source.bad_character(unchecked, self._checked):
            return bad
        following = self.next_content(end)
        if self._is_torn(end, following):
            next(stream, None)  # the parser fails here as well, with a better message
            raise self._torn_fault(following)
        try:
            return Item(self._compose.node(of_item), start, end)
        except FileFault as fault:
            return fault

    def line_done(self, end: int) -> int:
        """Find the end of the last line of an item; a block scalar ends after its last line."""
        at_start = end > 0 and self.source.text[end - 1] in BREAKS
        return end if self.flow or at_start else self.source.line_end(end)

    def _end_of(self, parts: Sequence[yaml.Event]) -> int:
        """Find the end of the last part that has an end of its own."""
        for event in reversed(parts):
            if isinstance(event, yaml.ScalarEvent):
                return scalar_end(self.source, event)
            if events.start(event) < events.end(event):
                return events.end(event)
        return events.end(parts[0])

    def next_content(self, index: int) -> int:
        """Find the next character that is neither blank nor in a comment, or the text's end."""
        while True:
            match = _BLANK_OR_COMMENT.match(self.source.text, index)
            following = match.end() if match else index
            if following < len(self.source.text):
                return following
            # From its last line on: earlier text is not examined again with each block.
            index = max(index, self.source.line_start(following))
            if not self.source.decode_more():
                return following

    def _is_torn(self, end: int, following: int) -> bool:
        """Tell whether an item is followed by text that can only be a part of it."""
        text = self.source.text
        if following == len(text):
            return self.flow
        if self.flow:
            return text[following] not in ",]"
        # From one character earlier: a block scalar ends after its last line break.
        breaks = list(_BREAK_CHARACTER.finditer(text, end - 1, following))
        if not breaks:
            return True
        assert self.start is not None  # noqa: S101 - set before the first item
        return following - breaks[-1].end() > self.start - self.source.line_start(self.start)

    def _torn_fault(self, following: int) -> FileFault:
        if following == len(self.source.text):
            return FileFault(
                self.source.position(following), "the list is not closed", 'Add the missing "]"'
            )
        return FileFault(
            self.source.position(following),
            f"YAML cannot tell what {self._snippet(following)} belongs to",
            self.words.quote,
        )

    def _only_dots(self) -> int | None:
        """Find the ``...`` in a file with nothing else: the only empty file that YAML refuses."""
        if self.start is not None:
            return None
        self.source.decode_all()
        text = self.source.text
        dots = re.search(r"^\.\.\.", text, re.MULTILINE)
        return dots.start() if dots and _NOTHING_BUT_DOTS.match(text) else None

    def _whole_before_stray(self) -> Item | None:
        """Find the item that YAML does not give because of a stray line after it.

        YAML looks ahead after a quote or a bracket, and fails before it gives the item.
        What stands before a line that is indented no further than the dashes, and has none, can be
        read without that line.
        """
        start = self.next_content(self.last_end)
        if self.start is None or self.flow or start == len(self.source.text):
            return None
        stray = self._stray_line(start)
        if stray is None:
            return None
        before = ListReader(
            SourceText(self.source.path, self.source.data_before(stray)), self.words
        )
        last = list(before)[-1:]
        found = last[0] if last and before.end is not None else None
        return found if isinstance(found, Item) and found.start == start else None

    def _stray_line(self, start: int) -> int | None:
        """Find the first line after the dash of an item that is not indented like its parts."""
        assert self.start is not None  # noqa: S101 - asked only within a list
        column = self.start - self.source.line_start(self.start)
        line = self.source.line_end(start)
        while line < len(self.source.text):
            content = self.next_content(line)
            if content == len(self.source.text):
                return None
            begin = self.source.line_start(content)
            if content - begin <= column:
                text = self.source.text[content : content + 2]
                is_dash = content - begin == column and (text + " ")[:2].split() == ["-"]
                return None if is_dash else begin
            line = self.source.line_end(content)
        return None

    def _syntax_fault(self, error: yaml.YAMLError) -> FileFault:
        index = place_of(self.source, error, self.next_content(self.last_end))
        if bad := self.source.bad_character(self._checked, index + 1):
            return bad
        if self.source.text[index : index + 1] == "\t":
            return FileFault(
                self.source.position(index),
                "YAML allows no tab here",
                "Use spaces for indentation and after the dash",
            )
        if forgotten := self._forgotten_key(index):
            return forgotten
        if is_open_quote(error):
            return FileFault(
                self.source.position(index),
                f"a quote is opened here and never closed: {self._snippet(index)}",
                "Close it, or use `|` and write the text on the next line",
            )
        dashes = 0 if self.start is None else self.start - self.source.line_start(self.start)
        mistake = mistake_at(self.source, index, error, self.words, dashes)
        return FileFault(
            self.source.position(index),
            f"YAML cannot read {self._snippet(index)}: {mistake.what}",
            mistake.step,
        )

    def _forgotten_key(self, index: int) -> FileFault | None:
        """Find a parameter below an entry that is a text: ``- echo one``, then ``  lr: 1``."""
        line = self.source.line_start(index)
        start = self._line_before(line)
        if self.start is None or self.flow or start is None:
            return None
        named = _PARAMETER.match(self.source.text[line : self.source.line_end(line)])
        entry = _TEXT_ENTRY.match(self._line_at(start))
        if not named or not entry or named["name"].startswith("-"):
            return None
        if len(entry["indent"]) != self.start - self.source.line_start(self.start):
            return None
        name, key = named["name"], self.words.key
        if entry["text"].startswith(f"{key}:"):
            value = _shortened(entry["text"].removeprefix(f"{key}:"))
            return FileFault(
                self.source.position(start + entry.end("indent")),
                f'a blank is missing after "{key}:"',
                f"Write `- {key}: {value}`",
            )
        subject = f'"{name}"' if name in self.words.sections else f'a parameter such as "{name}"'
        number = self.source.position(start).line
        step = f"Write `- {key}: {_shortened(entry['text'])}` in line {number}"
        if named.start("name") != entry.start("text"):
            step += f', and begin "{name}" right below "{key}"'
        return FileFault(
            self.source.position(line + named.start("name")),
            f"{subject} needs a mapping, and the entry above it is only a text",
            step,
        )

    def _line_before(self, line: int) -> int | None:
        """Find the start of the last line before a line that is neither blank nor a comment."""
        while line > 0:
            line = self.source.line_start(line - 1)
            if self._line_at(line).strip()[:1] not in {"", "#"}:
                return line
        return None

    def _line_at(self, start: int) -> str:
        return self.source.text[start : self.source.line_end(start)].rstrip(BREAKS)

    def _snippet(self, index: int) -> str:
        """Quote the line of a fault, shortened for a sentence."""
        start, end = self.source.line_start(index), self.source.line_end(index)
        return f"`{_shortened(self.source.text[start:end].strip())}`"


def _shortened(line: str) -> str:
    """Shorten a line for a sentence."""
    return f"{line[:57]}..." if len(line) > 60 else line
