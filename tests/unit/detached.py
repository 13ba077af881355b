"""What the tests of readers of detached commands share: runs that were killed or left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pegasus.events import Event, Started
from pegasus.model import Assignment, Command, SubNode
from pegasus.record.encoding import line_of
from pegasus.record.recording import Record
from tests.unit.records import NODES, record_of, recording, settle, take


@asynccontextmanager
async def recording_detached(queue: Path, name: str = "run-1") -> AsyncIterator[Record]:
    """Record a run whose commands are detached."""
    async with recording(queue, name, detached=True) as record:
        yield record


def detach(record: Record, number: int, key: str, *, node: SubNode = NODES[0]) -> Assignment:
    """Tell that a job was taken, and that its detached command was started."""
    job = take(record, number)
    assignment = Assignment(number, job, node, Command(f"train {number}"), key)
    record.tell(Started(assignment))
    settle(record)
    return assignment


def kill(queue: Path, name: str = "run-1") -> None:
    """Make of a run that ended one that was killed."""
    path = record_of(queue, name) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert b"run_ended" in lines.pop()
    path.write_bytes(b"".join(lines))


def append(queue: Path, event: Event, name: str = "run-1", at: float = 2e9) -> None:
    """Write a line to a journal, as another Pegasus does that took over the run."""
    with (record_of(queue, name) / "journal.jsonl").open("ab") as file:
        file.write(line_of(event, at))
