"""The messages of Pegasus, found in its code -> docs/reference/messages.md.

Every error is an object of an error class, and its text is written where it is raised. What is
filled in is shown as an ellipsis.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "pegasus"

HEAD = """# Messages

This page is generated from the code. It lists the errors of Pegasus, and what each of them says to
do next; `…` stands for what is filled in. An error in a file begins with its place:
`queue.yaml:3:5:`. Other messages of a run are described in [output](output.md).
"""

_TITLES = {
    "cli": "The command line",
    "commands": "Commands",
    "hosts_file": "hosts.yaml",
    "queue_file": "queue.yaml",
    "findings": "queue.yaml",
    "yaml_text": "YAML",
    "template": "Templates",
    "demand": "Demands",
    "launch": "Where and how a command runs",
    "launch_text": "Where and how a command runs",
    "node_sets": "Sets of nodes",
    "destination": "Hosts",
    "transport": "Connections",
    "allocations": "Slurm",
    "allocation": "Slurm",
    "record": "The record",
    "shared_slots": "Shared slots",
    "dispatch": "The run",
    "resuming": "Broadcasts that are continued",
    "share": "The command line",
    "duration": "The command line",
    "retry_causes": "The command line",
    "sub_node_names": "The command line",
}
"""The heading for each room."""

_ERRORS = {"PegasusError", "NodeUnreachable", "UnknownRun", "StaysClosed"}
_FAULTS = {
    "FileFault": 1,
    "TemplateFault": 2,
    "NoDestination": 0,
    "NoNodeSet": 0,
    "Nowhere": 0,
    "EntryNote": 2,
    "_fault": 1,
}
"""Classes of faults with a next step, and which argument says what is wrong."""

_MISTAKE = "Mistake"
"""The class of what is wrong where YAML stops; without a step of its own the text needs quotes."""

_QUOTE = "Quote the text, or use `|` and write it on the next line"

_COMPUTED = "…"


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """A message in the code.

    Attributes:
        room: the module or package.
        what: what is wrong.
        step: what to do, where it is an argument of its own, ``…`` where that is computed; None
            where the class has no such argument.
        place: the file and the line.
    """

    room: str
    what: str
    step: str | None
    place: str


def messages() -> Iterator[Message]:
    """Find the messages."""
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                place = f"{path.relative_to(SOURCE)}:{node.lineno}"
                yield from _of_call(room, _name_of(node.func), node.args, place)


def _name_of(called: ast.expr) -> str:
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def _of_call(room: str, name: str, args: list[ast.expr], place: str) -> Iterator[Message]:
    if name in _ERRORS and args and (what := text_of(args[0])):
        yield Message(room, what, None, place)
    if name == _MISTAKE and (what := text_of(args[0])):
        step = (text_of(args[1]) or _COMPUTED) if len(args) > 1 else _QUOTE
        yield Message(room, f"YAML cannot read …: {what}", step, place)
    first = _FAULTS.get(name)
    if first is not None and len(args) > first and (what := text_of(args[first])):
        step = (text_of(args[first + 1]) or _COMPUTED) if len(args) > first + 1 else ""
        yield Message(room, what, step, place)


def text_of(node: ast.expr) -> str | None:
    """Read a text or a template in the code; None where it is computed elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [text_of(each) if isinstance(each, ast.Constant) else "…" for each in node.values]
        return "".join(part or "" for part in parts)
    return None


def messages_page() -> str:
    """Generate docs/reference/messages.md."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for message in messages():
        if any(character.isalpha() for character in message.what):
            rooms[_TITLES.get(message.room, "Other")].add(_line(message))
    titles = sorted(rooms, key=lambda title: (title == "Other", title))
    return HEAD + "".join(f"\n## {title}\n\n{_listed(rooms[title])}" for title in titles)


def _listed(lines: set[str]) -> str:
    return "".join(f"- {line}\n" for line in sorted(lines))


def _line(message: Message) -> str:
    what = message.what.replace("\n", " ")
    if message.step and message.step != _COMPUTED:
        what = f"{what.rstrip('.')}. → {message.step.rstrip('.')}."
    for sign in ("\\", "<", "*", "_", "[", "]", "{", "}"):
        what = what.replace(sign, f"\\{sign}") if sign in "\\<*_[]" else what
    return " ".join(what.split())
