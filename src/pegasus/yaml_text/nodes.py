"""The nodes of a list of entries: texts, lists of texts, and mappings, with positions.

Rule 1: a text is what the user typed, never a value that YAML converts it to.
Rule 2: ``start`` and ``end`` are indexes into the text of the SourceText that the nodes came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text.

    Attributes:
        text: its content.
        start: its start, including its quotes or its ``|``.
        end: its end; for a block scalar after its last line that is not blank.
        style: empty for a plain scalar, else ``'``, ``"``, ``|`` or ``>``.
    """

    text: str
    start: int
    end: int
    style: str

    @property
    def block(self) -> bool:
        """Whether it is written as a block, below a ``|`` or ``>``."""
        return self.style in {"|", ">"}


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of texts; ``flow`` if it is written in brackets."""

    values: tuple[Scalar, ...]
    start: int
    end: int
    flow: bool


NodeValue: TypeAlias = Scalar | Listing
"""An ordinary value: a text, or a list of texts."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Names with their values, in the order written; ``flow`` if it is written in braces.

    A value is itself a mapping only below the names that ``Words.sections`` permits.
    """

    pairs: tuple[tuple[Scalar, PairValue], ...]
    start: int
    end: int
    flow: bool


PairValue: TypeAlias = NodeValue | Mapping
"""The value of a name in a mapping."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the list in a file.

    Attributes:
        node: its content.
        start: the index of its dash, or in a list in brackets of its first character.
        end: the index after its last character.
    """

    node: Scalar | Mapping
    start: int
    end: int


def texts(value: NodeValue) -> tuple[str, ...]:
    """Give the texts of a value: a text is a list of one."""
    return tuple(scalar.text for scalar in scalars(value))


def scalars(value: PairValue) -> tuple[Scalar, ...]:
    """Give the scalars of a value: a text is a list of one, a mapping has names and values."""
    if isinstance(value, Mapping):
        return tuple(leaves(value))
    return (value,) if isinstance(value, Scalar) else value.values


def leaves(node: Scalar | Mapping) -> Iterator[Scalar]:
    """Give all scalars of a node in the order of the file."""
    if isinstance(node, Scalar):
        yield node
        return
    for name, value in node.pairs:
        yield name
        if isinstance(value, Listing):
            yield from value.values
        else:
            yield from leaves(value)
