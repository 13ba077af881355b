"""Reads the two files as editors do: YAML's own values, checked with a JSON Schema.

Editors differ in the version of YAML: in 1.1 ``010`` is 8 and ``yes`` is true, in 1.2 these are 10
and a text. A schema has to judge a file alike in both.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from pegasus.errors import FileFault
from pegasus.hosts_file import find_hosts
from pegasus.queue_file import QueueReader
from pegasus.schemas import SchemaName, schema_text

NAMES: tuple[SchemaName, ...] = ("hosts", "queue")
SCHEMAS: dict[SchemaName, dict[str, Any]] = {name: json.loads(schema_text(name)) for name in NAMES}
_VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = {
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
"""The plain scalars of YAML 1.2 that are no texts, in the order in which they are tried."""


class Yaml11(yaml.SafeLoader):
    """Resolves plain scalars as YAML 1.1 does."""


class Yaml12(yaml.BaseLoader):
    """Resolves plain scalars as YAML 1.2 does."""


for kind, pattern in _CORE_SCHEMA.items():
    Yaml12.add_implicit_resolver(_TAG + kind, re.compile(rf"(?:{pattern})\Z"), None)

VERSIONS: tuple[type[Yaml11 | Yaml12], ...] = (Yaml11, Yaml12)


def seen(text: str, version: type[Yaml11 | Yaml12]) -> Any:
    """Give the values that an editor sees in a file.

    Raises:
        YAMLError: the editor reports an error of YAML.
    """
    return _value(yaml.compose(text, Loader=version))


def _value(node: yaml.Node | None) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {name.value: _value(value) for name, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(each) for each in node.value]
    return None if node is None else _scalar(node.tag.removeprefix(_TAG), node.value)


def _scalar(kind: str, text: str) -> Any:
    """Give the value of a scalar; dates are texts in JSON."""
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    if kind not in {"int", "float"}:
        return text
    plain = text.replace("_", "")
    if kind == "int":
        with suppress(ValueError):
            return int(plain, 0)
    with suppress(ValueError):
        return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    return 1  # 1:30 and 010 in YAML 1.1: some number


def schema_faults(name: SchemaName, text: str) -> list[str]:
    """Give what an editor reports of a file: nothing if no version of YAML has a fault in it."""
    return [
        fault.message
        for version in VERSIONS
        for fault in _VALIDATORS[name].iter_errors(seen(text, version))
    ]


def refusals(name: SchemaName, text: str) -> int:
    """Count the versions of YAML in which the schema refuses a file."""
    return sum(not _VALIDATORS[name].is_valid(seen(text, version)) for version in VERSIONS)


def file_faults(name: SchemaName, text: str, folder: Path) -> list[str]:
    """Give what Pegasus reports of a file alone."""
    data = text.encode("utf-8", "surrogateescape")
    if name == "queue":
        found = QueueReader("queue.yaml", data)
        return [str(each) for each in found if isinstance(each, FileFault)]
    path = folder / "hosts.yaml"
    path.write_bytes(data)
    return [str(each) for each in find_hosts(path)[1]]
