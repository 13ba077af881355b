"""Taking over a run whose Pegasus is gone: one follower, one journal, each byte once."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from pegasus.events import Ended, OutputSizes, Progressed, Released, RunEnded, TakenOver
from pegasus.model import Assignment, Exited, Lost, Outcome, Stream
from pegasus.record import GrowingOutput
from pegasus.record import folder as folders
from pegasus.record.encoding import line_of
from pegasus.record.recording import Record
from pegasus.record.taking_over import ContinuedRun, find_left, take_over
from tests.unit.left_runs import kill, left_run, start
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


@pytest.mark.parametrize("restarted", [True, False])
async def test_what_a_power_cut_may_have_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restarted: bool,  # noqa: FBT001
) -> None:
    """After a restart of its machine only what was synced counts; the node has the rest."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        job = start(record, 1)
        await show(record, job, b"abc")
        record.tell(Progressed(job, {OUT: 3}))
        await record.persist()
        await show(record, job, b"defg")
    journal = kill(queue)
    (line,) = [each for each in journal.read_bytes().splitlines() if b'"progressed"' in each]
    assert b'"stdout":3' in line
    if restarted:
        monkeypatch.setattr(folders, "boot_of_host", lambda: "another")
    async with taken_over(queue) as continued:
        assert extents(continued) == [{OUT: 3 if restarted else 7, ERR: 0}]
    async with taken_over(queue) as continued:  # this time the same machine goes on
        assert extents(continued) == [{OUT: 3 if restarted else 7, ERR: 0}]


@pytest.mark.parametrize("cut", [True, False])
async def test_an_end_whose_output_a_power_cut_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: bool,  # noqa: FBT001
) -> None:
    """An end that reached the disk before its output does not count: it is followed once more."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        job = start(record, 1)
        await show(record, job, b"abcdef")
        record.tell(Ended(job, Exited(4), 1.0))
    kill(queue)
    monkeypatch.setattr(folders, "boot_of_host", lambda: "another")
    path = only_run(queue).output(1, 0, OUT)
    if cut:
        os.truncate(path, 2)
    async with taken_over(queue) as continued:
        (left,) = continued.commands
        assert left.has_ended is not cut
        if cut:
            assert left.extent == {OUT: 2, ERR: 0}
            await show(continued.record, left.assignment, b"cdef")
            finish(continued.record, left.assignment, {OUT: 6}, Exited(4))
    assert path.read_bytes() == b"abcdef"
    run = only_run(queue)
    assert run.state.counts() == {"failed": 1}
    assert len(run.state.jobs[1].executions) == 1
    assert run.state.recorded_bytes == 6


@pytest.mark.parametrize("what", ["longer", "shorter", "missing", "folder", "link", "no output"])
async def test_files_that_were_changed(tmp_path: Path, what: str) -> None:
    """Whatever became of an output meanwhile, its command is followed from what is there."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        first = start(record, 1, "first")
        await show(record, first, b"abcde")
        record.tell(Ended(first, Exited(1), 1.0, again=True))
        record.tell(Released(first))
        second = start_on(record, 1, first.job, NODES[0], "second")
        await show(record, second, b"xyz")
        record.tell(Progressed(second, {OUT: 3}))
        await record.persist()
    kill(queue)
    path = only_run(queue).output(1, 0, OUT)
    size = 3
    match what:
        case "longer":
            path.write_bytes(b"abcdexyz123")
            size = 6
        case "shorter":
            os.truncate(path, 4)
            size = 0
        case "missing":
            path.unlink()
            size = 0
        case "folder":
            path.unlink()
            path.mkdir()
            size = 0
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
            size = 0
        case "no output":
            path.unlink()
            path.parent.rmdir()
            size = 0
    for _ in range(2):
        async with taken_over(queue) as continued:
            assert extents(continued) == [{OUT: size, ERR: 0}]
    if what in {"shorter", "missing"}:
        async with taken_over(queue) as continued:
            await show(continued.record, second, b"xyz")
        async with taken_over(queue) as continued:
            assert extents(continued) == [{OUT: 3, ERR: 0}]
    if what == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b"abcdexyz"


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
