"""The JSON Schemas of both files: editors accept what Pegasus accepts, and refuse bad structure."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pegasus.commands.init import STARTER_HOSTS, STARTER_QUEUE
from pegasus.errors import FileFault
from pegasus.hosts_file import find_hosts
from pegasus.queue_file.entries import QueueReader
from pegasus.schemas import SchemaName, schema_text

ROOT = Path(__file__).parents[2]
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(text: str) -> Any:
    """Read a file as an editor does: dates are texts there."""
    return _without_dates(yaml.safe_load(text))


def _without_dates(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _without_dates(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_dates(each) for each in value]
    return str(value) if isinstance(value, date) else value


def is_valid(name: SchemaName, text: str) -> bool:
    """Return whether a schema accepts a file."""
    schema = json.loads(schema_text(name))
    return not list(Draft202012Validator(schema).iter_errors(read(text)))


def has_faults(name: SchemaName, text: str, folder: Path) -> bool:
    """Return whether Pegasus finds a fault in a file."""
    if name == "queue":
        return any(isinstance(each, FileFault) for each in QueueReader("queue.yaml", text.encode()))
    (folder / "hosts.yaml").write_text(text)
    return bool(find_hosts(folder / "hosts.yaml")[1])


def good() -> list[tuple[SchemaName, str]]:
    """Collect good files: the reference, the examples, and the starter files."""
    found: list[tuple[SchemaName, str]] = [("hosts", STARTER_HOSTS), ("queue", STARTER_QUEUE)]
    names: tuple[SchemaName, ...] = ("hosts", "queue")
    for name in names:
        page = (ROOT / "docs" / "reference" / f"{name}-file.md").read_text(encoding="utf-8")
        found += [(name, text) for text in _YAML.findall(page)]
        found += [
            (name, path.read_text(encoding="utf-8"))
            for path in sorted((ROOT / "examples").glob(f"*/{name}.yaml"))
        ]
    return found


def test_the_schemas_are_schemas() -> None:
    """Both are valid schemas, and each key has a description for editors."""
    names: tuple[SchemaName, ...] = ("hosts", "queue")
    for name in names:
        schema = json.loads(schema_text(name))
        Draft202012Validator.check_schema(schema)
        for key, value in schema["$defs"]["entry"]["properties"].items():
            assert value.get("description"), key


@pytest.mark.parametrize(("name", "text"), good())
def test_good_files(
    name: SchemaName, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each good file of the documents and examples is accepted by its schema."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "c[1-2]")
    if not has_faults(name, text, tmp_path):
        assert is_valid(name, text)


MORE_GOOD: list[tuple[SchemaName, str]] = [
    ("queue", ""),
    ("queue", "[]"),
    ("queue", "- 5\n- true\n"),
    ("queue", "- command: x\n  barrier: succeeded\n"),
    ("queue", "- command: x\n  needs: many\n  where: [a, b]\n  at_most: 3\n  run: fast\n"),
    ("queue", "- command: x\n  y: [1e-3, yes, null, 1:30, 2001-01-01]\n  z:\n"),
    ("queue", "- command: x\n  needs: {gpu: 0, cpu: '8'}\n"),
    ("queue", "- command: x\n  run: {shell: bash -lc}\n"),
    ("hosts", "- hostname: a\n  slots: 4\n  slurm: x\n"),
    ("hosts", "- hostname: a\n  slots: {gpu: '0-3,6', cpu: nproc, seat: [a, b]}\n"),
    ("hosts", "- hostname: a\n  slots: {gpu: {probe: echo 1}}\n"),
    ("hosts", "- slurm: {partition: gpu, nodes: 4, time: 8h}\n"),
]


@pytest.mark.parametrize(("name", "text"), MORE_GOOD)
def test_more_good_files(name: SchemaName, text: str, tmp_path: Path) -> None:
    """What looks unusual and is no fault is accepted by both."""
    assert not has_faults(name, text, tmp_path)
    assert is_valid(name, text)


BAD: list[tuple[SchemaName, str]] = [
    ("hosts", "a: b\n"),
    ("hosts", "[]"),
    ("hosts", "- [a]\n"),
    ("hosts", "- container: x\n"),
    ("hosts", "- hostname: []\n"),
    ("hosts", "- hostname: [[a]]\n"),
    ("hosts", "- hostname: {a: b}\n"),
    ("hosts", "- hostname: a\n  gpu: {x: y}\n"),
    ("hosts", "- hostname: a\n  gpu: []\n"),
    ("hosts", "- -oProxyCommand=x\n"),
    ("hosts", "- hostname: a\n  slots: {}\n"),
    ("hosts", "- hostname: a\n  slots: {'1x': 4}\n"),
    ("hosts", "- hostname: a\n  slots: {gpu: 0}\n"),
    ("hosts", "- hostname: a\n  slots: {gpu: {prob: x}}\n"),
    ("hosts", "- hostname: a\n  slots: {gpu: []}\n"),
    ("hosts", "- hostname: a\n  slurm: {}\n"),
    ("hosts", "- slurm: x\n"),
    ("hosts", "- slurm: {Partition: x}\n"),
    ("hosts", "- hostname: a\n  needs: {gpu: 1}\n"),
    ("hosts", "- hostname: a\n  run: {}\n"),
    ("hosts", "- hostname: a\n  run: {shel: x}\n"),
    ("hosts", "- hostname: a\n  run: {chdir: $HOME}\n"),
    ("queue", "a: b\n"),
    ("queue", "- [a]\n"),
    ("queue", "- ''\n"),
    ("queue", "- x: 1\n"),
    ("queue", "- comand: x\n"),
    ("queue", "- command: ''\n"),
    ("queue", "- command: []\n"),
    ("queue", "- command: [[a]]\n"),
    ("queue", "- command: x\n  y: []\n"),
    ("queue", "- command: x\n  y: [[1]]\n"),
    ("queue", "- command: x\n  y: {a: b}\n"),
    ("queue", "- echo 'a: b'\n"),
    ("queue", "- command: x\n  needs: {}\n"),
    ("queue", "- command: x\n  needs: {gpu: -1}\n"),
    ("queue", "- command: x\n  needs: {gpu: two}\n"),
    ("queue", "- command: x\n  needs: {gpu: 1.5}\n"),
    ("queue", "- command: x\n  needs: {gpu: 2000000}\n"),
    ("queue", "- command: x\n  where: {a: {b: c}}\n"),
    ("queue", "- command: x\n  at_most: {of: x}\n"),
    ("queue", "- command: x\n  at_most: {running: 0}\n"),
    ("queue", "- command: x\n  at_most: {runing: 1}\n"),
    ("queue", "- barrier: success\n"),
    ("queue", "- barrier: succeeded\n  x: 1\n"),
    ("queue", "- command: x\n  run: {chdir: [a]}\n"),
    ("queue", "- command: x\n  run: {chdir: '{{ x }}'}\n"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_bad_files(name: SchemaName, text: str, tmp_path: Path) -> None:
    """A file with a wrong structure is refused by the schema, and by Pegasus."""
    if text != "- echo 'a: b'\n":  # a text that YAML reads as a mapping
        assert has_faults(name, text, tmp_path)
    assert not is_valid(name, text) or text == "- echo 'a: b'\n"


ONLY_PEGASUS: list[tuple[SchemaName, str]] = [
    ("hosts", "- 'a;b'\n"),
    ("hosts", "- hostname: 'node-{{ i }}'\n"),
    ("hosts", "- hostname: a\n  slots: {gpu: 0-}\n"),
    ("hosts", "- hostname: a\n  run: {chdir: ~bob}\n"),
    ("queue", "- echo a # b\n"),
]


@pytest.mark.parametrize(("name", "text"), ONLY_PEGASUS)
def test_what_only_pegasus_finds(name: SchemaName, text: str) -> None:
    """Faults in the texts themselves are found by ``pegasus check`` alone, as the page says."""
    assert is_valid(name, text)
