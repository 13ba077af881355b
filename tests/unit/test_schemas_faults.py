"""Promises of the JSON Schemas about faults: which they find, and which only Pegasus finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from pegasus.findings import find
from pegasus.schemas import SchemaName
from tests.unit.editors import (
    NAMES,
    SCHEMAS,
    VERSIONS,
    file_faults,
    refusals,
    schema_faults,
    seen,
)


@pytest.fixture(autouse=True)
def in_an_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """`slurm: {}` has nodes."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "c[1-2]")


UNUSUAL_HOSTS = [
    "- 5\n- yes\n- null\n",
    "- hostname: a\n  slots: 4\n  slurm: [x]\n  run: fast\n  needs: 2\n  command: x\n",
    "- hostname: a\n  x: [010, 1:30, 0x1F, 2001-01-01, .inf, 1e-3, yes, ~]\n  y:\n",
    '- hostname: \'{{ replace i "a b" "c" }}\'\n  i: [a b, x]\n',
    "- hostname: ['n[1-2]', 5]\n",
    "- hostname: a\n  slots: {gpu: 8, cpu: '8', b: '0-3, 6', c: nproc, d: amd, e: nvidia 0-3}\n",
    "- hostname: a\n  slots: {gpu: [0-2, 7, red, 1.5, -1, null, yes]}\n",
    "- hostname: a\n  slots: {gpu: {probe: true}}\n",
    "- slurm: {}\n  x: [1, 2]\n  slots: {gpu: 2}\n  run: {chdir: 2024}\n",
    "- slurm: {partition: [a, b], nodes: 4, exclusive: true, time: 8h, hint: }\n",
    "- hostname: a\n  run: {shell: bash -lc, chdir: ~/my work}\n",
    "- hostname: a\n  run: {chdir: ~}\n",
]
UNUSUAL_QUEUES = [
    "",
    "[]\n",
    "# nothing\n",
    "- 5\n- true\n- null\n- 1e3\n",
    "- command: x\n  barrier: succeeded\n  needs: many\n  where: [a, b]\n  at_most: 3\n  run:\n",
    "- command: [null, 5, x]\n  y: [010, 1:30, 0x1F, 2001-01-01, .inf, 1e-3, yes, ~]\n  z:\n",
    "- command: x\n  needs: {gpu: 0, cpu: '8', seat: 1000000}\n",
    "- command: x\n  where: {hostname: [a, 5], model: null, 'a b': yes}\n",
    "- command: x\n  at_most: {running: '2', of: 2024}\n",
    "- command: x\n  run: {shell: bash -lc}\n",
    "- command: x\n  hostname: a\n  slots: 3\n",
    "- barrier: ended\n- barrier: 'succeeded'\n",
]
UNUSUAL: list[tuple[SchemaName, str]] = [
    *(("hosts", text) for text in UNUSUAL_HOSTS),
    *(("queue", text) for text in UNUSUAL_QUEUES),
]


@pytest.mark.parametrize(("name", "text"), UNUSUAL)
def test_what_is_unusual_and_no_fault(name: SchemaName, text: str, tmp_path: Path) -> None:
    """A schema refuses nothing that Pegasus accepts, whatever an editor takes a text for."""
    assert file_faults(name, text, tmp_path) == []
    assert schema_faults(name, text) == []


