"""JSON Schemas of both files, for editors: ``pegasus schema hosts``, ``pegasus schema queue``.

Rule 1: what Pegasus accepts, a schema accepts; a schema finds fewer faults than ``pegasus check``.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias

SchemaName: TypeAlias = Literal["hosts", "queue"]


def schema_line(name: SchemaName) -> str:
    """Give the comment that names the schema to an editor; empty where it is in no file.

    The YAML language server reads it. An editor elsewhere, without this file, checks nothing.
    """
    path = files(__name__).joinpath(f"{name}.schema.json")
    return f"# yaml-language-server: $schema={path}\n" if isinstance(path, Path) else ""


def schema_text(name: SchemaName) -> str:
    """Give the schema of a file, as JSON.

    Args:
        name: ``hosts`` for hosts.yaml, ``queue`` for queue.yaml.
    """
    return files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
