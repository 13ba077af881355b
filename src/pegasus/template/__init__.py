r"""Fills a command or a hostname in, and refuses what it cannot fill.

Rule 1: a text without ``{{`` comes out as it is, and a value goes in as it is: nothing is
escaped, and nothing that a value holds is read as a tag.
Rule 2: filling in gives a text or raises a TemplateFault with a place; it never guesses, and
never prints an unknown name as nothing.
Rule 3: nothing is worked out before it is needed, so a branch not taken may name the unknown.
Rule 4: chevron tokenizes and renders, and is handed only what it takes well (``source``).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, cast

import chevron

from pegasus.template.expression import evaluate
from pegasus.template.limits import USE_A_SCRIPT, Spending
from pegasus.template.source import Branch, Gap, Part, TemplateSource
from pegasus.template.tags import fail
from pegasus.template.value import Refusal, as_text, truthy

__all__ = ["USE_A_SCRIPT", "Template", "parse"]

CACHED_TEMPLATES = 256  # a queue of a million jobs is made of few commands; one may be 100 kB


class Template:
    """A text with tags, ready to be filled in.

    Args:
        text: the template, as the user wrote it.

    Raises:
        TemplateFault: it cannot be read.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        source = TemplateSource(text)
        self._parts = source.parts
        self._tokens = source.tokens()

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def fill(self, values: Mapping[str, str]) -> str:
        """Put the values in.

        Args:
            values: the text for each name.

        Raises:
            TemplateFault: a name is unknown, a helper cannot take what it is given, or the text
                gets longer than any command can be.
        """
        scope = _Scope(self.text, self._parts, values)
        # chevron's stubs ask for a dict; the renderer only ever subscripts it.
        return chevron.render(self._tokens, cast("dict[str, Any]", scope), partials_path=None)


@functools.lru_cache(maxsize=CACHED_TEMPLATES)
def parse(text: str) -> Template:
    """Give the template for a text, read only once for as long as it is in use.

    Raises:
        TemplateFault: it cannot be read.
    """
    return Template(text)


class _Scope:
    """The mapping in which chevron looks up its keys; a value is computed when it is looked up.

    Keys are those of ``TemplateSource``. So a branch that is not taken is never computed, and may
    name anything.
    """

    def __init__(self, template: str, parts: Mapping[str, Part], values: Mapping[str, str]) -> None:
        self._template = template
        self._parts = parts
        self._values = values
        self._spending = Spending()
        self._taken: dict[int, Branch | None] = {}

    def __getitem__(self, key: str) -> str | bool | _Scope:
        """Give a tag's text; for a branch False, or this scope to go on with."""
        try:
            part = self._parts[key]
            if isinstance(part, Branch):
                return self if self._taken_in(part.block) is part else False
            return self._text(part)
        except (AttributeError, LookupError, TypeError, ValueError) as bug:
            # chevron would take these for a missing name and print nothing.
            raise RuntimeError(f"the template {self._template!r} broke at {key}") from bug

    def _text(self, gap: Gap) -> str:
        try:
            value = evaluate(gap.expression, self._values, self._spending, lenient=False)
            return self._spending.print(as_text(value))
        except Refusal as refusal:
            fail(self._template, gap.start, refusal)

    def _taken_in(self, block: list[Branch]) -> Branch | None:
        """Give the branch that is taken, if any; worked out once a filling."""
        start = block[0].start
        if start not in self._taken:
            self._taken[start] = next(filter(self._holds, block), None)
        return self._taken[start]

    def _holds(self, branch: Branch) -> bool:
        if branch.condition is None:
            return True
        try:
            value = evaluate(branch.condition, self._values, self._spending, lenient=True)
        except Refusal as refusal:
            fail(self._template, branch.start, refusal)
        return truthy(value) is not (branch.word == "unless")
