"""What is wrong where YAML stops: the parser's message is about its grammar, not about the file."""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml

from pegasus.yaml_text.composing import Words
from pegasus.yaml_text.source import SourceText

_BARE_NAME = re.compile(r"[\w.-]+")
_NAME_AND_COLON = re.compile(r"[\w.-]+[ \t]*:(?=\s|$)")
_NAME_AND_VALUE = re.compile(r"([\w.][\w.-]*)(?:[ \t]*[:=][ \t]*(\S.*)|[ \t]+([\d.e+-]+))")
"""A line such as ``lr:1``, ``lr = 1`` or ``lr 1``, in which only the colon and the blank miss."""

_IN_SECTION = re.compile(r"(?:^|[ \t])(?P<section>[\w.-]+):[ \t]+(?P<name>[\w.-]+)$")
_MARKED_TEXT = re.compile(r"(?:.*[-:][ \t]+)?(?P<sign>[&*!])\S*")
"""A line that ends with an anchor, an alias or a tag."""

_BLOCK_BEGINS = re.compile(r"(?:.*[:-])?[ \t][|>][-+\d]*(?:[ \t]+#.*)?")
_OTHER_BLANK = re.compile(r"[ \t]*(?P<blank>[^\S \t\r\n])")
_LIST_ENDS = re.compile(r"^(?:\.\.\.|%)", re.MULTILINE)
_BRACKETS = {"[": "]", "{": "}"}


class Mistake(NamedTuple):
    """What is wrong, and the next step; without one the text needs quotes."""

    what: str
    step: str = ""


_INDENTED = Mistake(
    "it is not indented like the other names of its entry",
    "Begin it in the column of the names above it, or quote the text if it is a part of one",
)

_NOT_IN_BLOCK = Mistake(
    "the text below `|` or `>` is indented further than its name, each line alike",
    "Indent it further",
)
_NO_DASH = Mistake("an entry begins with a dash", 'Write "- " before it, or indent it')
_OF_A_MERGE = Mistake("a merge has left this line", "Resolve the conflict, and remove the line")
_BEGINNINGS = {
    "- ": Mistake("something above it is not complete", "Look for an open quote or bracket"),
    "-": Mistake("a blank is missing after the dash", 'Write "- "'),
    "* ": Mistake("an entry begins with a dash", 'Write "-" instead of "*"'),
    "//": Mistake('a comment begins with "#"', 'Write "#" instead of "//"'),
    **dict.fromkeys(("<<<<<<<", "=======", ">>>>>>>"), _OF_A_MERGE),
}
"""Mistakes in a line at the column of the dashes, by how it begins: the first that fits counts."""


def is_open_quote(error: yaml.YAMLError) -> bool:
    """Tell whether a parser found no end of a text in quotes."""
    problem = getattr(error, "problem", None) or ""
    in_quotes = "quoted scalar" in (getattr(error, "context", None) or "")
    return in_quotes and ("end of" in problem or "document" in problem)


def place_of(source: SourceText, error: yaml.YAMLError, otherwise: int) -> int:
    """Find the character for a mistake: for a bracket that is never closed, the opening one.

    Args:
        source: the file.
        error: what the parser says.
        otherwise: the place for an error without one.
    """
    context = getattr(error, "context", None) or ""
    names = ["problem_mark", "context_mark"]
    if "simple key" in context or is_open_quote(error):
        names.reverse()
    end = len(source.text.rstrip())
    marks = [getattr(error, name, None) for name in names]
    inside = [mark.index for mark in marks if mark and mark.index < end]
    if not inside and "flow" in context:
        opening = _last_open(source.text, end)
        return otherwise if opening is None else opening
    return inside[0] if inside else otherwise


