"""Reads the source files of Pegasus, its tests and its benchmarks for ``test_house*``.

Those modules state the rules of the architecture. This one knows files and syntax trees only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pegasus"


def modules() -> list[Path]:
    """List the modules of Pegasus."""
    return sorted(SOURCE.rglob("*.py"))


def other_modules() -> list[Path]:
    """List the modules of the tests and benchmarks, and noxfile.py."""
    folders = (ROOT / "tests", ROOT / "benchmarks")
    return sorted([ROOT / "noxfile.py", *(path for f in folders for path in f.rglob("*.py"))])


def texts() -> list[Path]:
    """List the documents of the repository."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def shown(path: Path) -> str:
    """Return a path as messages and lists of exceptions contain it: relative to the repository."""
    return path.relative_to(ROOT).as_posix()


def in_source(path: Path) -> str:
    """Return the path of a module of Pegasus, relative to the package."""
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    """Return the room of a module: the top-level module or package."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the full names of the modules that a module imports, anywhere in its code.

    A submodule that is imported from its package counts as itself: ``from pegasus.record import
    folder`` gives ``pegasus.record.folder``.
    """
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{shown(path)}:{node.lineno}: relative import"
            assert node.module is not None
            inside = [name for name in (a.name for a in node.names) if is_part(node.module, name)]
            yield from (f"{node.module}.{name}" for name in inside)
            if len(inside) < len(node.names):
                yield node.module


def is_part(package: str, name: str) -> bool:
    """Return whether a name that is imported from one of our packages is a module of it."""
    top, *rest = package.split(".")
    if top not in {"pegasus", "tests", "benchmarks"}:
        return False
    folder = SOURCE.joinpath(*rest) if top == "pegasus" else ROOT.joinpath(top, *rest)
    return (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()


def is_internal(module: str) -> bool:
    """Return whether a module of Pegasus is a part of a package, and not its public interface."""
    top, *rest = module.split(".")
    return top == "pegasus" and len(rest) > 1 and rest[0] != "commands"


def names_of(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the classes, type aliases and constants of a module, and their lines.

    Leading underscores are removed: a private name means one thing, too.
    """
    for node in _statements(tree_of(path).body):
        found: list[str] = []
        if isinstance(node, ast.ClassDef):
            found = [node.name]
        elif isinstance(node, ast.Assign):
            found = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found = [node.target.id]
        for name in found:
            bare = name.lstrip("_")
            is_class = isinstance(node, ast.ClassDef)
            if not name.startswith("__") and (is_class or bare[:1].isupper()):
                yield bare, node.lineno


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, also those under an ``if`` or ``try``."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _statements([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handlers = [inner for handler in node.handlers for inner in handler.body]
            yield from _statements([*node.body, *handlers, *node.orelse, *node.finalbody])


def prose_of(path: Path) -> str:
    """Return the text of a file on one line, in lower case, without the marks of comments.

    A phrase that a line break divides is found in it.
    """
    text = path.read_text(encoding="utf-8").lower()
    return re.sub(r"\s+(#\s+)?", " ", text)
