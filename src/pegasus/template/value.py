"""The values of expressions: the text of a parameter, or any JSON value.

Rule 1: a text renders as it is, every other value as compact JSON; null cannot be rendered.
Rule 2: a value must be valid UTF-8 and JSON: no surrogates, no NaN.
"""

from __future__ import annotations

import json
from typing import TypeAlias

TagValue: TypeAlias = str | float | bool | list[object] | dict[str, object] | None
"""A text, a number, true or false, a list, an object, or null."""


class Refusal(Exception):
    """A fault of a tag, without its position; the caller adds the position.

    Args:
        what: what is wrong, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop; may be empty.
        unknown: the name that is unknown, if that is the fault; else empty.
    """

    def __init__(self, what: str, instead: str = "", unknown: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.instead = instead
        self.unknown = unknown


def truthy(value: TagValue) -> bool:
    """Tell whether a condition is true: all but false, null, 0, ``""``, ``[]`` and ``{}``.

    The texts ``"0"`` and ``"false"`` are not empty, so they are true.
    """
    return bool(value)


def as_text(value: TagValue) -> str:
    """Give the text that is inserted into a command.

    Raises:
        Refusal: the value is null, or not valid JSON.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise Refusal(
            "this tag gives null, and nothing would be printed",
            'Give it something to fall back on: {{ first_non_empty (...) "default" }}',
        )
    return compact(value)


def compact(value: TagValue) -> str:
    """Write a value as JSON without spaces.

    Raises:
        Refusal: JSON cannot represent it (infinity), or it is nested too deep.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise Refusal("this gives a number that JSON cannot write") from None
    except RecursionError:
        raise Refusal("this gives JSON that is nested too deep to be written") from None


def sound(value: TagValue) -> TagValue:
    r"""Give a value if it is valid UTF-8.

    Raises:
        Refusal: it is not: no shell can get a lone surrogate (``"\ud800"`` in JSON).
    """
    text = value if isinstance(value, str) else compact(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal("this gives half a character, which no UTF-8 text can hold") from None
    return value


def named(value: TagValue) -> str:
    """Name a value for a message, without text that may be long or secret."""
    match value:
        case None:
            return "null"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case bool():
            return compact(value)
        case _:
            return f"the number {compact(value)}"
