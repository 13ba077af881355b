"""YAML whose scalars are exactly the text that the user wrote, with positions.

Rule 1: this package knows lists of texts and mappings; it does not know commands or hosts.
Rule 2: no text is converted, dropped or merged; where YAML would do that, there is a fault with its
position.
"""

from __future__ import annotations

from pegasus.yaml_text.composing import Words
from pegasus.yaml_text.folding import folded, refuse_changed
from pegasus.yaml_text.nodes import (
    Item,
    Listing,
    Mapping,
    NodeValue,
    PairValue,
    Scalar,
    leaves,
    scalars,
    texts,
)
from pegasus.yaml_text.reading import ListReader
from pegasus.yaml_text.source import BREAKS, SourceText, encoded
from pegasus.yaml_text.writing import literal, one_line, quoted

__all__ = [
    "BREAKS",
    "Item",
    "ListReader",
    "Listing",
    "Mapping",
    "NodeValue",
    "PairValue",
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
