"""Enforces one meaning for each name and plain words, in the source and the documents."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from tests.house import modules, names_of, other_modules, prose_of, shown, texts

WORDS_NO_LONGER_USED = (
    "behind itself",
    "came to nothing",
    "comes to nothing",
    "death of pegasus",
    "for ever",
    "hurry",
    "its pegasus died",
    "its pegasus has",
    "mind:",
    "nobody's business",
    "everybody hopes",
    "to its fate",
    "whoever asks",
    "whom it may concern",
)
"""Phrases that have a standard term or a plain word: "permanently", "failed", "kill now",
"warning", "the process that asks"."""

HERE = Path(__file__).resolve()


def doubles() -> dict[str, list[str]]:
    """Return the names that more than one module defines, each with the places."""
    places: defaultdict[str, dict[Path, int]] = defaultdict(dict)
    for path in modules():
        for name, line in names_of(path):
            places[name].setdefault(path, line)
    return {
        name: [f"{shown(path)}:{line}" for path, line in found.items()]
        for name, found in places.items()
        if len(found) > 1
    }


def test_no_name_has_two_meanings() -> None:
    """A class, type alias or constant has its name alone in the source."""
    found = doubles()
    assert not found, "\n".join(f"{name}: {', '.join(at)}" for name, at in sorted(found.items()))


def phrases_of(path: Path) -> list[str]:
    """Return the phrases of WORDS_NO_LONGER_USED that a file contains."""
    prose = prose_of(path)
    return [
        each
        for each in WORDS_NO_LONGER_USED
        if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", prose)
    ]


def test_plain_words() -> None:
    """Comments, docstrings, messages and documents use standard terms."""
    paths = [path for path in (*modules(), *other_modules(), *texts()) if path != HERE]
    found = {shown(path): phrases for path in paths if (phrases := phrases_of(path))}
    assert found == {}
