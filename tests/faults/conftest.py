"""The fixtures of the end-to-end tests: nodes, the command, and the check that nothing is left."""

from __future__ import annotations

from tests.e2e.conftest import (
    make_nodes,
    nodes,
    nothing_left,
    pegasus,
    pytest_configure,
    pytest_terminal_summary,
    runtime_folder,
    way,
)

__all__ = [
    "make_nodes",
    "nodes",
    "nothing_left",
    "pegasus",
    "pytest_configure",
    "pytest_terminal_summary",
    "runtime_folder",
    "way",
]
