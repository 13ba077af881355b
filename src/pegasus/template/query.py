"""JMESPath with a limit to its work.

Rule 1: this module is loaded by the first query, because most runs have none.
Rule 2: each step counts with the size of its result, so that a short expression cannot create a
large result from little data.
"""

from __future__ import annotations

from typing import Any

import jmespath
from jmespath import functions, parser, visitor

from pegasus.template.limits import refuse_growth
from pegasus.template.value import Refusal, TagValue

MOST_WORK = 2_000_000
"""Values and characters that a query may read or create; a large document allows more."""

WORK_FOR_EACH = 20
"""Times that a query may read each value and character of the document."""


def search(expression: str, data: TagValue) -> TagValue:
    """Evaluate an expression.

    Raises:
        Refusal: the expression cannot be parsed, fails, or creates too much data.
    """
    try:
        parsed = parser.Parser().parse(expression)
        found: TagValue = _Interpreter(MOST_WORK + WORK_FOR_EACH * _weight(data)).visit(
            parsed.parsed, data
        )
    # jmespath's own errors are ValueErrors; its functions and slices raise the others.
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        words = " ".join(str(error).split())
        raise Refusal(f"the JMESPath expression fails: {words}") from None
    return found


class _Functions(functions.Functions):
    """The functions of JMESPath; only ``join`` creates more than its arguments have."""

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, texts: list[str]) -> str:
        given = len(separator) + sum(map(len, texts))
        refuse_growth("join", len(separator) * len(texts) + sum(map(len, texts)), given)
        return separator.join(texts)


class _Interpreter(visitor.TreeInterpreter):
    """The interpreter of JMESPath, with a limit to its work."""

    def __init__(self, work: int) -> None:
        super().__init__(jmespath.Options(custom_functions=_Functions()))
        self._left = work

    def visit(self, node: Any, *args: object, **kwargs: object) -> TagValue:  # noqa: ANN401
        found: TagValue = super().visit(node, *args, **kwargs)
        self._left -= _weight(found, self._left)
        if self._left < 0:
            raise Refusal(
                "this JMESPath expression makes too much of its data",
                "Select less, or put the result into a file",
            )
        return found


def _weight(value: object, most: float = float("inf")) -> int:
    """Count the values in a value, and their characters; stop above ``most``."""
    weight = 0
    waiting = [value]
    while waiting and weight <= most:
        each = waiting.pop()
        weight += 1
        if isinstance(each, str):
            weight += len(each)
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            weight += sum(map(len, each))
            waiting += each.values()
    return weight
