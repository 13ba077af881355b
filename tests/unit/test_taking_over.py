"""Taking over a run whose Pegasus is gone: one follower, one journal, each byte once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import trio

from pegasus.events import (
    Discarded,
    Ended,
    Prepared,
    Released,
    RunEnded,
    TakenOver,
)
from pegasus.model import Exited, Lost, Stream
from pegasus.record import GrowingOutput, RunRecord
from pegasus.record.encoding import line_of
from pegasus.record.taking_over import find_left, take_over
from tests.unit.left_runs import extents, finish, kill, left_run, start, taken_over
from tests.unit.records import (
    LIMIT,
    NODES,
    fail,
    only_run,
    open_files,
    queue_in,
    recording,
    show,
    start_on,
    take,
)

OUT, ERR = Stream.STDOUT, Stream.STDERR


async def test_a_command_is_followed_to_its_end(tmp_path: Path) -> None:
    """The record of the run that started a command is continued: one output, one end."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        await show(record, start(record, 1), b"abc")
    kill(queue)
    assert only_run(queue).state.counts() == {"detached": 1}
    before = open_files()
    async with taken_over(queue) as continued:
        (left,) = continued.commands
        assert (left.extent, left.has_ended, left.stop_stored) == ({OUT: 3, ERR: 0}, False, False)
        assert left.assignment.key == "key-1"
        assert only_run(queue).liveness == "running"
        assert only_run(queue).state.counts() == {"running": 1}
        await show(continued.record, left.assignment, b"def")
        await continued.record.persist(left.assignment)
        finish(continued.record, left.assignment, {OUT: 6}, Exited(3))
        continued.record.tell(RunEnded(1, "done"))
    run = only_run(queue)
    assert run.state.counts() == {"failed": 1}
    assert run.output(1, 0, OUT).read_bytes() == b"abcdef"
    assert run.liveness == "ended"
    assert run.state.follower is not None
    assert (run.state.follower.pid, run.state.follower.by) == (os.getpid(), "0002-run-2")
    assert run.damaged == 0
    assert find_left(queue, []) == []
    assert open_files() == before


async def test_a_run_that_left_nothing_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue may have had many long runs; only those are read that have left something."""
    queue = queue_in(tmp_path)
    read: list[str] = []
    refresh = RunRecord.refresh

    def note(run: RunRecord) -> bool:
        read.append(run.name)
        return refresh(run)

    monkeypatch.setattr(RunRecord, "refresh", note)
    async with recording(queue, detached=True) as record:
        record.tell(Prepared(NODES[0], "key-1"))
        record.tell(Prepared(NODES[1], "key-2"))
        job = start(record, 1)
        record.tell(Ended(job, Exited(0), 1.0))
        record.tell(Released(job))
    left_run(queue)
    assert len(read) == 1
    async with taken_over(queue) as continued:
        assert continued.commands == []
        assert list(continued.state.folders.strays) == ["key-2"]
        continued.record.tell(Discarded(NODES[1], "key-2"))
    read.clear()
    assert find_left(queue, []) == []
    assert read == []


async def test_a_follower_that_leaves(tmp_path: Path) -> None:
    """A command may be taken over again and again; the run counts as left in between."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        await show(record, start(record, 1), b"0")
        record.tell(RunEnded(None, "left"))
    for round_ in range(1, 4):
        async with taken_over(queue, "") as continued:
            assert extents(continued) == [{OUT: round_, ERR: 0}]
            await show(continued.record, continued.commands[0].assignment, b"%d" % round_)
        end = only_run(queue).state.end
        assert end is not None
        assert (end.result, end.exit_status) == ("left", None)
    assert left_run(queue).output(1, 0, OUT).read_bytes() == b"0123"


async def test_tries_that_share_a_file(tmp_path: Path) -> None:
    """What earlier tries of a job printed does not count as output of the one that is followed."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        first = start(record, 1, "first")
        await show(record, first, b"abcde")
        record.tell(Ended(first, Lost("given up"), 1.0, again=True))
        second = start_on(record, 1, first.job, NODES[1], "second")
        await show(record, second, b"xy")
        await show(record, second, b"e", ERR)
    kill(queue)
    async with taken_over(queue) as continued:
        assert [each.has_ended for each in continued.commands] == [True, False]
        assert extents(continued)[1] == {OUT: 2, ERR: 1}


async def test_a_broadcast(tmp_path: Path) -> None:
    """In a broadcast each sub-node has files of its own."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True, broadcast=True) as record:
        job = take(record, 1)
        for node in (0, 1):
            assignment = start_on(record, 1, job, NODES[node], f"key-{node}")
            await show(record, assignment, b"abc"[: node + 1])
    kill(queue)
    async with taken_over(queue) as continued:
        assert extents(continued) == [{OUT: 1, ERR: 0}, {OUT: 2, ERR: 0}]


