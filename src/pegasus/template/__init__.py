r"""Renders the template of a command or of a hostname.

Rule 1: a text without ``{{`` is not changed, and a value is inserted as it is: nothing is escaped,
and tags inside a value have no meaning.
Rule 2: rendering gives a text or raises a TemplateFault with a position. It never guesses, and an
unknown name never renders as an empty text.
Rule 3: values are computed when they are needed, so a branch that is not taken may name anything.
Rule 4: chevron tokenizes and renders; ``source`` gives it only text that it handles correctly.
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

CACHED_TEMPLATES = 256  # a queue of a million jobs has few different commands; one may be 100 kB


class Template:
    """A text with tags, parsed and ready to be rendered.

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
        """Render the template.

        Args:
            values: the text for each name.

        Raises:
            TemplateFault: a name is unknown, a helper cannot take its arguments, or the text gets
                longer than any command can be.
        """
        scope = _Scope(self.text, self._parts, values)
        # chevron's stubs require a dict; the renderer only subscripts it.
        return chevron.render(self._tokens, cast("dict[str, Any]", scope), partials_path=None)


@functools.lru_cache(maxsize=CACHED_TEMPLATES)
def parse(text: str) -> Template:
    """Parse a text; the last CACHED_TEMPLATES templates are kept.

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
        """Give the text of a tag; for a branch this scope if it is taken, else False."""
        try:
            part = self._parts[key]
            if isinstance(part, Branch):
                return self if self._taken_in(part.block) is part else False
            return self._text(part)
        except (AttributeError, LookupError, TypeError, ValueError) as bug:
            # chevron would treat these as a missing name and render nothing.
            raise RuntimeError(f"the template {self._template!r} broke at {key}") from bug

    def _text(self, gap: Gap) -> str:
        try:
            value = evaluate(gap.expression, self._values, self._spending, lenient=False)
            return self._spending.print(as_text(value))
        except Refusal as refusal:
            fail(self._template, gap.start, refusal)

    def _taken_in(self, block: list[Branch]) -> Branch | None:
        """Give the branch of a block that is taken, if any; decided once per rendering."""
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
