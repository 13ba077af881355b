"""YAML events -> the items of a list, one by one, with what is wrong with each.

Rule 1: a fault is a value here: after it come the items behind it, unless YAML cannot go on.
Rule 2: an item is given only when it is certain to be whole: what follows it is looked at as
characters, never parsed, so that a broken item does not hide the good ones before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from pegasus.errors import FileFault
from pegasus.yaml_text import events
from pegasus.yaml_text.nodes import Item, Listing, Mapping, NodeValue, Scalar
from pegasus.yaml_text.source import BREAKS, SourceText

_BLANK_OR_COMMENT = re.compile(f"(?:[ \t{BREAKS}]+|#[^{BREAKS}]*)*")
_NOTHING_BUT_DOTS = re.compile(f"(?:[ \t{BREAKS}]+|#[^{BREAKS}]*|^\\.\\.\\.$)*\\Z", re.MULTILINE)
_BREAK_CHARACTER = re.compile(f"[{BREAKS}]")


@dataclass(frozen=True, slots=True)
class Words:
    """What a kind of file calls its things; faults speak in these words.

    Attributes:
        key: the name that every mapping must have.
        file: the kind of file, with its article.
        quote: what to do where YAML reads something else than the user meant.
        plain: how an item looks, as advice to someone who left out the key.
        elsewhere: a name that belongs in another kind of file, and what to say about it.
        spaces: whether a text of this kind may have spaces, so that a name with a space was one.
    """

    key: str
    file: str
    quote: str
    plain: str
    elsewhere: tuple[str, str]
    spaces: bool


class ListReader:
    """A file that is a list, read from its head.

    Args:
        source: the file.
        words: how faults speak about it.

    Attributes:
        flow: whether the list is written in brackets; known once the first item is asked for.
        start: where the list begins, its first dash or its ``[``; None where there is no list.
        end: where one more item of a list without brackets would go; None until all items were
            given, without a fault that YAML cannot go on after.
        last_end: where the last item that was given ends; before the first, where the list begins.
    """

    def __init__(self, source: SourceText, words: Words) -> None:
        self.source = source
        self.words = words
        self.flow = False
        self.start: int | None = None
        self.end: int | None = None
        self.last_end = 0
        self._checked = 0

    def __iter__(self) -> Iterator[Item | FileFault]:
        """Give the items in order, and in the place of a bad one its fault."""
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
        """Tell a list from a file with nothing in it; raise FileFault for anything else."""
        self._refuse_extras(event)
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
        """Look at what follows the list."""
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
            next(stream, None)  # the parser stumbles over it as well, in better words
            raise self._torn_fault(following)
        try:
            return Item(self._node(of_item), start, end)
        except FileFault as fault:
            return fault

    def line_done(self, end: int) -> int:
        """Find the end of the line that an item ends in; a block scalar ends after its last."""
        at_start = end > 0 and self.source.text[end - 1] in BREAKS
        return end if self.flow or at_start else self.source.line_end(end)

    def _end_of(self, parts: Sequence[yaml.Event]) -> int:
        """Find the end of the last thing that has an end of its own."""
        for event in reversed(parts):
            if isinstance(event, yaml.ScalarEvent):
                return self._scalar_end(event)
            if events.start(event) < events.end(event):
                return events.end(event)
        return events.end(parts[0])

    def _scalar_end(self, event: yaml.ScalarEvent) -> int:
        """Leave out the blank lines that follow a block scalar."""
        start, end = events.start(event), events.end(event)
        if event.style not in {"|", ">"}:
            return end
        last = len(self.source.text[start:end].rstrip(f" \t{BREAKS}"))
        return min(end, self.source.line_end(start + max(last - 1, 0)))

    def next_content(self, index: int) -> int:
        """Find the next character that is neither blank nor in a comment, or the text's end."""
        while True:
            match = _BLANK_OR_COMMENT.match(self.source.text, index)
            following = match.end() if match else index
            if following < len(self.source.text):
                return following
            # From its last line on: what was looked at is not looked at again with each piece.
            index = max(index, self.source.line_start(following))
            if not self.source.decode_more():
                return following

    def _is_torn(self, end: int, following: int) -> bool:
        """Tell whether something follows an item that can only be a part of it."""
        text = self.source.text
        if following == len(text):
            return self.flow
        if self.flow:
            return text[following] not in ",]"
        # From one character earlier: a block scalar ends behind its last line break.
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
        """Find the ``...`` in a file with nothing else: the one empty file that YAML refuses."""
        if self.start is not None:
            return None
        self.source.decode_all()
        text = self.source.text
        dots = re.search(r"^\.\.\.", text, re.MULTILINE)
        return dots.start() if dots and _NOTHING_BUT_DOTS.match(text) else None

    def _whole_before_stray(self) -> Item | None:
        """Find the item that YAML withholds because of a stray line behind it.

        YAML looks ahead behind a quote or a bracket, and stumbles before it gives what it has.
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
        """Find the first line behind an item's dash that is not indented as its parts are."""
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
        index = self._index_of(error)
        if bad := self.source.bad_character(self._checked, index + 1):
            return bad
        if self.source.text[index : index + 1] == "\t":
            return FileFault(
                self.source.position(index),
                "YAML allows no tab here",
                "Use spaces for indentation and after the dash",
            )
        problem = getattr(error, "problem", None) or str(error)
        return FileFault(
            self.source.position(index),
            f"YAML cannot read {self._snippet(index)}: {problem}",
            self.words.quote,
        )

    def _index_of(self, error: yaml.YAMLError) -> int:
        """Find the character to point at: for what is never closed, where it was opened."""
        marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
        end = len(self.source.text.rstrip())
        inside = [mark.index for mark in marks if mark and mark.index < end]
        return inside[0] if inside else self.next_content(self.last_end)

    def _snippet(self, index: int) -> str:
        """Quote the line that a fault is in, cut to what fits into a sentence."""
        start, end = self.source.line_start(index), self.source.line_end(index)
        line = self.source.text[start:end].strip()
        return f"`{line[:57]}...`" if len(line) > 60 else f"`{line}`"

    def _fault(self, event: yaml.Event, what: str, instead: str) -> FileFault:
        return FileFault(self.source.position(events.start(event)), what, instead)

    def _refuse_extras(self, event: yaml.Event) -> None:
        """Refuse tags, anchors and aliases: they would change a text without a word."""
        if isinstance(event, yaml.AliasEvent):
            kind = "an alias"
        elif getattr(event, "anchor", None) is not None:
            kind = "an anchor"
        elif getattr(event, "tag", None) is not None:
            kind = "a tag and would drop it"
        else:
            return
        start = events.start(event)
        word = self.source.text[start : start + 40].split(maxsplit=1)[0]
        raise self._fault(event, f'YAML reads "{word}" as {kind}', self.words.quote)

    def _node(self, parts: Sequence[yaml.Event]) -> Scalar | Mapping:
        first = parts[0]
        self._refuse_extras(first)
        if isinstance(first, yaml.ScalarEvent):
            return self._scalar(first)
        if isinstance(first, yaml.SequenceStartEvent):
            raise self._fault(first, "YAML reads this entry as a list", self.words.quote)
        mapping = self._mapping(parts)
        self._refuse_without_key(mapping)
        return mapping

    def _mapping(self, parts: Sequence[yaml.Event]) -> Mapping:
        pairs: list[tuple[Scalar, NodeValue]] = []
        names: set[str] = set()
        inside = iter(parts[1:-1])
        for event in inside:
            name = self._name(event, names)
            pairs.append((name, self._value(next(inside), inside)))
            names.add(name.text)
        first, last = parts[0], parts[-1]
        flow = bool(first.flow_style) if isinstance(first, yaml.MappingStartEvent) else False
        return Mapping(tuple(pairs), events.start(first), events.end(last), flow)

    def _name(self, event: yaml.Event, names: set[str]) -> Scalar:
        name = self._text(event, "a name must be one text")
        if name.text == "<<" and not name.style:
            raise self._fault(event, '"<<" merges nothing here', "Write the names and values out")
        if name.text in names:
            raise self._fault(
                event,
                f'"{name.text}" stands in this entry twice',
                "Remove one, or write all its values in one list",
            )
        return name

    def _value(self, event: yaml.Event, inside: Iterator[yaml.Event]) -> NodeValue:
        if isinstance(event, yaml.SequenceStartEvent):
            self._refuse_extras(event)
            return self._listing(event, inside)
        return self._text(event, "a value must be a text or a list of texts")

    def _listing(self, start: yaml.SequenceStartEvent, inside: Iterator[yaml.Event]) -> Listing:
        values = []
        for event in inside:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            values.append(self._text(event, "a list must hold texts only"))
        if not values:
            raise self._fault(start, "this list is empty", "Write at least one value in it")
        flow = bool(start.flow_style)
        return Listing(tuple(values), events.start(start), events.end(event), flow)

    def _text(self, event: yaml.Event, what: str) -> Scalar:
        """Take an event for a text; where it is none, it is either nested or looks like a tag."""
        self._refuse_extras(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        index = events.start(event)
        if "{{" in self.source.text[max(index - 1, 0) : index + 2]:
            raise self._fault(event, "YAML reads these braces as a mapping", self.words.quote)
        kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
        raise self._fault(event, f"{what}, and this is a {kind}", "Quote it if it is a text")

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if not _is_unicode(event.value):
            raise self._fault(event, "this text has half a character in it", "Write it whole")
        return Scalar(event.value, events.start(event), self._scalar_end(event), event.style or "")

    def _refuse_without_key(self, mapping: Mapping) -> None:
        names = [name.text for name, _ in mapping.pairs]
        words = self.words
        if words.key in names:
            return
        what, instead = f'this entry has no "{words.key}"', words.plain
        if words.elsewhere[0] in names:
            instead = words.elsewhere[1]
        elif words.spaces and names and _was_a_text(mapping):
            what = f"YAML read this {words.key} as a mapping, because of the colon in it"
            instead = words.quote
        raise FileFault(self.source.position(mapping.start), what, instead)


def _was_a_text(mapping: Mapping) -> bool:
    """Guess whether someone wrote a text with a colon: it has spaces, or is one plain pair."""
    name, value = mapping.pairs[0]
    return " " in name.text or (len(mapping.pairs) == 1 and isinstance(value, Scalar))


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
