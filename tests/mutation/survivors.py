"""The survivors that are explained: ``survivors.toml``.

Each entry names a file, a line of it, what the line becomes, and why no test can tell.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from tests.mutation.mutants import Mutant

FILE = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, slots=True)
class Survivor:
    """An entry of the file."""

    file: str
    line: str
    becomes: str
    reason: str

    def explains(self, mutant: Mutant) -> bool:
        """Return whether this entry describes a mutant."""
        return (self.file, self.line, self.becomes) == (mutant.file, mutant.line, mutant.becomes)


def read(text: str) -> list[Survivor]:
    """Read the entries.

    Raises:
        ValueError: an entry lacks a key, has an empty one, or has an unknown one.
    """
    found = []
    for number, entry in enumerate(tomllib.loads(text).get("survivor", []), start=1):
        if entry.keys() != {each.name for each in fields(Survivor)} or not entry["reason"].strip():
            raise ValueError(
                f'{FILE.name}: entry {number}: write "file", "line", "becomes" and "reason"'
            )
        found.append(Survivor(**entry))
    return found


def about_nothing(survivors: Iterable[Survivor], mutants: Iterable[Mutant]) -> list[Survivor]:
    """Return the entries without a mutant: the line has changed, or never existed."""
    there = {(each.file, each.line, each.becomes) for each in mutants}
    return [each for each in survivors if (each.file, each.line, each.becomes) not in there]
