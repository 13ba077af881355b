"""Notifiers for end-to-end tests, and what they were given."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from tests.e2e.runner import Pegasus
from tests.written import check_written


def saving(pegasus: Pegasus) -> str:
    """Return a notifier that keeps what it is given."""
    return f"cat >> {shlex.quote(str(_file(pegasus)))}"


def given(pegasus: Pegasus) -> list[dict[str, Any]]:
    """Give the events so far, each checked against the schema."""
    if not _file(pegasus).exists():
        return []
    events: list[dict[str, Any]] = [
        json.loads(line) for line in _file(pegasus).read_text(encoding="utf-8").splitlines()
    ]
    for event in events:
        check_written(event, "notifier/event")
    return events


def kinds_given(pegasus: Pegasus) -> list[tuple[str, int | None]]:
    """Give the kind of each event, and its job."""
    return [(event["event"], event.get("job")) for event in given(pegasus)]


def _file(pegasus: Pegasus) -> Path:
    return pegasus.folder / "given.jsonl"