def mistake_at(
    source: SourceText, index: int, error: yaml.YAMLError, words: Words, dashes: int
) -> Mistake:
    """Explain a syntax error.

    Args:
        source: the file.
        index: the character that YAML cannot read.
        error: what the parser says.
        words: the vocabulary of this kind of file.
        dashes: the column of the list's dashes, from 0.
    """
    start = source.line_start(index)
    line = source.text[start : source.line_end(index)]
    mistake = _told(source, index, error, words) or _seen(source, index, dashes)
    if mistake.step:
        return mistake
    named = re.match(r"[ \t]*(?:-[ \t]+)?(?P<name>[\w.-]+):\s", line)
    of_command = not named or named["name"] == words.key
    return Mistake(
        mistake.what, words.quote if of_command else words.quote.replace("the command", "the text")
    )


def _told(source: SourceText, index: int, error: yaml.YAMLError, words: Words) -> Mistake | None:
    """Explain what the parser tells by its message: both parsers have these words."""
    context = getattr(error, "context", None) or ""
    problem = getattr(error, "problem", None) or ""
    if "nesting depth" in problem:
        return Mistake(problem)
    if "quoted scalar" in context or not isinstance(error, yaml.MarkedYAMLError):
        return _bad_escape(source, index if context else 0)
    if "flow" in context:
        return _in_brackets(source, index, error)
    if "block scalar" in context:
        return Mistake("a line ends after `|` or `>`, and the text begins on the next one")
    if problem.startswith("mapping values are not allowed"):
        return _no_value(source, index, words)
    return None


def _seen(source: SourceText, index: int, dashes: int) -> Mistake:
    """Explain what the text shows."""
    start = source.line_start(index)
    blank = _OTHER_BLANK.match(source.text, start)
    if blank:
        name = f"U+{ord(blank['blank']):04X}"
        return Mistake(f"it begins with the blank {name}", "Use spaces for indentation")
    if source.text[start : start + 1] == "%":
        return Mistake('"%" begins a directive of YAML here', "Remove the line")
    before = source.text[start:index].strip()
    if before in {"&", "*"}:  # the parser stops one character later
        return _seen(source, index - len(source.text[start:index].lstrip()), dashes)
    if before:
        return _within_line(source, index, before)
    if index - start == dashes:
        return _at_dashes(source, index)
    return _within_entry(source, index)


def _bad_escape(source: SourceText, index: int) -> Mistake:
    """Explain an escape that ends at a character, or that stands anywhere."""
    backslash = source.text.rfind("\\", 0, index + 1)
    escape = "an escape" if backslash < 0 else source.text[backslash : backslash + 2]
    return Mistake(
        f"between double quotes, {escape} does not stand for a character",
        "Use single quotes, or write \\\\ for a backslash",
    )


def _in_brackets(source: SourceText, index: int, error: yaml.MarkedYAMLError) -> Mistake:
    """Explain brackets with a list or a mapping that does not end as it should."""
    text, mark = source.text.rstrip(), error.context_mark
    place = min(mark.index if mark else index, len(text))
    sign = text[place : place + 1]
    if sign == ",":
        return Mistake("a value is missing before a comma", "Write it, or remove the comma")
    if sign == "-" and text[source.line_start(place) : place].strip():
        return Mistake("a list in brackets has no dashes", "Remove the dashes")
    open_at = place if sign in _BRACKETS else _last_open(text, place)
    if open_at is None:
        return Mistake(f'"{sign}" does not fit what stands before it')
    opening, number = text[open_at], source.position(open_at).line
    return Mistake(
        f'"{_BRACKETS[opening]}" or a comma is missing after the "{opening}" in line {number}',
        f'Add it, or quote the text if "{opening}" is a part of it',
    )


def _last_open(text: str, end: int) -> int | None:
    """Find the last bracket before a place that is not closed there."""
    closed = 0
    for index in range(end - 1, -1, -1):
        if text[index] in _BRACKETS.values():
            closed += 1
        elif text[index] in _BRACKETS:
            if not closed:
                return index
            closed -= 1
    return None


