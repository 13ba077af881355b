r"""The tags in a text, and the white space around them.

Rule 1: each tag has its start, so that every fault has a line and a column.
Rule 2: this module does what Handlebars does and chevron does not: escapes, braces inside quotes,
``~``, and lines that contain only a tag of a block or a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from pegasus.errors import TemplateFault
from pegasus.template.expression import (
    LITERAL_HINT,
    Expression,
    Token,
    Word,
    parse_condition,
    parse_value,
    read_tokens,
    shown,
)
from pegasus.template.value import Refusal


@dataclass(frozen=True, slots=True)
class Print:
    """``{{ name }}``, ``{{{name}}}``, ``{{&name}}``, ``{{ helper ... }}``."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Comment:
    """``{{! ... }}`` or ``{{!-- ... --}}``."""


@dataclass(frozen=True, slots=True)
class Open:
    """``{{#if x}}`` or ``{{#unless x}}``."""

    block: str
    condition: Expression


@dataclass(frozen=True, slots=True)
class Else:
    """``{{else}}``, or with a condition ``{{else if x}}`` or ``{{else unless x}}``."""

    block: str = "if"
    condition: Expression | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """``{{/if}}`` or ``{{/unless}}``."""

    block: str


Meaning: TypeAlias = Print | Comment | Open | Else | Close


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag with its position; ``trims``: on which sides a ``~`` removes the white space."""

    start: int
    end: int
    trims: tuple[bool, bool]
    meaning: Meaning


_OPENING = re.compile(r"\{\{(~?)(!|[#/^>=&{]?)")
_CLOSING = re.compile(r"(~?)\}\}")
_CLOSING_TRIPLE = re.compile(r"\}(~?)\}\}")
_CLOSING_LONG_COMMENT = re.compile(r"--(~?)\}\}")

_BLOCKS = ("if", "unless")
_UNSUPPORTED = {
    "^": ("inverted sections ({{^x}}) are not supported", "Write {{#unless x}} or {{else}}"),
    ">": ("partials ({{>x}}) are not supported", LITERAL_HINT),
    "=": ("changing the delimiters ({{=x y=}}) is not supported", LITERAL_HINT),
}


def _read_tag(text: str, start: int) -> Tag:
    """Read the tag that begins at ``start``."""
    if text.startswith("{{{{", start):
        raise Refusal("raw blocks ({{{{x}}}}) are not supported", LITERAL_HINT)
    opening = _OPENING.match(text, start)
    assert opening is not None, "the caller found {{ there"  # noqa: S101
    sigil = opening[2]
    if sigil in _UNSUPPORTED:
        raise Refusal(*_UNSUPPORTED[sigil])
    if sigil == "!":
        closed, meaning = _closing_comment(text, opening.end()), Comment()
        return Tag(start, closed.end(), (bool(opening[1]), bool(closed[1])), meaning)
    closing = _CLOSING_TRIPLE if sigil == "{" else _CLOSING
    tokens, closed = read_tokens(text, opening.end(), closing)
    trims = (bool(opening[1]), bool(closed[1]))
    return Tag(start, closed.end(), trims, _meaning(sigil, tokens))


def _closing_comment(text: str, start: int) -> re.Match[str]:
    long = text.startswith("--", start)
    closed = (_CLOSING_LONG_COMMENT if long else _CLOSING).search(text, start)
    if closed is None:
        raise Refusal(f"this comment is never closed with {'--' if long else ''}}}}}", LITERAL_HINT)
    return closed


def _meaning(sigil: str, tokens: list[Token]) -> Meaning:
    match sigil, tokens:
        case "#", [Word(block), *rest] if block in _BLOCKS:
            return Open(block, parse_condition(rest, f"{{{{#{block}}}}}"))
        case "/", [Word(block)] if block in _BLOCKS:
            return Close(block)
        case (("#" | "/"), _):
            raise _no_block(sigil, tokens)
        case "", [Word("else", bracketed=False)]:
            return Else()
        case "", [Word("else", bracketed=False), Word(block), *rest] if block in _BLOCKS:
            return Else(block, parse_condition(rest, f"{{{{else {block}}}}}"))
        case "", [Word("else", bracketed=False), *_]:
            raise Refusal("after else only if or unless can follow", "Write {{else if x}}")
        case _:
            return Print(parse_value(tokens))


def _no_block(sigil: str, tokens: list[Token]) -> Refusal:
    word = shown(tokens[0].text) if tokens else ""
    return Refusal(
        f"there is no block {{{{{sigil}{word}}}}}",
        f"The blocks are {{{{#if x}}}} and {{{{#unless x}}}}. {LITERAL_HINT}",
    )


# Text and tags, one after the other.


def scan(text: str) -> tuple[list[str], list[Tag]]:
    r"""Split a template into texts and the tags between them: one more text than tags.

    The texts are as they are rendered. As in Handlebars, ``\{{`` is text, and ``\\{{`` is a
    backslash and a tag.
    """
    texts: list[str] = []
    tags: list[Tag] = []
    pending: list[str] = []
    position = 0
    while (found := text.find("{{", position)) >= 0:
        before = text[position:found]
        pending.append(before.removesuffix("\\"))
        if before.endswith("\\") and not before.endswith("\\\\"):
            position = _after_braces(text, found)
            pending.append(text[found:position])
            continue
        tags.append(_placed(text, found))
        texts.append("".join(pending))
        pending.clear()
        position = tags[-1].end
    texts.append("".join([*pending, text[position:]]))
    return _trim(texts, tags), tags


def _after_braces(text: str, start: int) -> int:
    r"""Skip all braces, so that ``\{{{x}}}`` is text, too."""
    while text.startswith("{", start):
        start += 1
    return start


def _placed(text: str, start: int) -> Tag:
    try:
        return _read_tag(text, start)
    except Refusal as refusal:
        fail(text, start, refusal)


def fail(text: str, start: int, refusal: Refusal) -> NoReturn:
    """Raise a refusal as a fault of the tag that begins at ``start``."""
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    raise TemplateFault(line, column, refusal.what, refusal.instead, refusal.unknown) from None


# White space around tags.

_BLANK_AFTER = re.compile(r"[ \t]*(?:\r?\n|\Z)")


def _trim(texts: list[str], tags: list[Tag]) -> list[str]:
    """Remove lines with only a tag of a block or a comment, and white space beside ``~``."""
    trimmed = list(texts)
    for number in range(len(tags)):
        if _stands_alone(texts, tags, number):
            trimmed[number] = trimmed[number].rstrip(" \t")
            trimmed[number + 1] = _BLANK_AFTER.sub("", trimmed[number + 1], count=1)
    for number, tag in enumerate(tags):
        before, after = tag.trims
        if before:
            trimmed[number] = trimmed[number].rstrip()
        if after:
            trimmed[number + 1] = trimmed[number + 1].lstrip()
    return trimmed


def _stands_alone(texts: list[str], tags: list[Tag], number: int) -> bool:
    if isinstance(tags[number].meaning, Print):
        return False
    before, after = texts[number], texts[number + 1]
    line_begins = number == 0 or "\n" in before
    line = before.rpartition("\n")[2]
    blank = _BLANK_AFTER.match(after)
    line_ends = blank is not None and (number + 2 == len(texts) or blank[0].endswith("\n"))
    return line_begins and not line.strip(" \t") and line_ends
