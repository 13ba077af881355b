"""What a line break means to a shell: where a command is another one without it.

Rule 1: words may be joined: a long command on several lines is what folding is for. Only what a
shell would do otherwise is found.
Rule 2: this is no parser of sh: it knows quotes, comments, here-documents and a few words.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a joined text makes another thing of.

    Attributes:
        index: where it is in the text.
        what: what becomes of it, as the end of a sentence.
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
"""What is not plain words to a shell, or is a template's tag; in a quote there is nothing else."""

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
"""Words that a shell knows only where a command may begin, and what opens what they belong to."""

_MAY_BEGIN = re.compile(
    r"(?:[;&|(){}\n]|\b(?:do|done|then|elif|else|fi|esac|if|while|until)|!)\s*\Z"
)
_LONGEST_WORD = 10
"""Characters before a word that are looked at, to see whether a command may begin there."""

_HERE_DOCUMENT = re.compile(r"(?<!<)<<-?[ ]?['\"\\]?[A-Za-z_]")


def changed_command(text: str, joins: Sequence[int]) -> Found | None:
    """Find what a shell does otherwise because lines of a command were joined.

    Args:
        text: the command, with its lines joined.
        joins: the places of the blanks in it that stand for line breaks, in order; at least one.
    """
    words = _misplaced_words(text, joins)
    word = next(words, None)
    for special in _SPECIAL.finditer(text):
        while word is not None and word.index < special.start():
            return word
        while word is not None and word.index < special.end():
            word = next(words, None)  # it stands in quotes
        kind = special.lastgroup or ""
        end = len(text) if kind == "document" else special.end()
        at = bisect_right(joins, special.start())
        if kind in _BECOMES and at < len(joins) and joins[at] < end:
            return Found(special.start(), _BECOMES[kind])
    return word


def changed_value(text: str, joins: Sequence[int]) -> Found | None:
    """Find what a shell certainly does otherwise if a joined value becomes part of a command.

    A value may be prose, in which quotes and ``#`` mean nothing; so they are not looked for.
    """
    for join in joins:
        start = join
        while start and text[start - 1] == "\\":
            start -= 1
        if (join - start) % 2:
            return Found(join - 1, _BECOMES["escape"])
    document = _HERE_DOCUMENT.search(text, 0, joins[-1])
    return Found(document.start(), _BECOMES["document"]) if document else None


def ends_in_quotes(text: str) -> bool:
    """Tell whether a command ends before its quotes do."""
    return any(
        special.lastgroup in {"single", "double"} and not _CLOSED.fullmatch(special[0])
        for special in _SPECIAL.finditer(text)
    )


def _misplaced_words(text: str, joins: Sequence[int]) -> Iterator[Found]:
    """Find words like ``do`` that began a line, and now are arguments of what stands before."""
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
            yield Found(word.start(1), f'"{name}" becomes an argument of the command before it')
