"""What an expression stands for: a parameter's text, or whatever JSON can say.

Rule 1: a text prints as it is, and everything else as compact JSON; null never prints.
Rule 2: only what UTF-8 and JSON can say goes on: no half characters, no NaN.
"""

from __future__ import annotations

import json
from typing import TypeAlias

TagValue: TypeAlias = str | float | bool | list[object] | dict[str, object] | None
"""A text, a number, true or false, a list, an object, or null."""


class Refusal(Exception):
    """Something that a tag asks for and does not get; whoever knows the place adds it.

    Args:
        what: what is wrong, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop; may be empty.
    """

    def __init__(self, what: str, instead: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.instead = instead


def truthy(value: TagValue) -> bool:
    """Tell whether a condition holds: everything but false, null, 0, ``""``, ``[]`` and ``{}``.

    The texts ``"0"`` and ``"false"`` are texts that are not empty, so they hold.
    """
    return bool(value)


def as_text(value: TagValue) -> str:
    """Give what goes into a command.

    Raises:
        Refusal: there is nothing to print, or nothing that JSON can say.
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
        Refusal: JSON has no words for it (infinity), or it is nested too deep.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise Refusal("this gives a number that JSON cannot write") from None
    except RecursionError:
        raise Refusal("this gives JSON that is nested too deep to be written") from None


def sound(value: TagValue) -> TagValue:
    r"""Pass a value on, if UTF-8 can say it.

    Raises:
        Refusal: it cannot; half a character (``"\ud800"`` in JSON) reaches no shell.
    """
    text = value if isinstance(value, str) else compact(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal("this gives half a character, which no UTF-8 text can hold") from None
    return value


def named(value: TagValue) -> str:
    """Name a value in a message, without showing what may be long or secret."""
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
