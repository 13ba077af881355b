"""Reads the code blocks of the documents, and the comment above each that says what runs it."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GUIDES = ROOT / "docs" / "how-to"
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
MARK = re.compile(r"<!-- (?P<kind>run by|not run): (?P<words>.+) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    Attributes:
        page: the document.
        line: of its first fence, from 1.
        language: the word after the fence.
        text: what is in it, without its indentation.
        kind: "run by", "not run", or empty where nothing is said.
        words: the test that runs it, or the reason why none does.
    """

    page: Path
    line: int
    language: str
    text: str
    kind: str
    words: str

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks(page: Path) -> list[Block]:
    """Return the code blocks of a document, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        above = text[: fence.start()].rstrip("\n").rpartition("\n")[2]
        mark = MARK.fullmatch(above.strip())
        kind, words = (mark["kind"], mark["words"]) if mark else ("", "")
        line = text.count("\n", 0, fence.start()) + 1
        inside = textwrap.dedent(fence["text"])
        found.append(Block(page, line, fence["language"], inside, kind, words))
    return found
