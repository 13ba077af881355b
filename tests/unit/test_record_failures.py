"""A record that meets failures: of the run, of the disk, of the locks, and of the events."""

import fcntl
import os
import threading
from functools import partial
from pathlib import Path

import pytest
import trio

from pegasus.events import (
    Ended,
    Event,
    Noted,
    Printed,
    Returned,
    RunEnded,
    Started,
    Taken,
)
from pegasus.model import (
    Assignment,
    Command,
    Exited,
    Job,
    Stream,
)
from pegasus.record import recording as recording_room
from pegasus.record import writer
from pegasus.record.encoding import line_of
from pegasus.record.recording import open_record
from tests.unit.records import (
    LIMIT,
    NODES,
    end,
    only_run,
    queue_in,
    recording,
    show,
    start,
    wait_for,
)


async def test_a_run_that_fails(tmp_path: Path) -> None:
    """A run that ends by an error says so."""
    queue = queue_in(tmp_path)
    with pytest.raises(ZeroDivisionError):
        async with recording(queue):
            raise ZeroDivisionError
    run = only_run(queue)
    assert run.state.end is not None
    assert (run.state.end.result, run.state.end.exit_status) == ("failed", None)


async def test_no_record_at_all(tmp_path: Path) -> None:
    """A run whose folder cannot be written to goes on without a record, and says so once."""
    (tmp_path / ".pegasus").write_text("in the way")
    said: list[str] = []
    async with recording(tmp_path / "queue.yaml", on_trouble=said.append) as record:
        job = start(record, 1)
        await show(record, job, b"x")
        end(record, job)
        record.tell(RunEnded(0, "done"))
        assert record.folder is None
    assert len(said) == 1
    assert f"{tmp_path}/.pegasus" in said[0]
    assert "is not recorded" in said[0]


async def test_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no locks, that is said, and the process is looked for instead."""

    def no_flock(fd: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_flock)
    said: list[str] = []
    queue = queue_in(tmp_path)
    async with recording(queue, on_trouble=said.append) as record:
        start(record, 1)
        assert only_run(queue).liveness == "running"
    assert len(said) == 1
    assert "cannot be locked" in said[0]
    path = only_run(queue).folder.journal
    lines = path.read_bytes().splitlines()
    gone = b'"pid":%d' % 2**30
    lines[0] = lines[0].replace(b'"pid":%d' % os.getpid(), gone)
    path.write_bytes(b"\n".join(lines[:-1]) + b"\n")
    assert only_run(queue).liveness == "died"


async def test_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk hangs, telling does not wait, and whoever prints can be cancelled."""
    monkeypatch.setattr(recording_room, "RECORD_END_LIMIT", 0.01)
    queue = queue_in(tmp_path)
    hang, hangs = threading.Event(), threading.Event()

    def stall() -> None:
        hangs.set()
        hang.wait(LIMIT)

    async with recording(queue, stall=0.01) as record:
        assert record._opened is not None
        thread = record._opened.writer._thread._thread
        record._opened.writer._thread.put(stall, 0)
        assert await trio.to_thread.run_sync(hangs.wait, LIMIT)
        for number in range(1, 1000):
            end(record, start(record, number))
        assert len(only_run(queue).state.jobs) == 0
        job = start(record, 1000)
        with trio.move_on_after(0.05) as scope:
            while True:
                await show(record, job, bytes(1_000_000))
        assert scope.cancelled_caught
    hang.set()
    await trio.to_thread.run_sync(thread.join, LIMIT)
    assert len(only_run(queue).state.jobs) == 1000
    assert only_run(queue).liveness == "ended"


@pytest.mark.parametrize("stall", [0.01, 0.1, 0.4, 10.0])
def test_a_disk_that_stalls_again_and_again(stall: float) -> None:
    """A short stall is waited for; with many the run still has nine tenths of its time."""
    now = waited = 0.0

    def wait(limit: float) -> bool:
        nonlocal now, waited
        seconds = min(limit, stall)
        now, waited = now + seconds, waited + seconds
        return stall <= limit

    budget = writer.StallBudget(lambda: now)
    assert budget.wait(wait) == (stall < writer.STALL_LIMIT)
    for _ in range(1000):
        now += 0.2
        budget.wait(wait)
    assert waited <= writer.STALL_LIMIT + 0.1 * now + writer.LEAST_STALL
    now += writer.STALL_LIMIT / writer.STALL_SHARE
    assert budget.wait(wait) == (stall < writer.STALL_LIMIT)


async def test_lines_that_wait_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the lines for which neither disk nor memory has room it is told how many are missing."""
    monkeypatch.setattr(writer, "MOST_LINES", 100)
    queue = queue_in(tmp_path)
    hang = threading.Event()
    async with recording(queue) as record:
        assert record._opened is not None
        record._opened.writer._thread.put(partial(wait_for, hang), 0)
        for number in range(500):
            record.tell(Noted(f"note {number}"))
        hang.set()
    run = only_run(queue)
    assert run.state.lines_missing >= 400
    assert "could not be written to the disk" in run.warnings[0]


@pytest.mark.parametrize(
    "event", [Noted("x"), Returned(Assignment(1, Job("x"), NODES[0], Command("x")), "")]
)
async def test_events_out_of_the_blue(tmp_path: Path, event: Event) -> None:
    """Nothing that is told can make the record fail."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        record.tell(event)
        await record.show(
            Printed(Assignment(5, Job("x"), NODES[0], Command("x")), Stream.STDOUT, b"")
        )
    assert only_run(queue).liveness == "ended"


async def test_many_jobs(tmp_path: Path) -> None:
    """A run of many thousand jobs can be read."""
    queue = queue_in(tmp_path)
    async with open_record(
        queue, "run-1", mode="queue", hosts_file="h", sub_nodes=NODES, on_trouble=print
    ) as record:
        start(record, 1)
    path = only_run(queue).folder.journal
    job = Job("train {{ x }}", (("x", "1"),))
    with path.open("ab") as file:
        for number in range(2, 20_001):
            given_ = Assignment(number, job, NODES[0], Command("train 1"))
            for event in Taken(number, job), Started(given_), Ended(given_, Exited(0), 1.0):
                file.write(line_of(event, 1.0))
    run = only_run(queue)
    assert len(run.state.jobs) == 20_000
    assert run.state.counts()["succeeded"] == 19_999
