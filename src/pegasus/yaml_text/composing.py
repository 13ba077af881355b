"""The events of one item -> its node, with the faults of its form.

Rule 1: a text is given as the user typed it; where YAML would convert, merge or drop something,
there is a fault with its position.
Rule 2: a mapping stands inside a mapping only below the names that the kind of file permits.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import yaml

from pegasus.errors import FileFault
from pegasus.yaml_text import events
from pegasus.yaml_text.nodes import Listing, Mapping, PairValue, Scalar
from pegasus.yaml_text.source import BREAKS, SourceText

_NEAR = 0.75
"""How similar a name must be to one that was probably meant, from 0 to 1."""

_PARAMS_TOGETHER = frozenset({"param", "params", "parameters", "vars", "variables", "matrix"})
"""Names below which other programs have their parameters."""

_FIRST_NAME = re.compile(r"[{\s]*([\w.-]+)[ \t]*:")
_NEXT_ITEM = re.compile(r"^[ \t]*-(?=\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Words:
    """The vocabulary of a kind of file, for messages.

    Attributes:
        key: the name that every mapping must have.
        file: the kind of file, with its article.
        quote: the next step if YAML reads something else than the user meant.
        plain: the form of an item, for a user who left out the key.
        elsewhere: a name that belongs in another kind of file, and the next step.
        spaces: whether a text of this kind may have spaces; then a name with a space was a text.
        sections: the names whose value may be a mapping, with the levels of mappings that each
            permits.
        alone: a name that makes an item without the key; empty if there is none.
        moved: names of sections of another kind of file, each with the next step.
        empty: names of sections whose mapping may be empty.
        synonyms: names that other programs have for the key.
    """

    key: str
    file: str
    quote: str
    plain: str
    elsewhere: tuple[str, str]
    spaces: bool
    sections: dict[str, int] = field(default_factory=dict)
    alone: str = ""
    moved: dict[str, str] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()
    synonyms: frozenset[str] = frozenset()


class Composer:
    """Composes the nodes of a file.

    Args:
        source: the file.
        words: the vocabulary of its messages.
    """

    def __init__(self, source: SourceText, words: Words) -> None:
        self.source = source
        self.words = words

    def node(self, parts: Sequence[yaml.Event]) -> Scalar | Mapping:
        """Compose the node of an item from all its events.

        Raises:
            FileFault: it has a form that no item can have.
        """
        first = parts[0]
        self.refuse_extras(first)
        if isinstance(first, yaml.ScalarEvent):
            return self._scalar(first)
        if isinstance(first, yaml.SequenceStartEvent):
            raise self._fault(first, "YAML reads this entry as a list", self.words.quote)
        assert isinstance(first, yaml.MappingStartEvent)  # noqa: S101 - no other event is left
        mapping = self._mapping(first, iter(parts[1:]), self.words.sections)
        self._refuse_without_key(mapping)
        return mapping

    def refuse_extras(self, event: yaml.Event) -> None:
        """Refuse tags, anchors and aliases: they would change a text silently.

        Raises:
            FileFault: it is one of them.
        """
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

    def _mapping(
        self,
        first: yaml.MappingStartEvent,
        inside: Iterator[yaml.Event],
        sections: dict[str, int] | int,
    ) -> Mapping:
        """Compose a mapping; ``sections`` are the levels that its names permit, or all of them."""
        pairs: list[tuple[Scalar, PairValue]] = []
        names: set[str] = set()
        for event in inside:
            if isinstance(event, yaml.MappingEndEvent):
                break
            is_item = not isinstance(sections, int)
            name = self._name(event, names, is_item=is_item)
            levels = sections.get(name.text, 0) if not isinstance(sections, int) else sections
            value = next(inside)
            if is_item and not levels:
                self._refuse_section(name, value, is_first=not names)
            may_be_empty = is_item and name.text in self.words.empty
            pairs.append((name, self._value(value, inside, levels, may_be_empty=may_be_empty)))
            names.add(name.text)
        return Mapping(tuple(pairs), events.start(first), events.end(event), bool(first.flow_style))

    def _refuse_section(self, name: Scalar, value: yaml.Event, *, is_first: bool) -> None:
        """Refuse a mapping below a name that is nearly, or elsewhere, that of a section.

        The mapping may also belong one level higher: below ``params``, or below a text that is
        the value of the key.
        """
        if not isinstance(value, yaml.MappingStartEvent) or self._has_braces(value):
            return
        words = self.words
        position = self.source.position(name.start)
        if step := words.moved.get(name.text):
            raise FileFault(position, f'"{name.text}" does not stand in {words.file}', step)
        inner = _FIRST_NAME.match(self.source.text, events.start(value))
        if inner and name.text.lower() in _PARAMS_TOGETHER:
            raise FileFault(
                position,
                f'parameters stand in the entry itself, and not below "{name.text}"',
                f'Begin "{inner[1]}" in the column of "{name.text}", and remove "{name.text}"',
            )
        if inner and is_first and not words.spaces and not self._has_key_after(name):
            raise FileFault(
                position,
                f'"{name.text}" is read as the name of a parameter',
                f'Write `- {words.key}: {name.text}`, and begin "{inner[1]}" right below '
                f'"{words.key}"',
            )
        near = _near(name.text, words.sections)
        if near:
            what = f'the value of "{name.text}" cannot be a mapping'
            step = f'Did you mean "{near}"? Otherwise quote the value'
            raise FileFault(position, what, step)

    def _has_key_after(self, name: Scalar) -> bool:
        """Tell whether the key seems to stand in the item that begins with a name."""
        following = _NEXT_ITEM.search(self.source.text, name.end)
        rest = self.source.text[name.end : following.start() if following else None]
        return re.search(rf"\b{re.escape(self.words.key)}[ \t]*:", rest) is not None

    def _name(self, event: yaml.Event, names: set[str], *, is_item: bool) -> Scalar:
        name = self._text(event, "a name must be one text")
        if name.text == "<<" and not name.style:
            raise self._fault(event, '"<<" merges nothing here', "Write the names and values out")
        if name.text in names:
            is_list = is_item and name.text not in self.words.sections
            step = "Remove one, or write all its values in one list" if is_list else "Remove one"
            raise self._fault(event, f'"{name.text}" stands in this entry twice', step)
        return name

    def _value(
        self,
        event: yaml.Event,
        inside: Iterator[yaml.Event],
        levels: int,
        *,
        may_be_empty: bool = False,
    ) -> PairValue:
        if isinstance(event, yaml.SequenceStartEvent):
            self.refuse_extras(event)
            return self._listing(event, inside, levels)
        if levels and isinstance(event, yaml.MappingStartEvent) and not self._has_braces(event):
            self.refuse_extras(event)
            return self._section(event, inside, levels - 1, may_be_empty=may_be_empty)
        return self._text(event, "a value must be a text or a list of texts")

    def _section(
        self,
        first: yaml.MappingStartEvent,
        inside: Iterator[yaml.Event],
        levels: int,
        *,
        may_be_empty: bool,
    ) -> Mapping:
        """Compose a mapping that is a value; it ends where its last part ends."""
        found = self._mapping(first, inside, levels)
        if not found.pairs and may_be_empty:
            return found
        if not found.pairs:
            raise self._fault(
                first, "this mapping is empty", "Write at least one name and its value in it"
            )
        end = found.end if found.flow else found.pairs[-1][1].end
        return Mapping(found.pairs, found.start, end, found.flow)

    def _listing(
        self, start: yaml.SequenceStartEvent, inside: Iterator[yaml.Event], levels: int
    ) -> Listing:
        """Compose a list that is a value; ``levels`` as where it stands."""
        values = []
        for event in inside:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            if levels and isinstance(event, yaml.MappingStartEvent) and not self._has_braces(event):
                what = "a mapping stands in a list here"
                raise self._fault(event, what, "Write the mapping alone, without the list")
            values.append(self._text(event, "a list must hold texts only"))
        if not values:
            raise self._fault(start, "this list is empty", "Write at least one value in it")
        flow = bool(start.flow_style)
        return Listing(tuple(values), events.start(start), events.end(event), flow)

    def _text(self, event: yaml.Event, what: str) -> Scalar:
        """Read an event as a text; otherwise it is nested, or a tag without quotes."""
        self.refuse_extras(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if self._has_braces(event):
            raise self._fault(event, "YAML reads these braces as a mapping", self.words.quote)
        kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
        raise self._fault(event, f"{what}, and this is a {kind}", "Quote it if it is a text")

    def _has_braces(self, event: yaml.Event) -> bool:
        """Tell whether a mapping was meant as the tag of a template."""
        index = events.start(event)
        return "{{" in self.source.text[max(index - 1, 0) : index + 2]

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if not _is_unicode(event.value):
            raise self._fault(event, "this text has half a character in it", "Write it whole")
        end = scalar_end(self.source, event)
        return Scalar(event.value, events.start(event), end, event.style or "")

    def _refuse_without_key(self, mapping: Mapping) -> None:
        names = [name.text for name, _ in mapping.pairs]
        words = self.words
        if words.key in names or (words.alone and words.alone in names):
            return
        what, instead = f'this entry has no "{words.key}"', words.plain
        meant = next((name for name in names if self._is_key(name)), "")
        if words.elsewhere[0] in names:
            instead = words.elsewhere[1]
        elif meant:
            what = f'this entry has no "{words.key}", and has "{meant}"'
            instead = f'Write "{words.key}: ..." instead'
        elif words.alone and names and _near(names[0], [words.alone]):
            what = f'this entry has no "{words.alone}", and has "{names[0]}"'
            instead = f'Write "{words.alone}: ..." instead'
        elif not words.spaces and mapping.pairs and _is_bare(mapping.pairs[0][1]):
            instead = f"Write `- {words.key}: {names[0]}`"
        elif words.spaces and names and _was_a_text(mapping):
            what = f"YAML read this {words.key} as a mapping, because of the colon in it"
            instead = words.quote
        raise FileFault(self.source.position(mapping.start), what, instead)

    def _is_key(self, name: str) -> bool:
        """Tell whether a name is nearly the key, or another word for it."""
        return name.lower() in self.words.synonyms or bool(_near(name, [self.words.key]))

    def _fault(self, event: yaml.Event, what: str, instead: str) -> FileFault:
        return FileFault(self.source.position(events.start(event)), what, instead)


def scalar_end(source: SourceText, event: yaml.ScalarEvent) -> int:
    """Find the end of a scalar without the blank lines after a block scalar."""
    start, end = events.start(event), events.end(event)
    if event.style not in {"|", ">"}:
        return end
    last = len(source.text[start:end].rstrip(f" \t{BREAKS}"))
    return min(end, source.line_end(start + max(last - 1, 0)))


def _near(name: str, known: Iterable[str]) -> str:
    """Give the known name that somebody probably meant; empty if there is none."""
    plain = name.lower().replace("-", "_")
    return "".join(difflib.get_close_matches(plain, known, 1, _NEAR))


def _was_a_text(mapping: Mapping) -> bool:
    """Guess whether a mapping was meant as a text with a colon."""
    name, value = mapping.pairs[0]
    return " " in name.text or (len(mapping.pairs) == 1 and isinstance(value, Scalar))


def _is_bare(value: PairValue) -> bool:
    """Tell whether nothing stands behind a name and its colon."""
    return isinstance(value, Scalar) and not value.text and not value.style


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
