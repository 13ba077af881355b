"""The fields of a line of a journal, each of the type that its place needs.

Rule 1: whatever JSON stands in a field, the value that comes out is one that can be shown, counted
and written as JSON again; anything else is a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

Data: TypeAlias = dict[str, Any]
T = TypeVar("T")

LARGEST = 2**53
"""The largest whole number that every reader of JSON takes as it is."""

LATEST = 250_000_000_000.0
"""Seconds since the epoch up to which each time zone has a date of four digits for its year."""

LONGEST = 1e11
"""Seconds, some three thousand years: no command takes longer."""


def text(data: Data, key: str) -> str:
    """Give a text.

    Raises:
        ValueError: the field is missing, or something else.
    """
    value = data.get(key)
    if type(value) is not str:
        raise ValueError(f"{key} is no text")
    return value


def flag(data: Data, key: str) -> bool:
    """Give a truth value; see ``text``."""
    value = data.get(key)
    if type(value) is not bool:
        raise ValueError(f"{key} is neither true nor false")
    return value


def whole(data: Data, key: str, least: int = 0, most: int = LARGEST) -> int:
    """Give a whole number in a range; see ``text``."""
    value = data.get(key)
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{key} is no such number")
    return value


def seconds(data: Data, key: str, most: float = LONGEST) -> float:
    """Give a length of time; see ``text``."""
    value = data.get(key)
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= most:
        raise ValueError(f"{key} is no length of time")
    return value


def moment(data: Data, key: str) -> float:
    """Give a time in seconds since the epoch; see ``text``."""
    return seconds(data, key, LATEST)


def texts(data: Data, key: str) -> tuple[tuple[str, str], ...]:
    """Give names and texts, in their order; see ``text``."""
    value = part(data, key)
    return tuple((name, text(value, name)) for name in value)


def part(data: Data, key: str) -> Data:
    """Give an object; see ``text``."""
    value = data.get(key)
    if type(value) is not dict:
        raise ValueError(f"{key} is no object")
    return value


def parts(data: Data, key: str) -> list[Data]:
    """Give a list of objects; see ``text``."""
    value = data.get(key)
    if type(value) is not list or not all(type(each) is dict for each in value):
        raise ValueError(f"{key} is no list of objects")
    return value


def maybe(read: Callable[[Data, str], T], data: Data, key: str) -> T | None:
    """Give a field as another function reads it, None where it is null; see ``text``."""
    return None if data.get(key, "") is None else read(data, key)
