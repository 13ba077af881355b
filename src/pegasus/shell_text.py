"""What a line break means to a shell: where a command without it has another meaning.

Rule 1: words may be joined: folding is meant for a long command on several lines. Only a change of
the meaning is found.
Rule 2: this is not a parser of sh: it knows quotes, comments, here-documents and a few words.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeaningChange:
    """A change of the meaning of a text because its lines were joined.

    Attributes:
        index: where it is in the text.
        what: what changes, as the end of a sentence.
    """

    index: int
    what: str


_SPECIAL = re.compile(
    r"""
      (?P<tag>\{\{.*?\}\})
    | (?P<escape>\\.)
    | (?P<single>'[^']*'?)
    | (?P<double>"(?:[^"\\]|\\.)*"?)
    | (?P<comment>(?<![^\s;&|()])\#[^\n]*)
    | (?P<arithmetic>\(\(.*?\)\))
    | (?P<string><<<)
    | (?P<document><<)
    """,
    re.VERBOSE | re.DOTALL,
)
"""Text that is not plain words to a shell, and tags of templates. Quotes contain nothing else."""

_CLOSED = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)

_BECOMES = {
    "escape": 'the "\\" at the end of this line becomes part of a word',
    "single": "the line breaks in these quotes become blanks",
    "double": "the line breaks in these quotes become blanks",
    "comment": 'all that follows this "#" becomes a comment',
    "document": 'the text behind this "<<" becomes one line',
}

_WORD = re.compile(r"\s+(do|done|then|elif|else|fi|esac|\})(?![^\s;&|)])")
_OPENED_BY = {
    "do": re.compile(r"\b(?:for|while|until)\s"),
    "then": re.compile(r"\bif\s"),
    "esac": re.compile(r"\bcase\s"),
    "}": re.compile(r"(?<!\S)\S*\{\s"),
}
_OPENED_BY["done"] = _OPENED_BY["do"]
_OPENED_BY |= dict.fromkeys(("elif", "else", "fi"), _OPENED_BY["then"])
"""Words that a shell knows only where a command may begin, and the start of their construct."""

_MAY_BEGIN = re.compile(
    r"(?:[;&|(){}\n]|\b(?:do|done|then|elif|else|fi|esac|if|while|until)|!)\s*\Z"
)
_LONGEST_WORD = 10
"""Characters before a word that decide whether a command may begin there."""

_HERE_DOCUMENT = re.compile(r"(?<!<)<<-?[ ]?['\"\\]?[A-Za-z_]")


def changed_command(text: str, joins: Sequence[int]) -> MeaningChange | None:
    """Find how the meaning of a command changed because its lines were joined.

    Args:
        text: the command, with its lines joined.
        joins: the indexes of the blanks that replace line breaks, in order; at least one.
    """
    words = _misplaced_words(text, joins)
    word = next(words, None)
    for special in _SPECIAL.finditer(text):
        while word is not None and word.index < special.start():
            return word
        while word is not None and word.index < special.end():
            word = next(words, None)  # it is inside quotes
        kind = special.lastgroup or ""
        end = len(text) if kind == "document" else special.end()
        at = bisect_right(joins, special.start())
        if kind in _BECOMES and at < len(joins) and joins[at] < end:
            return MeaningChange(special.start(), _BECOMES[kind])
    return word


def changed_value(text: str, joins: Sequence[int]) -> MeaningChange | None:
    """Find how the meaning certainly changed if a joined value becomes part of a command.

    A value may be prose, in which quotes and ``#`` have no meaning; so they are ignored.
    """
    for join in joins:
        start = join
        while start and text[start - 1] == "\\":
            start -= 1
        if (join - start) % 2:
            return MeaningChange(join - 1, _BECOMES["escape"])
    document = _HERE_DOCUMENT.search(text, 0, joins[-1])
    return MeaningChange(document.start(), _BECOMES["document"]) if document else None


def ends_in_quotes(text: str) -> bool:
    """Tell whether a command ends inside quotes."""
    return any(
        special.lastgroup in {"single", "double"} and not _CLOSED.fullmatch(special[0])
        for special in _SPECIAL.finditer(text)
    )


def _misplaced_words(text: str, joins: Sequence[int]) -> Iterator[MeaningChange]:
    """Find words like ``do`` that began a line and are now arguments of the command before."""
    opened: dict[str, int] = {}
    for join in joins:
        word = _WORD.match(text, join)
        if word is None or _MAY_BEGIN.search(text[max(join - _LONGEST_WORD, 0) : join]):
            continue
        name = word[1]
        if name not in opened:
            opening = _OPENED_BY[name].search(text)
            opened[name] = opening.start() if opening else len(text)
        if opened[name] < join:
            yield MeaningChange(
                word.start(1), f'"{name}" becomes an argument of the command before it'
            )
