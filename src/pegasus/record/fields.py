"""The fields of a line of a journal, each checked for its type and range.

Rule 1: a value that is returned can be shown, counted and written as JSON again. Any other JSON
value is a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

Data: TypeAlias = dict[str, Any]
T = TypeVar("T")

LARGEST = 2**53
"""The largest integer that every reader of JSON represents exactly."""

LATEST_TIME = 250_000_000_000.0
"""Seconds since the epoch; up to then the year has four digits in each time zone."""

LONGEST = 1e11
"""Seconds, about three thousand years: no command runs longer."""


def text(data: Data, key: str) -> str:
    """Return a text.

    Raises:
        ValueError: the field is missing or has another type.
    """
    value = data.get(key)
    if type(value) is not str:
        raise ValueError(f"{key} is not a text")
    return value


def flag(data: Data, key: str) -> bool:
    """Return a Boolean; see ``text``."""
    value = data.get(key)
    if type(value) is not bool:
        raise ValueError(f"{key} is neither true nor false")
    return value


def whole(data: Data, key: str, least: int = 0, most: int = LARGEST) -> int:
    """Return an integer in a range; see ``text``."""
    value = data.get(key)
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{key} is not an integer in its range")
    return value


def seconds(data: Data, key: str, most: float = LONGEST) -> float:
    """Return a duration in seconds; see ``text``."""
    value = data.get(key)
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= most:
        raise ValueError(f"{key} is not a duration")
    return value


def moment(data: Data, key: str) -> float:
    """Return a time in seconds since the epoch; see ``text``."""
    return seconds(data, key, LATEST_TIME)


def texts(data: Data, key: str) -> tuple[tuple[str, str], ...]:
    """Return names and texts, in their order; see ``text``."""
    value = part(data, key)
    for each in value.values():
        if type(each) is not str:
            raise ValueError(f"{key} contains something else than texts")
    return tuple(value.items())


def part(data: Data, key: str) -> Data:
    """Return an object; see ``text``."""
    value = data.get(key)
    if type(value) is not dict:
        raise ValueError(f"{key} is not an object")
    return value


def parts(data: Data, key: str) -> list[Data]:
    """Return a list of objects; see ``text``."""
    value = data.get(key)
    if type(value) is not list or not all(type(each) is dict for each in value):
        raise ValueError(f"{key} is not a list of objects")
    return value


def strings(data: Data, key: str) -> list[str]:
    """Return a list of texts; see ``text``."""
    value = data.get(key)
    if type(value) is not list or not all(type(each) is str for each in value):
        raise ValueError(f"{key} is not a list of texts")
    return value


def maybe(read: Callable[[Data, str], T], data: Data, key: str) -> T | None:
    """Return a field as another function reads it, None where it is null; see ``text``."""
    return None if data.get(key, "") is None else read(data, key)
