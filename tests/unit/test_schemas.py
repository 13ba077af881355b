"""Promises of the JSON Schemas: what Pegasus accepts they accept; a wrong structure they refuse."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pegasus.commands.init import STARTER_HOSTS, STARTER_QUEUE
from pegasus.hosts_file.slurm import _OWN_OPTIONS
from pegasus.schemas import SchemaName
from tests.unit.editors import NAMES, SCHEMAS, file_faults, schema_faults

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_an_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """`slurm: {}` has nodes."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "c[1-2]")


def documents() -> list[Path]:
    """List the pages with examples."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> list[str]:
    """Give the YAML of the documents, of the examples and of the starter files."""
    fence = re.compile(r"^( *)```ya?ml\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    shown = [
        re.sub(f"^{found[1]}", "", found[2], flags=re.MULTILINE)
        for page in documents()
        for found in fence.finditer(page.read_text(encoding="utf-8"))
    ]
    files = sorted((ROOT / "examples").rglob("*.yaml"))
    return [
        *shown,
        *(each.read_text(encoding="utf-8") for each in files),
        STARTER_HOSTS,
        STARTER_QUEUE,
    ]


def texts_of_tests() -> list[str]:
    """Give the texts in the unit tests that may be a hosts file or a queue file."""
    begins = re.compile(r"\ufeff?(?:#.*\n|\n|---.*\n)*\s*(?:- |\[)")
    found = {
        node.value: None
        for path in sorted(Path(__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if begins.match(node.value)
    }
    return list(found)


def judged_wrongly(texts: list[str], name: SchemaName, folder: Path) -> tuple[int, list[str]]:
    """Count the texts that Pegasus accepts as such a file; give those that the schema refuses."""
    good = [text for text in texts if not file_faults(name, text, folder)]
    return len(good), [text for text in good if schema_faults(name, text)]


def parts_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each schema below ``properties`` and ``additionalProperties``, with its path."""
    if not isinstance(schema, dict):
        return
    for word, part in schema.items():
        keys = part if word == "properties" else {word: part} if "Properties" in word else {}
        yield from ((f"{path}/{key}", each) for key, each in keys.items() if isinstance(each, dict))
        yield from parts_of(part, f"{path}/{word}")


def print_schema(name: str, stdout: int) -> subprocess.CompletedProcess[str]:
    """Run `pegasus schema`."""
    argv = [sys.executable, "-m", "pegasus", "schema", name]
    return subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_command_prints_the_schema(name: SchemaName) -> None:
    """The output can be written to a file that an editor reads."""
    printed = print_schema(name, subprocess.PIPE)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert json.loads(printed.stdout) == SCHEMAS[name]


def test_a_reader_that_has_seen_enough() -> None:
    """`pegasus schema hosts | head` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    printed = print_schema("hosts", writing)
    os.close(writing)
    assert (printed.returncode, printed.stderr) == (0, "")


def test_a_file_that_has_no_schema() -> None:
    """The error names the two files that have one."""
    printed = print_schema("notes", subprocess.PIPE)
    assert printed.returncode == 2
    assert "hosts or queue" in printed.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_key_has_a_description(name: SchemaName) -> None:
    """An editor can explain every key; what is reached by a reference may have it there."""
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    for path, part in parts_of(schema):
        reference = part.get("$ref", "").removeprefix("#/$defs/")
        described = part.get("description") or schema["$defs"].get(reference, {}).get("description")
        assert described or "/then/" in path, path


def test_options_of_sbatch_that_are_refused() -> None:
    """The schema has the list that Pegasus has."""
    names = SCHEMAS["hosts"]["$defs"]["slurm"]["propertyNames"]
    assert set(names["not"]["enum"]) == _OWN_OPTIONS


@pytest.mark.parametrize(("name", "least"), [("hosts", 15), ("queue", 40)])
def test_files_of_the_documents(name: SchemaName, least: int, tmp_path: Path) -> None:
    """Every hosts file and queue file that a document shows, and Pegasus accepts, is accepted."""
    count, wrong = judged_wrongly(blocks(), name, tmp_path)
    assert wrong == []
    assert count >= least


@pytest.mark.parametrize(("name", "least"), [("hosts", 100), ("queue", 300)])
def test_files_of_the_unit_tests(name: SchemaName, least: int, tmp_path: Path) -> None:
    """Every file in the unit tests that Pegasus accepts is accepted."""
    count, wrong = judged_wrongly(texts_of_tests(), name, tmp_path)
    assert wrong == []
    assert count >= least
