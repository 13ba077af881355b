"""Reads the journals of the runs of one test."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.e2e.runner import Pegasus


def events(pegasus: Pegasus, *kinds: str) -> list[dict[str, Any]]:
    """Return the events of some kinds in the journals of all runs so far."""
    found: list[dict[str, Any]] = []
    for path in sorted(pegasus.folder.glob(".pegasus/*/journal.jsonl")):
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
        found += [event for event in map(json.loads, lines) if event["event"] in kinds]
    return found


def outcomes(pegasus: Pegasus) -> Counter[str]:
    """Count how jobs ended, by kind."""
    return Counter(event["outcome"]["kind"] for event in events(pegasus, "ended"))
