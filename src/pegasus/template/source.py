"""The text for chevron: each tag of the user is replaced by a key.

Rule 1: no name, quote, dot or brace of the user reaches the parser of chevron.
Rule 2: each branch of a block becomes a section beside the others, with any number of
``{{else if}}``; the block decides which of them is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from chevron.tokenizer import tokenize

from pegasus.template.expression import LITERAL_HINT, Expression
from pegasus.template.tags import Close, Comment, Else, Open, Print, Tag, fail, scan
from pegasus.template.value import Refusal


@dataclass(frozen=True, slots=True)
class Gap:
    """A tag that renders a value: where it begins, and its expression."""

    start: int
    expression: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """The text between two tags of a block.

    Attributes:
        start: where the tag before it begins.
        word: ``if``, or ``unless``, which negates the condition.
        condition: None for ``{{else}}``.
        block: all branches of the block, in the order written.
    """

    start: int
    word: str
    condition: Expression | None
    block: list[Branch] = field(repr=False)


Part: TypeAlias = Gap | Branch

_GUARD_NAME = "guard"
_GUARD_TAG = f"{{{{&{_GUARD_NAME}}}}}"
"""Follows each tag of a block, and renders as nothing.

chevron removes the line of a tag that is alone on it, but it does not count a tab as white space
and does not know ``{{else}}``. With the guard no tag is alone on its line, and ``tags`` applies the
rule of Pegasus.
"""


class TemplateSource:
    """The text that chevron tokenizes, and the part for each key in it."""

    def __init__(self, text: str) -> None:
        self.parts: dict[str, Part] = {}
        self._template = text
        self._literals: dict[str, str] = {_GUARD_NAME: ""}
        self._pieces: list[str] = []
        self._open: list[tuple[str, Branch]] = []
        texts, tags = scan(text)
        for before, tag in zip(texts, tags, strict=False):
            self._add_text(before)
            self._add_tag(tag)
        self._add_text(texts[-1])
        if self._open:
            opening = self._open[-1][1].block[0]
            self._fail(opening.start, "this block is never closed", self._closing_hint())

    def tokens(self) -> list[tuple[str, str]]:
        """Tokenize, and replace the keys of texts that chevron would misread by these texts."""
        tokens = tokenize("".join(self._pieces))
        placed = (
            ("literal", self._literals[key])
            if kind == "no escape" and key in self._literals
            else (kind, key)
            for kind, key in tokens
        )
        return [token for token in placed if token != ("literal", "")]

    def _add_text(self, text: str) -> None:
        """Add a text; as a key if chevron would see a tag in it or at its end."""
        if "{{" in text or text.endswith("{"):
            key = f"text{len(self._literals)}"
            self._literals[key] = text
            text = f"{{{{&{key}}}}}"
        self._pieces.append(text)

    def _add_tag(self, tag: Tag) -> None:
        match tag.meaning:
            case Comment():
                pass
            case Print(expression):
                self._pieces.append(f"{{{{&{self._key(Gap(tag.start, expression))}}}}}")
            case Open(word, condition):
                self._begin(Branch(tag.start, word, condition, []))
            case Else(word, condition):
                self._begin(Branch(tag.start, word, condition, self._left_for(tag.start)))
            case Close(word):
                self._close(tag.start, word)

    def _key(self, part: Part) -> str:
        key = f"part{len(self.parts)}"
        self.parts[key] = part
        return key

    def _begin(self, branch: Branch) -> None:
        branch.block.append(branch)
        key = self._key(branch)
        self._open.append((key, branch))
        self._pieces.append(f"{{{{#{key}}}}}{_GUARD_TAG}")

    def _end(self) -> None:
        key, _branch = self._open.pop()
        self._pieces.append(f"{{{{/{key}}}}}{_GUARD_TAG}")

    def _left_for(self, start: int) -> list[Branch]:
        """End the branch before an ``{{else}}``, and give its block."""
        if not self._open:
            hint = "It belongs between {{#if x}} and {{/if}}"
            self._fail(start, "{{else}} stands in no block", hint)
        branch = self._open[-1][1]
        if branch.condition is None:
            self._fail(start, "this block has had its {{else}} already", self._closing_hint())
        self._end()
        return branch.block

    def _close(self, start: int, word: str) -> None:
        if not self._open:
            self._fail(start, f"{{{{/{word}}}}} closes no block", LITERAL_HINT)
        opened = self._open[-1][1].block[0].word
        if word != opened:
            what = f"{{{{/{word}}}}} cannot close {{{{#{opened}}}}}"
            self._fail(start, what, self._closing_hint())
        self._end()

    def _closing_hint(self) -> str:
        return f"Close it with {{{{/{self._open[-1][1].block[0].word}}}}}"

    def _fail(self, start: int, what: str, instead: str) -> NoReturn:
        fail(self._template, start, Refusal(what, instead))
