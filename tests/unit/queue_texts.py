"""Queue files as people write them: every style, with comments and blank lines anywhere.

Each comment is written once and has a number, so that a test can tell whether it still stands there
once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

WORDS = [
    "echo",
    "hi",
    "1e-4",
    "010",
    "yes",
    "null",
    "~",
    "x=1",
    "a:b",
    "--flag",
    "#no",
    "über",
    "🐎",
]
BROKEN_UP = [
    "a: b",
    "- x",
    "{{ y }}",
    "it's",
    'say "hi"',
    "back\\slash",
    " edge ",
    "# no comment",
    "*.sh",
]
DEMANDS = ["needs", "where", "at_most"]
LINES = ["for x in 1 2; do", "  echo $x  # not a comment", "done", "", "a: b", "- c", "\ttab"]


@dataclass(frozen=True)
class QueueText:
    """A file, and the text of each of its entries with the comments and blanks before it."""

    head: str
    chunks: tuple[str, ...]
    tail: str
    newline: str
    bom: bool

    @property
    def data(self) -> bytes:
        return b"\xef\xbb\xbf" * self.bom + self.bytes_from(0, self.head)

    def bytes_from(self, index: int, head: str = "") -> bytes:
        text = head + "".join(self.chunks[index:]) + self.tail
        return text.replace("\n", self.newline).encode()


def jobs_of(data: bytes) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Say by PyYAML's own means which jobs a file stands for."""
    entries = yaml.load(data.decode("utf-8-sig"), Loader=yaml.BaseLoader) or []
    return [job for entry in entries for job in _product(entry)]


def _product(entry: Any) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    if isinstance(entry, str):
        entry = {"command": entry}
    lists = {
        k: v if isinstance(v, list) else [v] for k, v in entry.items() if not isinstance(v, dict)
    }
    commands = lists.pop("command")
    for command, *values in itertools.product(commands, *lists.values()):
        yield command, tuple(zip(lists, values, strict=True))