async def test_only_one_follows(tmp_path: Path) -> None:
    """Neither of a run that goes on nor of one that is followed can commands be taken over."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        start(record, 1)
        async with take_over(left_run(queue), "", fail) as nothing:
            assert nothing is None
    async with taken_over(queue), take_over(left_run(queue), "", fail) as nothing:
        assert nothing is None


async def test_of_many_at_once_exactly_one_wins(tmp_path: Path) -> None:
    """Whoever begins at the same time: one process follows a command, also while others look."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        start(record, 1)
    results: list[bool] = []
    done = trio.Event()

    async def try_it() -> None:
        async with take_over(left_run(queue), "", fail) as continued:
            results.append(continued is not None)
            if len(results) == 8:
                done.set()
            await done.wait()

    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(try_it)
    assert sorted(results) == [False] * 7 + [True]


async def test_nothing_is_left_any_more(tmp_path: Path) -> None:
    """The journal is read again under the lock: another may have followed all to its end."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        job = start(record, 1)
    stale = left_run(queue)
    async with taken_over(queue) as continued:
        finish(continued.record, job, {}, Exited(0))
    before = stale.folder.journal.read_bytes()
    async with take_over(stale, "", fail) as nothing:
        assert nothing is None
    assert stale.folder.journal.read_bytes() == before
    assert not stale.is_alive()


async def test_a_torn_line(tmp_path: Path) -> None:
    """A line that a crash cut short stays by itself; those that follow it are whole."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        start(record, 1)
    journal = kill(queue)
    with journal.open("ab") as file:
        file.write(b'{"event":"ended","at":1')
    async with taken_over(queue) as continued:
        finish(continued.record, continued.commands[0].assignment, {}, Exited(0))
    run = only_run(queue)
    assert run.damaged == 1
    assert run.state.counts() == {"succeeded": 1}


async def test_a_record_that_cannot_be_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong is said, nothing is followed, and nothing stays open."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        start(record, 1)
    run = left_run(queue)
    run.folder.journal.rename(tmp_path / "away")
    before, said = open_files(), list[str]()
    async with take_over(run, "", said.append) as nothing:
        assert nothing is None
    (tmp_path / "away").rename(run.folder.journal)

    def refuse(path: Path) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pegasus.durable.open_private", refuse)
    async with take_over(run, "", said.append) as nothing:
        assert nothing is None
    assert open_files() == before
    assert len(said) == 2
    for words in said:
        assert words.startswith(f"The detached commands of run {run.name} cannot be taken over. ")


async def test_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without locks, a run is not taken over where the process that had it last may live."""

    def no_flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_flock)
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True, on_trouble=lambda _: None) as record:
        start(record, 1)
    # The run has said that it ended.
    async with taken_over(queue), take_over(left_run(queue), "", fail) as nothing:
        assert nothing is None
    journal = kill(queue)
    dead = 2**22 - 1
    for pid, host, may in ((os.getpid(), "", False), (dead, "", True), (dead, "away", False)):
        here = host or os.uname().nodename
        kept = journal.read_bytes()
        journal.write_bytes(kept + line_of(TakenOver(pid, here, "", ""), 2e9))
        async with take_over(left_run(queue), "", fail) as continued:
            assert (continued is not None) is may
        journal.write_bytes(kept)


async def test_a_reader_sees_each_byte_once(tmp_path: Path) -> None:
    """Who follows an output from another terminal misses and repeats nothing."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        job = start(record, 1)
        await show(record, job, b"abcde")
        await record.persist()
    kill(queue)
    run = left_run(queue)
    reader, read = GrowingOutput(run.output(1, 0, OUT)), b"".join
    seen = read(reader.new_blocks())
    os.truncate(run.output(1, 0, OUT), 2)  # as after a power cut
    async with taken_over(queue) as continued:
        for block in (b"c", b"d", b"efg"):
            await show(continued.record, continued.commands[0].assignment, block)
            await continued.record.persist()
            seen += read(reader.new_blocks())
    assert seen == b"abcdefg"
