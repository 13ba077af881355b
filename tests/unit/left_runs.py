"""What the tests of taking over share: a run that was killed, and what it has left."""

from __future__ import annotations

from pathlib import Path

from pegasus.model import Assignment
from pegasus.record import RunRecord
from pegasus.record.recording import Record
from pegasus.record.taking_over import find_left
from tests.unit.records import NODES, record_of, start_on, take


def start(record: Record, number: int, key: str = "", node: int = 0) -> Assignment:
    """Tell that a detached job was taken and started."""
    job = take(record, number)
    return start_on(record, number, job, NODES[node], key or f"key-{number}")


def kill(queue: Path) -> Path:
    """Make of the run one that was killed: no line says how it ended. Give its journal."""
    journal = record_of(queue) / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert b"run_ended" in lines[-1]
    journal.write_bytes(b"".join(lines[:-1]))
    return journal


def left_run(queue: Path) -> RunRecord:
    """Find the one run with something left."""
    warnings: list[str] = []
    (run,) = find_left(queue, warnings)
    assert warnings == []
    return run
