"""What the tests of the record share: a queue with a record, jobs that are told of, ends."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from pegasus.event_bus import EventBus
from pegasus.events import Connected, Ended, Event, Printed, RunEnded, Started, Taken
from pegasus.model import Assignment, Command, Exited, Job, Outcome, Stream, SubNode
from pegasus.record import RunRecord, read_runs, writer
from pegasus.record.recording import Record, open_record

LIMIT = 20.0
"""Seconds after which a test that waits has failed; never reached on a machine that works."""

NODES = (
    SubNode(0, "node-1", (("container", "gpu0"),)),
    SubNode(1, "node-1", (("container", "gpu1"),)),
    SubNode(2, "node-2"),
)


def queue_in(folder: Path) -> Path:
    """Give a queue file in which three jobs wait."""
    queue = folder / "queue.yaml"
    queue.write_text("- command: train {{ x }}\n  x: [1, 2, 3]\n")
    return queue


def record_of(queue: Path, name: str = "run-1") -> Path:
    """Give the folder of the run of a name, which has a number in front."""
    (folder,) = queue.parent.glob(f".pegasus/[0-9][0-9][0-9][0-9]-{name}")
    return folder


def fail(words: str) -> None:
    """Be told of trouble where none may be."""
    raise AssertionError(words)


@asynccontextmanager
async def recording(
    queue: Path,
    name: str = "run-1",
    *,
    broadcast: bool = False,
    detached: bool = False,
    resumes: str = "",
    sub_nodes: Sequence[SubNode] = NODES,
    on_trouble: Callable[[str], None] = fail,
    stall: float = LIMIT,
) -> AsyncIterator[Record]:
    """Record a run in which nothing is amiss; the machine may be busy with other things."""
    with pytest.MonkeyPatch.context() as patch, trio.fail_after(LIMIT):
        patch.setattr(writer, "STALL_LIMIT", stall)
        async with open_record(
            queue,
            name,
            mode="broadcast" if broadcast else "queue",
            hosts_file="hosts.yaml",
            sub_nodes=sub_nodes,
            on_trouble=on_trouble,
            detached=detached,
            resumes=resumes,
        ) as record:
            count_output(record)
            for node in sub_nodes:
                record.tell(Connected(node))
            yield record


def count_output(record: Record) -> None:
    """Let an event bus stand in front of a record, as in a run."""
    counter = EventBus(_Methods(record.tell, record.show))
    record.tell = counter.tell  # type: ignore[method-assign]
    record.show = counter.show  # type: ignore[method-assign]


@dataclass(frozen=True)
class _Methods:
    """A listener made of the methods that a record has before they are replaced."""

    on_event: Callable[[Event], None]
    on_output: Callable[[Printed], Awaitable[None]]

    def tell(self, event: Event) -> None:
        self.on_event(event)

    async def show(self, printed: Printed) -> None:
        await self.on_output(printed)


def settle(record: Record) -> None:
    """Have everything written that was told and shown so far."""
    if record._opened is not None:
        record._opened.writer.settle()


def take(record: Record, number: int, command: str = "train {{ x }}") -> Job:
    """Tell that a job was taken."""
    job = Job(command, (("x", str(number)),))
    record.tell(Taken(number, job))
    settle(record)
    return job


def start(record: Record, number: int, *, node: SubNode = NODES[0]) -> Assignment:
    """Tell that a job was taken and started."""
    job = take(record, number)
    return start_on(record, number, job, node)


def start_on(
    record: Record, number: int, job: Job, node: SubNode, key: str | None = None
) -> Assignment:
    """Tell that a job was started; with a key it is detached."""
    assignment = Assignment(number, job, node, Command(f"train {number}"), key)
    record.tell(Started(assignment))
    return assignment


async def show(
    record: Record, given: Assignment, data: bytes, stream: Stream = Stream.STDOUT
) -> None:
    """Show output."""
    await record.show(Printed(given, stream, data))


def end(record: Record, given: Assignment, outcome: Outcome | None = None) -> None:
    """Tell that a job ended, well if nothing else is said."""
    record.tell(Ended(given, Exited(0) if outcome is None else outcome, 1.5))


async def run_some(queue: Path, name: str = "run-1") -> None:
    """Record a run of two jobs: one ended well, and one failed and said why."""
    async with recording(queue, name) as record:
        first = start(record, 1)
        await show(record, first, b"epoch 1\n")
        end(record, first)
        second = start(record, 2, node=NODES[2])
        await show(record, second, b"no such file\n", Stream.STDERR)
        end(record, second, Exited(3))
        record.tell(RunEnded(1, "done"))


def only_run(queue: Path) -> RunRecord:
    """Read the one run there is."""
    (run,) = read_runs(queue)
    return run


def open_files() -> int:
    """Count what this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def waiting(record: Record) -> int:
    """Count the bytes of output that wait to be written."""
    assert record._opened is not None
    return record._opened.writer._thread.waiting


def wait_for(event: threading.Event) -> None:
    """Hang as a disk does."""
    event.wait(LIMIT)