class _Writer:
    """Writes one random file; ``draw`` decides everything."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.comments = itertools.count()

    def maybe(self) -> bool:
        return self.draw(st.booleans())

    def comment(self) -> str:
        return f"# c{next(self.comments)}: 'x, [ -"

    def end(self) -> str:
        """The end of a line: sometimes blanks, sometimes a comment."""
        return self.draw(st.sampled_from(["", "", "", " ", "  %"])).replace("%", self.comment())

    def between(self, indent: str) -> str:
        """Lines between others."""
        kinds = self.draw(st.lists(st.sampled_from(["", indent + "%", "%", "   "]), max_size=2))
        return "".join(f"{kind.replace('%', self.comment())}\n" for kind in kinds)

    def inline(self, *, flow: bool) -> str:
        """A text on one line."""
        kind = self.draw(st.sampled_from(["plain", "single", "double"]))
        if kind == "plain":
            words = [word for word in WORDS if not flow or word not in {"a:b", "#no"}]
            text = " ".join(self.draw(st.lists(st.sampled_from(words), min_size=1, max_size=3)))
            return "x" + text if text[0] in "#-" else text.replace(" #", "#")
        text = self.draw(st.sampled_from(BROKEN_UP + WORDS))
        if kind == "single":
            return "'" + text.replace("'", "''") + "'"
        return (
            '"'
            + text.replace("\\", "\\\\").replace('"', '\\"')
            + self.draw(st.sampled_from(["", "\\n", "\\t", "\\u2028", "\\x07"]))
            + '"'
        )

    def folded(self, indent: str) -> str:
        """A text on several lines that YAML makes one of."""
        return self.draw(
            st.sampled_from(
                [
                    f"echo one\n{indent}  two{self.end()}\n",
                    f"'echo one\n\n{indent}  # two'{self.end()}\n",
                    f'"echo one \\\n{indent}   # two"{self.end()}\n',
                ]
            )
        )

    def block(self, indent: str) -> str:
        """A block scalar, its lines further right than ``indent``."""
        sign = self.draw(st.sampled_from(["|", ">", "|-", "|+", ">-", "|2", ">2-"]))
        # Folded, a "done" would become an argument, and is refused.
        kinds = [line for line in LINES if line != "done"] if ">" in sign else LINES
        lines = self.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
        body = ["echo begin", *lines]
        deeper = indent + ("  " if "2" in sign else self.draw(st.sampled_from(["  ", "    ", " "])))
        blanks = "\n" * self.draw(st.integers(0, 2))
        return (
            f"{sign}{self.end()}\n"
            + "".join(f"{deeper}{line}\n" if line else "\n" for line in body)
            + blanks
        )

    def text(self, indent: str) -> str:
        """A text up to the end of its last line."""
        kind = self.draw(st.sampled_from(["inline", "inline", "folded", "block"]))
        if kind == "inline":
            return self.inline(flow=False) + self.end() + "\n"
        return self.folded(indent) if kind == "folded" else self.block(indent)

    def gap(self, indent: str) -> str:
        """What may stand between the parts of a list in brackets."""
        return self.draw(st.sampled_from(["", " ", " ", f" %\n{indent}  "])).replace(
            "%", self.comment()
        )

    def brackets(self, indent: str) -> str:
        size = self.draw(st.integers(1, 3))
        inside = self.joined([self.inline(flow=True) for _ in range(size)], indent)
        return f"[{inside}{self.draw(st.sampled_from(['', ',', ' ']))}]"

    def section(self, name: str, indent: str) -> str:
        """What follows a key that demands something, up to the end of its last line."""
        pairs = self.demanded(name, indent)
        if self.maybe():
            return f" {{{self.joined(pairs, indent)}}}{self.end()}\n"
        deeper = indent + self.draw(st.sampled_from([" ", "  "]))
        lines = [f"{self.between(deeper)}{deeper}{pair}{self.end()}\n" for pair in pairs]
        return self.end() + "\n" + "".join(lines)

    def demanded(self, name: str, indent: str) -> list[str]:
        """The names and values below a key that demands something."""
        if name == "needs":
            return [f"{pool}: {self.draw(st.integers(0, 9))}" for pool in ("gpu", "'cpu'")]
        if name == "at_most":
            of = ["of: 'a b'"] if self.maybe() else []
            return [*of, f"running: {self.draw(st.integers(1, 9))}"]
        values = [f"model: {self.brackets(indent)}", f"'a b': {self.inline(flow=True)}"]
        return values[self.draw(st.integers(0, 1)) :]

    def value(self, name: str, indent: str) -> str:
        """What follows a name and its colon, up to the end of its last line."""
        if name in DEMANDS:
            return self.section(name, indent)
        kind = self.draw(st.sampled_from(["text", "brackets", "dashes"]))
        if kind == "text":
            return " " + self.text(indent)
        if kind == "brackets":
            return f" {self.brackets(indent)}{self.end()}\n"
        dash = indent + self.draw(st.sampled_from(["", "  "]))
        lines = [
            self.between(dash) + dash + "- " + self.text(dash)
            for _ in range(self.draw(st.integers(1, 3)))
        ]
        return self.end() + "\n" + "".join(lines)

    def names(self) -> list[str]:
        names = self.draw(
            st.lists(st.sampled_from(["x", "lr", "'a b'", '"über"']), max_size=3, unique=True)
        )
        demands = st.lists(st.sampled_from(DEMANDS), max_size=2, unique=True)
        for name in ("command", *(self.draw(demands) if self.maybe() else [])):
            names.insert(self.draw(st.integers(0, len(names))), name)
        return names

    def braces(self, indent: str) -> str:
        return "{" + self.joined([self.pair(name, indent) for name in self.names()], indent) + "}"

    def pair(self, name: str, indent: str) -> str:
        """A name and its value in braces."""
        if name in DEMANDS:
            return f"{name}: {{{self.joined(self.demanded(name, indent), indent)}}}"
        return f"{name}: {self.brackets(indent) if self.maybe() else self.inline(flow=True)}"

    def joined(self, parts: list[str], indent: str) -> str:
        """Put commas between parts, and gaps around them."""
        first, *others = parts
        return (
            self.gap(indent)
            + first
            + "".join(f"{self.gap(indent)},{self.gap(indent)} {part}" for part in others)
        )

    def entry(self, indent: str) -> str:
        kind = self.draw(st.sampled_from(["text", "mapping", "mapping", "braces"]))
        if kind == "text":
            return f"{indent}- {self.text(indent)}"
        if kind == "braces":
            return f"{indent}- {self.braces(indent)}{self.end()}\n"
        inner = indent + "  "
        pairs = [f"{name}:{self.value(name, inner)}" for name in self.names()]
        first, *others = pairs
        return f"{indent}- {first}" + "".join(self.between(inner) + inner + one for one in others)

    def in_brackets(self) -> tuple[str, list[str], str]:
        """A whole file as a list in brackets."""
        entries = []
        size = self.draw(st.integers(1, 4))
        for i in range(size):
            item = self.braces("") if self.maybe() else self.inline(flow=True)
            entries.append(item + ("," if i < size - 1 else "") + self.gap("") + "\n")
        return "[ \n", entries, "]" + self.end() + "\n"

    def in_block(self) -> tuple[str, list[str], str]:
        indent = self.draw(st.sampled_from(["", "", "  "]))
        entries = [self.entry(indent) for _ in range(self.draw(st.integers(0, 4)))]
        return "", entries, ""


@st.composite
def queue_texts(draw: st.DrawFn) -> QueueText:
    """Any valid queue file; the chunk of an entry has the comments before it in front of it."""
    writer = _Writer(draw)
    flow = draw(st.integers(0, 4)) == 0
    opening, entries, closing = writer.in_brackets() if flow else writer.in_block()
    head = draw(st.sampled_from(["", "# head\n\n", "---\n", "%YAML 1.1\n---  # head\n"])) + opening
    chunks = tuple(("" if flow else writer.between("")) + entry for entry in entries)
    tail = closing + writer.between("")
    if draw(st.booleans()) and not tail and chunks:
        chunks = (*chunks[:-1], chunks[-1].rstrip("\n"))
    return QueueText(head, chunks, tail, draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans()))
