"""YAML whose scalars are the user's own text, with places.

Rule 1: this room knows lists of texts and mappings; what a command or a host is, others know.
Rule 2: no text is converted, dropped or merged: what could be is refused, with its place.
"""

from __future__ import annotations

from pegasus.yaml_text.folding import folded, refuse_changed
from pegasus.yaml_text.nodes import (
    Item,
    Listing,
    Mapping,
    NodeValue,
    Scalar,
    leaves,
    scalars,
    texts,
)
from pegasus.yaml_text.reading import ListReader, Words
from pegasus.yaml_text.source import BREAKS, SourceText, encoded
from pegasus.yaml_text.writing import literal, one_line, quoted

__all__ = [
    "BREAKS",
    "Item",
    "ListReader",
    "Listing",
    "Mapping",
    "NodeValue",
    "Scalar",
    "SourceText",
    "Words",
    "encoded",
    "folded",
    "leaves",
    "literal",
    "one_line",
    "quoted",
    "refuse_changed",
    "scalars",
    "texts",
]
