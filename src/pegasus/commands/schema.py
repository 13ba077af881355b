"""``pegasus schema``: the JSON Schema of a file, for editors."""

from __future__ import annotations

from contextlib import suppress

from pegasus.errors import ExitStatus
from pegasus.schemas import SchemaName, schema_text
from pegasus.standard_streams import STDOUT, write


def schema(name: SchemaName) -> ExitStatus:
    """Print the schema of hosts.yaml or queue.yaml."""
    with suppress(BrokenPipeError):  # the user has seen enough
        write(STDOUT, schema_text(name).encode())
    return ExitStatus.SUCCESS
