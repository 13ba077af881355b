"""What the tests of ``pegasus retry`` share: runs with outcomes, and a retry of their jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from pegasus import grid
from pegasus.commands.retry import RetrySettings, retry
from pegasus.errors import ExitStatus
from pegasus.events import Ended, Started, Taken
from pegasus.model import (
    Assignment,
    Cancelled,
    Command,
    Entry,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    SubNode,
    TimedOut,
)
from pegasus.queue_file import QueueFile
from pegasus.record.recording import Record, open_record
from tests.unit.records import record_of

NODES = (SubNode(0, "node-1"), SubNode(1, "node-2", (("gpu", "0"),)))
BAD: list[Outcome] = [
    Exited(3),
    Killed(9),
    Cancelled(),
    TimedOut(5.0),
    Lost("gone"),
    NotStarted("no node"),
]


@asynccontextmanager
async def recording(queue: Path, name: str = "run-1", mode: str = "queue") -> AsyncIterator[Record]:
    """Record a run that goes on for the length of the block."""
    async with open_record(
        queue,
        name,
        mode="broadcast" if mode == "broadcast" else "queue",
        hosts_file="hosts.yaml",
        sub_nodes=NODES,
        on_trouble=pytest.fail,
    ) as record:
        yield record


def tell(record: Record, number: int, job: Job, outcomes: Sequence[Outcome | None]) -> None:
    """Record what became of a job, on one sub-node after the other; None where it still runs."""
    record.tell(Taken(number, job))
    for sub_node, outcome in zip(NODES, outcomes, strict=False):
        assignment = Assignment(number, job, sub_node, Command(f"filled in {job.command}"))
        record.tell(Started(assignment))
        if outcome is not None:
            record.tell(Ended(assignment, outcome, 1.0))


def recorded(queue: Path, *outcomes: Outcome | None, name: str = "run-1") -> None:
    """Record a run that has died, of a job for each outcome: ``job 1``, ``job 2`` and so on."""

    async def record_all() -> None:
        async with recording(queue, name) as record:
            for number, outcome in enumerate(outcomes, start=1):
                tell(record, number, Job(f"job {number}"), [outcome])

    trio.run(record_all)
    journal = record_of(queue, name) / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert b"run_ended" in lines.pop()
    journal.write_bytes(b"".join(lines))


def retried(queue: Path, *jobs: int, run: str | None = None, top: bool = False) -> ExitStatus:
    """Run the command."""
    settings = RetrySettings(queue_file=queue, jobs=jobs, run=run, top=top, color="never")
    return trio.run(retry, settings)


def jobs(queue: Path) -> list[Job]:
    """Give the jobs that wait."""
    entries = list(QueueFile(queue).entries()) if queue.exists() else []
    assert all(isinstance(entry, Entry) for entry in entries), entries
    return [job for entry in entries if isinstance(entry, Entry) for job in grid.jobs(entry)]


def commands(queue: Path) -> list[str]:
    """Give the commands that wait."""
    return [job.command for job in jobs(queue)]


def folder_of(queue: Path) -> list[str]:
    """Give what stands beside the queue file."""
    return sorted(path.name for path in queue.parent.iterdir())
