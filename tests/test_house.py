"""The plan of the house, held: who may import whom, and who may touch the world outside.

Floors go from words at the bottom to the front desk at the top. Imports go down only, and rooms
on one floor do not know each other. Doors are what only named rooms may use.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "pegasus"

FLOORS = {
    "errors": 0,
    "model": 0,
    "colour": 0,
    "duration": 0,
    "buffers": 0,
    "destination": 1,
    "durable": 2,
    "events": 1,
    "grid": 1,
    "lines": 1,
    "ownership": 1,
    "summary": 2,
    "shell_text": 1,
    "template": 1,
    "terminal_text": 1,
    "editor": 2,
    "interrupt": 2,
    "orders": 3,
    "process": 2,
    "standard_streams": 2,
    "writer_thread": 2,
    "rendered": 2,
    "record": 3,
    "screen": 3,
    "yaml_text": 2,
    "dispatch": 3,
    "hosts_file": 3,
    "queue_file": 3,
    "transport": 3,
    "commands": 4,
    "options": 4,
    "cli": 5,
    "__main__": 6,
    "__init__": 0,
}
"""Rooms by floor. ``errors`` stands on ``model`` for its places, the one stair within a floor."""

STAIRS = {("errors", "model"), ("__init__", "errors")}

DOORS: dict[str, set[str]] = {
    "yaml": {"yaml_text", "hosts_file", "queue_file"},
    "filelock": {"queue_file"},
    "fcntl": {"process", "queue_file", "record"},
    "chevron": {"template"},
    "jmespath": {"template"},
    "pluralizer": {"template"},
    "textcase": {"template"},
    "cyclopts": {"cli", "options"},
    "rich": {"screen", "terminal_text", "commands"},
    "signal": {"interrupt", "process", "model", "editor", "queue_file"},
    "subprocess": {"process", "editor"},
    "termios": {"editor"},
    "random": {"dispatch"},
    "secrets": {"transport"},
}
"""Modules that stand for the outside, and the rooms that may use them. ``model`` and ``queue_file``
ask ``signal`` for the names of signals, and send none."""

EXITS = {"cli", "__main__"}
"""Rooms that may end the process."""

FILE_LIMIT = 400
FUNCTION_LIMIT = 60


def modules() -> list[Path]:
    """Give every module of Pegasus."""
    return sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    """Give the room that a module stands in: the top-level module or package."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Give the full names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module == "pegasus":
                yield from (f"pegasus.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    """A room imports from lower floors only, and never from its own."""
    room = room_of(path)
    assert room in FLOORS, f"{room} has no floor: give it one, here and in docs/why/house.md"
    for name in imports(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top != "pegasus" or other in {"", room, "__version__"}:
            continue
        allowed = FLOORS[other] < FLOORS[room] or (room, other) in STAIRS
        assert allowed, f"{room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_doors(path: Path) -> None:
    """What stands for the outside is used by the rooms that are its doors, and by no other."""
    room = room_of(path)
    for name in imports(path):
        top = name.partition(".")[0]
        if top in DOORS:
            assert room in DOORS[top], f"{room} uses {top}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_who_prints_and_exits(path: Path) -> None:
    """Nobody prints; what is said goes through the screen or a command's own output."""
    room = room_of(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "print", f"{path}:{node.lineno} prints"
            if called in {"sys.exit", "exit", "os._exit", "quit"}:
                assert room in EXITS, f"{path}:{node.lineno} ends the process"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_sizes(path: Path) -> None:
    """A file stays under 400 lines, a function under 60, and each module says what it is for."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LIMIT, f"{path}: split it by noun"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} does not say what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LIMIT, f"{path}:{node.lineno} {node.name}: {lines} lines"


def test_no_drawer_for_everything() -> None:
    """There is no room for what has no noun."""
    for path in modules():
        assert path.stem not in {"utils", "helper", "common", "misc", "util"}


def test_the_plan_is_the_one_in_the_docs() -> None:
    """docs/why/house.md names every room."""
    plan = (SOURCE.parent.parent / "docs" / "why" / "house.md").read_text(encoding="utf-8")
    for room in {room_of(path) for path in modules()} - {"__init__", "__main__"}:
        assert f"`{room}`" in plan, f"docs/why/house.md does not name {room}"