def _no_value(source: SourceText, index: int, words: Words) -> Mistake:
    """Explain a colon and a blank inside a text that has no quotes."""
    before = source.text[source.line_start(index) : index]
    if _BARE_NAME.fullmatch(before.strip()):
        return _INDENTED
    inside = _IN_SECTION.search(before.rstrip())
    if inside and inside["section"] in words.sections:
        start = source.line_start(index) + inside.start("name")
        values = source.text[start : source.line_end(index)].strip()
        return Mistake(
            f'"{inside["section"]}" has names with values',
            f"Write `{inside['section']}: {{{values}}}`",
        )
    return Mistake("a colon and a blank begin a value, and none can begin here")


def _within_line(source: SourceText, index: int, before: str) -> Mistake:
    """Explain a character that stands after others in its line."""
    here = source.text[index : index + 1]
    if before[-1] in "&*":  # the parser stops one character later
        before, here = before[:-1].rstrip(), before[-1]
    last = before[-1:]
    if last in {"'", '"'}:
        return _after_quote(source, index, before)
    if last in {"]", "}"}:
        if here == ",":
            return Mistake(f'a comma follows the closing "{last}"', "Remove the comma")
        return Mistake(f'text follows the closing "{last}"')
    if here == "-" and last == ":":
        return Mistake("a list with dashes begins below its name", "Begin a line with each dash")
    special = _MARKED_TEXT.fullmatch(before)
    if special or last in set("-:?,[{"):
        first = special["sign"] if special else here
        return Mistake(f'a text that begins with "{first}" needs quotes')
    return Mistake(f'"{here}" does not fit what stands before it')


def _after_quote(source: SourceText, index: int, before: str) -> Mistake:
    """Explain text after a quote: it may end a text that a line above has opened."""
    quote = before[-1]
    start = source.line_start(index)
    is_open = before.replace("\\" + quote, "").count(quote) % 2 == 1
    while is_open and start > 0:
        start = source.line_start(start - 1)
        line = source.text[start : source.line_end(start)]
        if line.replace("\\" + quote, "").count(quote) % 2:
            number = source.position(start).line
            return Mistake(
                f"the quote that is opened in line {number} ends here", f"Close it in line {number}"
            )
    return Mistake("text follows the closing quote")


def _at_dashes(source: SourceText, index: int) -> Mistake:
    """Explain a line that begins where the entries of the list begin."""
    line = source.text[index : source.line_end(index)].strip()
    if line.startswith("- ") and _LIST_ENDS.search(source.text, 0, index):
        return Mistake("the list ends before it", 'Remove the lines that begin with "..." or "%"')
    if _is_below_block(source, index):
        return _NOT_IN_BLOCK
    known = (mistake for begin, mistake in _BEGINNINGS.items() if line.startswith(begin))
    return next(known, _NO_DASH)


def _within_entry(source: SourceText, index: int) -> Mistake:
    """Explain an indented line that does not belong to what stands above it."""
    line = source.text[index : source.line_end(index)].strip()
    if line.startswith("- "):
        return Mistake(
            "its dash is not in the column of the other dashes",
            "Begin it in the column of the dashes above it",
        )
    if _is_below_block(source, index):
        return _NOT_IN_BLOCK
    if _NAME_AND_COLON.match(line):
        return _INDENTED
    if pair := _NAME_AND_VALUE.fullmatch(line):
        step = f"Write `{pair[1]}: {pair[2] or pair[3]}`"
        return Mistake("a name needs a colon and a blank after it", step)
    return Mistake("it continues nothing that stands above it")


def _is_below_block(source: SourceText, index: int) -> bool:
    """Tell whether the name above a line announces a text on the lines below it."""
    start = source.line_start(index)
    while start > 0:
        start = source.line_start(start - 1)
        line = source.text[start : source.line_end(start)].rstrip()
        if _BLOCK_BEGINS.fullmatch(line):
            return True
        if line.lstrip().startswith("- ") or _NAME_AND_COLON.match(line.lstrip()):
            return False
    return False
