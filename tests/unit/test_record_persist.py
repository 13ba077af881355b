"""What the record of detached commands promises: no gap, and nothing told that a crash can undo."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from pegasus.events import Cut, Ended, Noted, Progressed, Started
from pegasus.model import Assignment, Exited, Stream
from pegasus.record import recording as recording_room
from pegasus.record import syncing
from pegasus.record.recording import Record
from tests.unit.records import (
    LIMIT,
    NODES,
    end,
    fail,
    only_run,
    open_files,
    queue_in,
    record_of,
    recording,
    show,
    start_on,
    take,
)

SMALL = 0.01


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the record look after a disk that refuses more often than a user needs."""
    monkeypatch.setattr(syncing, "RETRY_PERIOD", SMALL)


class Disk:
    """Refuses to write or to sync what the test says; it notes what was synced."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.refused: set[str] = set()  # names of files that are full
        self.sick = False  # a sync fails
        self.synced: list[tuple[str, int]] = []
        self._writev, self._fdatasync = os.writev, os.fdatasync
        patch.setattr(os, "writev", self._write)
        patch.setattr(syncing, "_fdatasync", self._sync)

    def _write(self, fd: int, buffers: Sequence[bytes]) -> int:
        if _name(fd) in self.refused:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._writev(fd, buffers)

    def _sync(self, fd: int) -> None:
        if self.sick:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fdatasync(fd)
        self.synced.append((_name(fd), os.fstat(fd).st_size))

    def synced_size(self, name: str) -> int:
        """Give how much of a file is certainly on the disk."""
        return max((size for each, size in self.synced if each == name), default=0)


def _name(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").readlink().name


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Stand between the record and the disk."""
    return Disk(monkeypatch)


@asynccontextmanager
async def detached(queue: Path, on_trouble: Callable[[str], None] = fail) -> AsyncIterator[Record]:
    """Record a run with detached commands."""
    async with recording(queue, detached=True, on_trouble=on_trouble) as record:
        yield record


def start(record: Record, number: int) -> Assignment:
    """Tell that a detached job was taken and started."""
    return start_on(record, number, take(record, number), NODES[0], f"key-{number}")


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    with trio.fail_after(LIMIT):
        while not condition():
            await trio.sleep(SMALL)


async def test_what_was_told_and_shown_is_on_the_disk(tmp_path: Path, disk: Disk) -> None:
    """After ``persist`` the journal and the outputs are synced as far as they were written."""
    queue = queue_in(tmp_path)
    async with detached(queue) as record:
        job = start(record, 1)
        await record.persist()
        journal = record_of(queue) / "journal.jsonl"
        assert disk.synced_size("journal.jsonl") == journal.stat().st_size
        await show(record, job, b"abc")
        await show(record, job, b"defgh", Stream.STDERR)
        end(record, job)
        await record.persist(job)
        assert disk.synced_size("journal.jsonl") == journal.stat().st_size
        assert disk.synced_size("1.stdout") == 3
        assert disk.synced_size("1.stderr") == 5
    assert only_run(queue).state.counts() == {"succeeded": 1}


async def test_persist_is_cheap_and_shared(tmp_path: Path, disk: Disk) -> None:
    """Where nothing is new nothing is synced; who waits at the same time shares a sync."""
    async with detached(queue_in(tmp_path)) as record:
        jobs = [start(record, number) for number in range(1, 21)]
        await record.persist()
        before = len(disk.synced)
        await record.persist()
        await record.persist(jobs[0])
        assert len(disk.synced) == before
        for job in jobs:
            end(record, job)
        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(record.persist, job)
        assert len(disk.synced) - before <= 4


async def test_a_run_without_detached_commands_syncs_nothing(tmp_path: Path, disk: Disk) -> None:
    """Who does not use detached commands does not pay for them."""
    async with recording(queue_in(tmp_path)) as record:
        job = start_on(record, 1, take(record, 1), NODES[0])
        await show(record, job, b"abc")
        await record.persist()
        end(record, job)
    assert disk.synced == []


async def test_output_that_cannot_be_written_leaves_no_gap(tmp_path: Path, disk: Disk) -> None:
    """On a full disk the command that prints waits, others go on, and nothing is missing then."""
    said: list[str] = []
    queue = queue_in(tmp_path)
    disk.refused = {"1.stdout"}
    blocks = [b"%d\n" % number * 20_000 for number in range(100)]  # more than may wait

    async def print_all(job: Assignment) -> None:
        for block in blocks:
            await show(record, job, block)

    async with detached(queue, said.append) as record, trio.open_nursery() as nursery:
        first, second = start(record, 1), start(record, 2)
        nursery.start_soon(print_all, first)
        await wait_until(lambda: bool(said))
        await print_all(second)
        end(record, second)
        await record.persist(second)
        assert (record_of(queue) / "output" / "2.stdout").read_bytes() == b"".join(blocks)
        assert (record_of(queue) / "output" / "1.stdout").read_bytes() == b""
        await record.persist()  # nor does a start of another one wait
        assert nursery.child_tasks
        disk.refused = set()
    run = only_run(queue)
    assert run.output(1, 0, Stream.STDOUT).read_bytes() == b"".join(blocks)
    assert len(said) == 1
    assert "No space left on device. The run waits for it" in said[0]
    assert not any(execution.missing for _, execution in run.state.left())


