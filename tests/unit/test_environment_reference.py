"""Promises of docs/reference/environment.md: it has each variable that the code names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from pegasus.cli.settings import ENVIRONMENT_PREFIX
from pegasus.notifier.notification import VARIABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
OURS = re.compile(r"PEGASUS_[A-Z_]+")
ENVIRONMENTS = {"environ", "environment", "os.environ"}
OF_LIBRARIES = {"PATH", "HOME", "TMPDIR", "CYCLOPTS_"}
"""On the page, and read by libraries: the search of programs, ``~``, and temporary files."""


def constants(tree: ast.AST) -> set[str]:
    """Give the texts of a module that are no docstrings or comments, also parts of texts."""
    notes = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in notes
    }


def looked_up(tree: ast.AST) -> set[str]:
    """Give the names that a module looks up in an environment."""
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and ast.unparse(node.func.value).rpartition("._")[2] in ENVIRONMENTS
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def in_code() -> set[str]:
    """Give the names of variables in the code; one that ends with ``_`` is the beginning of one."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= looked_up(tree)
        found |= {name for text in constants(tree) for name in OURS.findall(text)}
        if path.parts[-2:] == ("transport", "environment.py"):
            found |= {text for text in constants(tree) if re.fullmatch("[A-Z]+_[A-Z_]+", text)}
    return found - {"PCI_BUS_ID"}  # a value


def on_the_page() -> set[str]:
    """Give the names on the page."""
    rows = (line for line in PAGE.splitlines() if line.startswith("|"))
    return {
        name for line in rows for name in re.findall(r"`([A-Z][A-Z_]+)…?`", line.rpartition("|")[0])
    }


def test_each_variable_is_on_the_page() -> None:
    """The page has each variable that the code reads or sets, and no other one."""
    example = {"PEGASUS_SLOTS_GPU"}
    assert in_code() - on_the_page() == set()
    assert on_the_page() - in_code() - OF_LIBRARIES - example == set()


def test_what_a_notifier_gets() -> None:
    """The page has the variables of a notifier."""
    assert on_the_page() >= VARIABLES


def test_no_variable_of_a_job_is_a_setting() -> None:
    """Nothing that a job or a notifier gets has the prefix of settings."""
    given = {name for name in in_code() if name.startswith("PEGASUS_")} - {ENVIRONMENT_PREFIX}
    assert len(given) > 10
    assert not any(name.startswith(ENVIRONMENT_PREFIX) for name in given)
    assert not "PEGASUS_SLOTS_".startswith(ENVIRONMENT_PREFIX)
