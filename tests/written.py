"""What Pegasus writes for programs, checked against the JSON Schemas that it has for that."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker


@cache
def schema_of(name: str) -> Draft202012Validator:
    """Read a schema, which is checked itself: once, as that takes longer than its use.

    Args:
        name: its path in the package, without its ending, such as ``record/status``.
    """
    path = resources.files("pegasus").joinpath(f"{name}.schema.json")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def check_written(data: object, name: str) -> None:
    """Check data against a schema; see ``schema_of``.

    Raises:
        jsonschema.ValidationError: it does not fit.
    """
    schema_of(name).validate(data)
