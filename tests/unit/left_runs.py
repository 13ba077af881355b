"""What the tests of taking over share: a run that was killed, and what it has left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from pegasus.events import Ended, OutputSizes, Released
from pegasus.model import Assignment, Outcome
from pegasus.record import RunRecord
from pegasus.record.recording import Record
from pegasus.record.taking_over import ContinuedRun, find_left, take_over
from tests.unit.records import LIMIT, NODES, fail, record_of, start_on, take


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


@asynccontextmanager
async def taken_over(queue: Path, by: str = "0002-run-2") -> AsyncIterator[ContinuedRun]:
    """Take over the one run that there is."""
    with trio.fail_after(LIMIT):
        async with take_over(left_run(queue), by, fail) as continued:
            assert continued is not None
            yield continued


def extents(continued: ContinuedRun) -> list[OutputSizes]:
    """Give how much of each command is recorded."""
    return [each.extent for each in continued.commands]


def finish(record: Record, job: Assignment, printed: OutputSizes, outcome: Outcome) -> None:
    """Tell that a followed command has ended, and that its folder is gone."""
    record.tell(Ended(job, outcome, 7.0, printed=printed))
    record.tell(Released(job))
