"""The processes of the commands of tests."""

from __future__ import annotations

from tests.nodes.processes import everything


def sleeping(name: int) -> list[str]:
    """Return the command lines of living processes of ``sleep NAME``."""
    return [p.command for p in everything() if p.alive and p.command == f"sleep {name}"]