async def test_an_end_comes_after_the_output(tmp_path: Path, disk: Disk) -> None:
    """The journal does not have the end of a command before its files have all of its output."""
    queue = queue_in(tmp_path)
    async with detached(queue, lambda _: None) as record:
        first, second = start(record, 1), start(record, 2)
        await record.persist()
        disk.refused = {"1.stdout"}
        with trio.move_on_after(10 * SMALL):
            await show(record, first, b"abc")
        end(record, first)
        end(record, second)
        await record.persist(second)
        assert only_run(queue).state.counts() == {"running": 1, "succeeded": 1}
        with trio.move_on_after(10 * SMALL) as waits:
            await record.persist(first)
        assert waits.cancelled_caught
        disk.refused = set()
        await record.persist(first)
        assert only_run(queue).state.counts() == {"succeeded": 2}
        assert disk.synced_size("1.stdout") == 3


async def test_a_run_that_ends_while_the_disk_refuses(tmp_path: Path, disk: Disk) -> None:
    """A command whose output is not complete has no end in the journal: it is followed again."""
    queue = queue_in(tmp_path)
    async with detached(queue, lambda _: None) as record:
        job = start(record, 1)
        await show(record, job, b"abc")
        await record.persist()
        disk.refused = {"1.stdout"}
        with trio.move_on_after(10 * SMALL):
            await show(record, job, b"def")
        end(record, job)
    run = only_run(queue)
    assert run.state.counts() == {"detached": 1}
    assert run.output(1, 0, Stream.STDOUT).read_bytes() == b"abc"


async def test_a_sync_that_fails(tmp_path: Path, disk: Disk) -> None:
    """While the disk can't sync, nothing counts as stored; this is reported once."""
    said: list[str] = []
    async with detached(queue_in(tmp_path), said.append) as record:
        job = start(record, 1)
        await show(record, job, b"abc")
        disk.sick = True
        before = open_files()
        with trio.move_on_after(30 * SMALL) as waits:
            await record.persist()
        assert waits.cancelled_caught
        assert open_files() <= before + 6  # a sync in progress has each file once more
        disk.sick = False
        await record.persist()
        assert disk.synced_size("1.stdout") == 3
    assert len(said) == 1
    assert "Input/output error" in said[0]


async def test_a_slow_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user learns why nothing starts, once."""
    monkeypatch.setattr(recording_room, "PERSIST_REPORT_AFTER", SMALL)
    monkeypatch.setattr(syncing, "_fdatasync", lambda _: trio.from_thread.run(trio.sleep, 0))
    goes_on = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def hang(_: int) -> None:
        trio.from_thread.run(goes_on.wait, trio_token=token)

    monkeypatch.setattr(syncing, "_fdatasync", hang)
    said: list[str] = []

    def report(words: str) -> None:
        said.append(words)
        goes_on.set()

    async with detached(queue_in(tmp_path), report) as record:
        start(record, 1)
        await record.persist()
    assert len(said) == 1
    assert "takes long" in said[0]


async def test_a_record_that_was_removed(tmp_path: Path, disk: Disk) -> None:
    """Nobody waits for a record that is not there any more; that it is gone is said once."""
    said: list[str] = []
    queue = queue_in(tmp_path)
    async with detached(queue, said.append) as record:
        job = start(record, 1)
        await record.persist()
        shutil.rmtree(tmp_path / ".pegasus")
        await show(record, job, b"abc")
        end(record, job)
        await record.persist()
    assert len(said) == 1
    assert "was removed" in said[0]


async def test_no_record_at_all(tmp_path: Path) -> None:
    """Where there is no record, nobody waits for it."""
    (tmp_path / ".pegasus").write_text("in the way")
    said: list[str] = []
    async with detached(tmp_path / "queue.yaml", said.append) as record:
        start(record, 1)
        await record.persist()
    assert len(said) == 1


async def test_progress_says_what_is_on_the_disk(tmp_path: Path, disk: Disk) -> None:
    """The journal reports only such output of a detached command as a crash can't undo."""
    queue = queue_in(tmp_path)
    async with detached(queue, lambda _: None) as record:
        first, second = start(record, 1), start(record, 2)
        await show(record, first, b"abc")
        disk.refused = {"2.stdout"}
        with trio.move_on_after(10 * SMALL):
            await show(record, second, b"abc")
        for job in first, second:
            record.tell(Progressed(job, {Stream.STDOUT: 3}))
        await record.persist(first)
        await record.persist(first)
        assert disk.synced_size("1.stdout") == 3
        printed = [each.printed for _, each in only_run(queue).state.left()]
        assert printed == [{Stream.STDOUT: 3, Stream.STDERR: 0}, {}]


async def test_progress_of_a_command_that_has_ended(tmp_path: Path, disk: Disk) -> None:
    """A report that a sync held up is dropped once another try may run."""
    queue = queue_in(tmp_path)
    async with detached(queue, lambda _: None) as record:
        job = start(record, 1)
        await record.persist()
        await show(record, job, b"abc")
        record.tell(Progressed(job, {Stream.STDOUT: 3}))
        record.tell(Ended(job, Exited(1), 1.0, again=True))
        record.tell(Started(Assignment(1, job.job, job.sub_node, job.command, "another")))
        await record.persist()
        await record.persist()
        last = only_run(queue).state.jobs[1].executions[-1]
        assert (last.assignment.key, last.printed) == ("another", {})


async def test_lines_that_matter_are_never_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While lines wait without bound, starts and ends of detached commands are kept."""
    monkeypatch.setattr("pegasus.record.writer.MOST_LINES", 10)
    queue = queue_in(tmp_path)
    full = True
    write = os.write

    def refuse(fd: int, data: bytes) -> int:
        if full and _name(fd) == "journal.jsonl":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    async with detached(queue, lambda _: None) as record:
        job = start(record, 1)
        await record.persist()
        monkeypatch.setattr(os, "write", refuse)
        for _ in range(50):
            record.tell(Noted("a note"))
            record.tell(Cut(job, "gone"))
        end(record, job)
        full = False
        await record.persist()
    assert only_run(queue).state.counts() == {"succeeded": 1}
    assert only_run(queue).state.lines_missing > 0