BAD_HOSTS = [
    # contract 2: the list, its items and their values
    "",
    "[]\n",
    "a\n",
    "hostname: a\n",
    "- [a]\n",
    "- {}\n",
    "- container: x\n",
    "- hostnames: a\n",
    "- command: a\n",
    "- hostname: []\n",
    "- hostname: [[a]]\n",
    "- hostname: {a: b}\n",
    "- hostname: [{a: b}]\n",
    "- hostname: ''\n",
    "- ''\n",
    "- a b\n",
    "- hostname: [a, b c]\n",
    "- -oProxyCommand=x\n",
    "- hostname: [a, -b]\n",
    "- hostname: -{{ x }}\n  x: 1\n",
    "- hostname: a\n  x: {y: z}\n",
    "- hostname: a\n  x: []\n",
    "- hostname: a\n  x: [[1]]\n",
    "- hostname: a\n  needs: {gpu: 1}\n",
    "- hostname: a\n  slot: {gpu: 1}\n",
    # contract 12: slots
    "- hostname: a\n  slots: {}\n",
    "- hostname: a\n  slots: [{gpu: 1}]\n",
    "- hostname: a\n  slots: {'1x': 4}\n",
    "- hostname: a\n  slots: {hostname: 4}\n",
    "- hostname: a\n  slots: {gpu: 0-3,6}\n",
    "- hostname: a\n  slots: {gpu: }\n",
    "- hostname: a\n  slots: {gpu: yes}\n",
    "- hostname: a\n  slots: {gpu: 0}\n",
    "- hostname: a\n  slots: {gpu: -1}\n",
    "- hostname: a\n  slots: {gpu: 1.5}\n",
    "- hostname: a\n  slots: {gpu: 4097}\n",
    "- hostname: a\n  slots: {gpu: red}\n",
    "- hostname: a\n  slots: {gpu: 0-}\n",
    "- hostname: a\n  slots: {gpu: '0-3;6'}\n",
    "- hostname: a\n  slots: {gpu: nvida}\n",
    "- hostname: a\n  slots: {gpu: nproc 3}\n",
    "- hostname: a\n  slots: {gpu: nvidia x}\n",
    "- hostname: a\n  slots: {gpu: []}\n",
    "- hostname: a\n  slots: {gpu: [nvidia]}\n",
    "- hostname: a\n  slots: {gpu: [nproc, 1]}\n",
    f"- hostname: a\n  slots: {{gpu: {{probe: {'x' * 131_072}}}}}\n",
    "- hostname: a\n  slots: {gpu: [a b]}\n",
    "- hostname: a\n  slots: {gpu: [[0]]}\n",
    "- hostname: a\n  slots: {gpu: {}}\n",
    "- hostname: a\n  slots: {gpu: {prob: x}}\n",
    "- hostname: a\n  slots: {gpu: {probe: x, y: z}}\n",
    "- hostname: a\n  slots: {gpu: {probe: [x]}}\n",
    "- hostname: a\n  slots: {gpu: {probe: ''}}\n",
    # contract 16: slurm
    "- slurm\n- hostname: a\n  slurm: {}\n",
    "- hostname: a\n  slurm: {nodes: 2}\n",
    "- slurm: x\n",
    "- slurm:\n",
    "- slurm: [a]\n",
    "- slurm: {Partition: x}\n",
    "- slurm: {gpus_per_node: 4}\n",
    "- slurm: {--nodes: 4}\n",
    "- slurm: {array: 1-4}\n",
    "- slurm: {nodes: []}\n",
    "- slurm: {nodes: {a: b}}\n",
    "- slurm: {hint: {a: b}}\n",
    "- slurm: {hint: [[a]]}\n",
    "- slurm: {wrap: x}\n",
    "- hostname: a\n  slurm: []\n",
    "- slurm: {}\n  x: {y: z}\n",
]
BAD_QUEUES = [
    # contract 3: the list, its entries and their values
    "a\n",
    "command: a\n",
    "- [a]\n",
    "- {}\n",
    "- ''\n",
    "- '  '\n",
    "- |\n\n",
    "- x: 1\n",
    "- comand: x\n",
    "- hostname: a\n",
    "- echo 'a: b'\n",
    "- command: ''\n",
    "- command: []\n",
    "- command: [a, ' ']\n",
    f"- {'x' * 131_072}\n",
    f"- command: {'x' * 131_072}\n",
    "- command: [[a]]\n",
    "- command: [{a: b}]\n",
    "- command: {a: b}\n",
    "- command: x\n  y: []\n",
    "- command: x\n  y: [[1]]\n",
    "- command: x\n  y: {a: b}\n",
    "- command: x\n  y: [{a: b}]\n",
    # contract 12: needs, where, at_most
    "- command: x\n  slots: {gpu: 1}\n",
    "- command: x\n  need: {gpu: 1}\n",
    "- command: x\n  needs: {}\n",
    "- command: x\n  needs: [{gpu: 1}]\n",
    "- command: x\n  needs: {1x: 1}\n",
    "- command: x\n  needs: {gpu: -1}\n",
    "- command: x\n  needs: {gpu: two}\n",
    "- command: x\n  needs: {gpu: '02'}\n",
    "- command: x\n  needs: {gpu: 1.5}\n",
    "- command: x\n  needs: {gpu: 1000001}\n",
    "- command: x\n  needs: {gpu: }\n",
    "- command: x\n  needs: {gpu: yes}\n",
    "- command: x\n  needs: {gpu: [1]}\n",
    "- command: x\n  needs: {gpu: {a: 1}}\n",
    "- command: x\n  where: {}\n",
    "- command: x\n  where: []\n",
    "- command: x\n  where: {a: []}\n",
    "- command: x\n  where: {a: [[b]]}\n",
    "- command: x\n  where: {a: {b: c}}\n",
    "- command: x\n  at_most: {}\n",
    "- command: x\n  at_most: []\n",
    "- command: x\n  at_most: {running: 1000001}\n",
    "- command: x\n  at_most: {of: x}\n",
    "- command: x\n  at_most: {runing: 1}\n",
    "- command: x\n  at_most: {running: 1, off: x}\n",
    "- command: x\n  at_most: {running: 0}\n",
    "- command: x\n  at_most: {running: many}\n",
    "- command: x\n  at_most: {running: [1]}\n",
    "- command: x\n  at_most: {running: 1, of: [x]}\n",
    "- command: x\n  at_most: {running: 1, of: ''}\n",
    "- command: x\n  at_most: {running: 1, of: ' x'}\n",
    # contract 13: barriers
    "- barrier: success\n",
    "- barrier:\n",
    "- barrier: [succeeded]\n",
    "- barrier: {succeeded: 1}\n",
    "- barrier: succeeded\n  x: 1\n",
    "- barrier: succeeded\n  needs: {gpu: 1}\n",
    "- command: x\n  barrier: {a: b}\n",
]
BAD_RUNS = [  # contract 17, in both files
    "{}",
    "[{shell: a}]",
    "{shel: a}",
    "{shell: a, cwd: b}",
    "{shell: [bash, -lc]}",
    "{shell: {a: b}}",
    "{shell: ''}",
    "{shell: ' '}",
    "{shell: 'bash {{ x }}'}",
    '{shell: "bash\\t-lc"}',
    "{chdir: [a]}",
    "{chdir: ''}",
    "{chdir: $HOME/work}",
    "{chdir: '{{ x }}'}",
    "{chdir: ~bob/work}",
    '{chdir: "a\\nb"}',
    f"{{chdir: {'x' * 1001}}}",
    f"{{shell: {'x' * 1001}}}",
]
BAD: list[tuple[SchemaName, str]] = [
    *(("hosts", text) for text in BAD_HOSTS),
    *(("queue", text) for text in BAD_QUEUES),
    *(("hosts", f"- hostname: a\n  run: {run}\n") for run in BAD_RUNS),
    *(("queue", f"- command: x\n  run: {run}\n") for run in BAD_RUNS),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_wrong_structure(name: SchemaName, text: str, tmp_path: Path) -> None:
    """A file with a wrong structure is refused by Pegasus, and by the schema in each editor."""
    assert file_faults(name, text, tmp_path)
    assert refusals(name, text) == len(VERSIONS)


@pytest.mark.parametrize("name", NAMES)
def test_editors_that_know_draft_7_only(name: SchemaName) -> None:
    """They judge alike, because the schemas have no keyword that draft 7 does not have."""
    newer, older = (draft(SCHEMAS[name]) for draft in (Draft202012Validator, Draft7Validator))
    for _, text in (each for each in (*UNUSUAL, *BAD) if each[0] == name):
        for version in VERSIONS:
            value = seen(text, version)
            assert newer.is_valid(value) == older.is_valid(value), text


HOSTS_ONLY_PEGASUS = {
    "a key stands twice": "- hostname: a\n  hostname: b\n",
    "a tag": "- !x a\n",
    "an anchor": "- &x a\n",
    "a merge": "- hostname: a\n  <<: b\n",
    "an empty host without quotes": "- hostname:\n",
    "a template": "- hostname: n{{ i }}\n",
    "no destination: a port": "- node-1:2222\n",
    "no destination: a sign": "- a;b\n",
    "a dash from a parameter": "- hostname: '{{ x }}'\n  x: -b\n",
    "a set": "- node-[3-1]\n",
    "lines joined to another text": "- hostname: a\n  x: b \\\n    c\n",
    "the spelling of a number": "- hostname: a\n  slots: {gpu: 0x8}\n",
    "too many in quotes": "- hostname: a\n  slots: {gpu: '4097'}\n",
    "a range": "- hostname: a\n  slots: {gpu: 3-1}\n",
    "a slot stands twice": "- hostname: a\n  slots: {gpu: [1, 1]}\n",
    "slots like a parameter": "- hostname: a\n  gpu: 1\n  slots: {gpu: 2}\n",
    "slots with one variable": "- hostname: a\n  slots: {a-b: 1, a_b: 2}\n",
    "a control character": '- slurm: {comment: "a\\tb"}\n',
    "an open quote in a shell": "- hostname: a\n  run: {shell: 'bash \"'}\n",
    "too many sub-nodes": "- node-[1-99999]\n",
}
QUEUES_ONLY_PEGASUS = {
    "a key stands twice": "- command: x\n  command: y\n",
    "a tag": "- ! test -f x\n",
    "an anchor": "- &x make\n",
    "an empty command without quotes": "- command:\n",
    "a comment in quotes": '- echo "a # b"\n',
    "lines joined to another command": "- make \\\n    all\n",
    "a NUL": '- "a\\0"\n',
    "a long command in bytes": f"- {'ü' * 70_000}\n",
    "the spelling of a number": "- command: x\n  needs: {gpu: 0x8}\n",
    "too many jobs": "- command: x\n" + "".join(f"  p{i}: {list(range(8))}\n" for i in range(10)),
    "a template": "- echo {{ unknown }}\n",
    "slots that no sub-node has": "- command: x\n  needs: {gpu: 1}\n",
    "a value that no sub-node has": "- command: x\n  where: {model: a100}\n",
}
ONLY_PEGASUS: list[tuple[SchemaName, str]] = [
    *(("hosts", text) for text in HOSTS_ONLY_PEGASUS.values()),
    *(("queue", text) for text in QUEUES_ONLY_PEGASUS.values()),
]


@pytest.mark.parametrize(
    ("name", "text"), ONLY_PEGASUS, ids=[*HOSTS_ONLY_PEGASUS, *QUEUES_ONLY_PEGASUS]
)
def test_what_only_pegasus_finds(name: SchemaName, text: str, tmp_path: Path) -> None:
    """`pegasus check` finds it, and no schema: it is in the texts, or between keys and files."""
    files = {"hosts": "- localhost\n", "queue": "- make\n", name: text}
    for each, content in files.items():
        (tmp_path / f"{each}.yaml").write_text(content, encoding="utf-8")
    assert find(tmp_path / "hosts.yaml", tmp_path / "queue.yaml").faults
    assert schema_faults(name, text) == []
