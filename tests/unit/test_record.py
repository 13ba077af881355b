"""What the record of a run promises: all of it, readable, by its owner only, whatever happens."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
from functools import partial
from pathlib import Path

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import given

from pegasus.errors import PegasusError
from pegasus.events import (
    Ended,
    Event,
    Noted,
    Printed,
    Returned,
    RunEnded,
    Started,
    SubNodeAdded,
    Taken,
    Unreachable,
)
from pegasus.model import (
    Assignment,
    Cancelled,
    Command,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    SubNode,
    TimedOut,
)
from pegasus.record import choose_run, current_runs, decoding, find_runs, read_runs, values, writer
from pegasus.record import recording as recording_room
from pegasus.record.encoding import line_of
from pegasus.record.recording import Record, open_record
from pegasus.run_state.jobs import INTERRUPTED, INTERRUPTED_BEFORE_START
from tests.unit.records import (
    LIMIT,
    NODES,
    end,
    only_run,
    queue_in,
    recording,
    run_some,
    settle,
    show,
    start,
    start_on,
    take,
)

ANY_TEXT = st.text(st.characters(categories=None))
OUTCOMES: list[Outcome] = [
    Exited(0),
    Exited(255),
    Killed(9),
    Cancelled(),
    TimedOut(7200.0),
    Lost("broken pipe"),
    NotStarted("no such file"),
]


def lines_of(queue: Path) -> list[dict[str, object]]:
    """Read a journal as anybody would."""
    path = only_run(queue).folder.journal
    return [json.loads(line) for line in path.read_bytes().splitlines()]


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


# What is written.


async def test_everything_is_told_in_order(tmp_path: Path) -> None:
    """The journal is one JSON object a line: what happened, when, on which sub-node."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    lines = lines_of(queue)
    assert [line["event"] for line in lines] == [
        "run_started",
        *["connected"] * 3,
        *["taken", "started", "ended"] * 2,
        "run_ended",
    ]
    assert lines[4] | {"at": 0} == {
        "event": "taken",
        "at": 0,
        "job": 1,
        "command": "train {{ x }}",
        "params": {"x": "1"},
    }
    assert lines[9] | {"at": 0} == {
        "event": "ended",
        "at": 0,
        "job": 2,
        "sub_node": 2,
        "outcome": {"kind": "exited", "status": 3},
        "seconds": 1.5,
        "again": False,
        "stdout": 0,
        "stderr": 13,
    }
    assert lines[-1] | {"at": 0} == {
        "event": "run_ended",
        "at": 0,
        "exit_status": 1,
        "how": "done",
    }
    times = [line["at"] for line in lines]
    assert times == sorted(times)  # type: ignore[type-var]


async def test_only_the_owner_sees_it(tmp_path: Path) -> None:
    """Other users can look into none of it, and git leaves it alone."""
    queue = queue_in(tmp_path)
    before = os.umask(0)
    try:
        await run_some(queue)
    finally:
        os.umask(before)
    for path in [tmp_path / ".pegasus", *(tmp_path / ".pegasus").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert (tmp_path / ".pegasus/.gitignore").read_text() == "*\n"


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_every_outcome_comes_back(tmp_path: Path, outcome: Outcome) -> None:
    """An outcome is read as it was written, with all that belongs to it."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        end(record, start(record, 1), outcome)
    run = only_run(queue)
    assert run.state.outcomes(run.state.jobs[1]) == [outcome]


@given(texts=st.lists(ANY_TEXT, min_size=4, max_size=4))
def test_every_text_comes_back(texts: list[str]) -> None:
    """Newlines, quotes, emoji, halves of surrogate pairs: each text is read as it was written."""
    command, name, value, words = texts
    taken = line_of(Taken(1, Job(command, ((name, value),))), 1.0)
    noted = line_of(Noted(words), 1.0)
    assert taken.count(b"\n") == noted.count(b"\n") == 1
    data = decoding.data_of(taken)
    assert Job(data["command"], values.params_of(data)) == Job(command, ((name, value),))
    assert decoding.data_of(noted)["text"] == words


async def test_params_keep_their_order(tmp_path: Path) -> None:
    """A job is read as the identical job, so that it can be put back."""
    queue = queue_in(tmp_path)
    job = Job("x", (("zeta", "1e-4"), ("alpha", "010"), ("müll", "\udc80\n")))
    async with recording(queue) as record:
        record.tell(Taken(1, job))
    assert only_run(queue).state.jobs[1].job == job


# What jobs print.


async def test_output_byte_for_byte(tmp_path: Path) -> None:
    """What a job prints is kept as it is, its standard output and its standard error apart."""
    queue = queue_in(tmp_path)
    everything = bytes(range(256)) * 1000
    async with recording(queue) as record:
        job = start(record, 7)
        for begin in range(0, len(everything), 999):
            await show(record, job, everything[begin : begin + 999])
        await show(record, job, b"no newline", Stream.STDERR)
        end(record, job)
    run = only_run(queue)
    output = run.folder.output
    assert (output / "7.stdout").read_bytes() == everything
    assert (output / "7.stderr").read_bytes() == b"no newline"
    assert run.printed(run.state.jobs[7], Stream.STDOUT) == len(everything)


async def test_much_output(tmp_path: Path) -> None:
    """A hundred megabytes are kept like a hundred bytes, in bounded memory."""
    queue = queue_in(tmp_path)
    block = os.urandom(65536)
    async with recording(queue) as record:
        job = start(record, 1)
        for _ in range(1600):
            await show(record, job, block)
            assert waiting(record) <= writer.RECORD_ROOM + len(block)
        end(record, job)
    path = only_run(queue).folder.output / "1.stdout"
    assert path.stat().st_size == 1600 * len(block)
    with path.open("rb") as file:
        assert all(file.read(len(block)) == block for _ in range(1600))


async def test_no_file_for_nothing(tmp_path: Path) -> None:
    """A job that prints nothing leaves no file, and one that has ended no open file."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        before = open_files()
        for number in range(1, 50):
            job = start(record, number)
            if number > 1:
                await show(record, job, b"x")
            end(record, job)
        settle(record)
        assert open_files() == before
    assert not (only_run(queue).folder.output / "1.stdout").exists()


async def test_broadcast_output_by_sub_node(tmp_path: Path) -> None:
    """In a broadcast each sub-node's output is kept apart."""
    queue = queue_in(tmp_path)
    async with recording(queue, broadcast=True) as record:
        job = take(record, 1)
        for node in NODES:
            given_ = start_on(record, 1, job, node)
            await show(record, given_, f"{node}\n".encode())
            end(record, given_, Exited(node.number))
    run = only_run(queue)
    names = sorted(path.name for path in run.folder.output.iterdir())
    assert names == ["1-0.stdout", "1-1.stdout", "1-2.stdout"]
    assert run.state.outcomes(run.state.jobs[1]) == [Exited(0), Exited(1), Exited(2)]


# What it comes to.


async def test_a_run_that_goes_on(tmp_path: Path) -> None:
    """While a run goes on, its record says what runs, and is read on from where it was."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        job = start(record, 1)
        end(record, start(record, 2, node=NODES[1]), Killed(11))
        run = only_run(queue)
        assert only_run(queue).liveness == "running"
        assert [each.number for each, _ in run.state.running()] == [1]
        assert run.state.counts() == {"running": 1, "killed": 1}
        assert not run.refresh()
        end(record, job)
        assert run.refresh()
        assert run.state.counts() == {"succeeded": 1, "killed": 1}
    assert run.refresh()
    assert only_run(queue).liveness == run.liveness == "ended"


async def test_a_run_that_died(tmp_path: Path) -> None:
    """What ran, or was about to, when Pegasus died is lost, and told apart from what ended."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        end(record, start(record, 1))
        start(record, 2)
        take(record, 3)
    path = only_run(queue).folder.journal
    path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0] + b"\n")  # without its last line
    run = only_run(queue)
    assert run.liveness == "died"
    assert [run.state.outcomes(job) for job in run.state.jobs.values()] == [
        [Exited(0)],
        [INTERRUPTED],
        [INTERRUPTED_BEFORE_START],
    ]
    assert run.state.counts() == {"succeeded": 1, "lost": 2}
    assert not list(run.state.running())


async def test_returned_and_tried_again(tmp_path: Path) -> None:
    """A job that never started, or is tried once more, has not come to its end."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        job = start(record, 1)
        record.tell(Returned(job, "its connection broke"))
        record.tell(Unreachable(NODES[0], "Connection refused", 1.0))
        record.tell(Started(Assignment(1, job.job, NODES[1], Command("train 1"))))
        failed = start(record, 2)
        await show(record, failed, b"first\n")
        record.tell(Ended(failed, Exited(1), 1.0, again=True))
        run = only_run(queue)
        assert [each.sub_node for each in run.state.jobs[1].executions] == [NODES[1]]
        assert run.state.outcomes(run.state.jobs[2]) == [None]
        assert run.state.counts() == {"running": 1, "taken": 1}
        assert run.state.sub_nodes[0].words == "Connection refused"
        second = Assignment(2, failed.job, NODES[2], Command("train 2"))
        record.tell(Started(second))
        await show(record, second, b"second\n")
        end(record, second)
        record.tell(Ended(job, NotStarted("no sub-node was left for it"), 0.0))
        run.refresh()
        assert run.state.outcomes(run.state.jobs[2]) == [Exited(0)]
        assert run.state.outcomes(run.state.jobs[1]) == [NotStarted("no sub-node was left for it")]
        path = run.output(2, 2, Stream.STDOUT)
    assert path.read_bytes() == b"first\nsecond\n"


async def test_given_up(tmp_path: Path) -> None:
    """A job that was to be tried again, and is not, ended as it did the last time."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        job = start(record, 1)
        record.tell(Ended(job, TimedOut(5.0), 5.0, again=True))
        record.tell(Ended(job, TimedOut(5.0), 5.0))
        settle(record)
        run = only_run(queue)
        assert run.state.outcomes(run.state.jobs[1]) == [TimedOut(5.0)]
        assert len(run.state.jobs[1].executions) == 1


async def test_sub_nodes_that_come_later(tmp_path: Path) -> None:
    """A sub-node that was added during the run is in the record like the others."""
    queue = queue_in(tmp_path)
    late = SubNode(9, "node-9", (("gpu", "1"),))
    async with recording(queue) as record:
        record.tell(SubNodeAdded(late))
        end(record, start(record, 1, node=late))
    assert only_run(queue).state.sub_nodes[9].sub_node == late


# What can't be read.


async def test_tolerant_reading(tmp_path: Path) -> None:
    """A torn or broken line hides no other, and what a newer Pegasus writes is passed over."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    path = only_run(queue).folder.journal
    whole = path.read_bytes()
    first, rest = whole.split(b"\n", 1)
    first = first.replace(b'"format":1', b'"format":2').replace(b'"pegasus":"', b'"pegasus":"9')
    bad = b'{"event":"ended","job\n[1]\n\xff\n{"event":"ended","at":1}\n{"event":"new","at":1}\n'
    torn = b'{"event":"taken","at":1,"job":3'
    path.write_bytes(first + b"\n" + bad + rest + torn)
    run = only_run(queue)
    assert run.state.counts() == {"succeeded": 1, "failed": 1}
    assert (run.damaged, run.unknown) == (4, 1)
    assert "a newer Pegasus" in run.warnings[0]
    assert "4 lines of the journal cannot be read" in run.warnings[1]
    with path.open("ab") as file:
        file.write(b',"command":"x","params":{}}\n')
    assert run.refresh()
    assert 3 in run.state.jobs


def test_unknown_outcomes_count_as_lost() -> None:
    """An outcome of a kind that a newer Pegasus knows is no success."""
    outcome = values.outcome_of({"kind": "paused"})
    assert isinstance(outcome, Lost)
    assert "paused" in outcome.words


async def test_finding_runs(tmp_path: Path) -> None:
    """The runs of a queue are found by its file, the newest last; another queue's are not."""
    queue, other = queue_in(tmp_path), tmp_path / "other.yaml"
    assert read_runs(queue) == []
    await run_some(queue, "run-1")
    await run_some(other, "run-2")
    await run_some(queue, "run-0")
    (tmp_path / ".pegasus/died-at-once").mkdir()
    assert [run.name for run in read_runs(queue)] == ["0001-run-1", "0003-run-0"]
    async with recording(queue, "run-3"), recording(queue, "run-4"):
        await run_some(queue, "run-5")
        assert [run.name for run in current_runs(find_runs(queue))] == [
            "0004-run-3",
            "0005-run-4",
        ]
    assert [run.name for run in current_runs(find_runs(queue))] == ["0006-run-5"]


async def test_a_moved_folder(tmp_path: Path) -> None:
    """A folder that is moved takes its record with it."""
    queue = queue_in(tmp_path)
    (tmp_path / "a").mkdir()
    moved = queue.rename(tmp_path / "a" / queue.name)
    await run_some(moved)
    (tmp_path / "a").rename(tmp_path / "b")
    assert only_run(tmp_path / "b" / "queue.yaml").liveness == "ended"


async def test_choosing_a_run(tmp_path: Path) -> None:
    """A run is named by its name, by its number, or by a part of its name that no other has."""
    queue = queue_in(tmp_path)
    with pytest.raises(PegasusError, match="No run of this queue is recorded"):
        choose_run(find_runs(queue), "1")
    for name in "20261121-231500-1", "20261121-231500-12":
        await run_some(queue, name)
    runs = find_runs(queue)
    assert choose_run(runs, "0001-20261121-231500-1") is runs[0]
    assert choose_run(runs, "-12") is runs[1]
    assert choose_run(runs, "1") is choose_run(runs, "0001") is choose_run(runs, "01") is runs[0]
    assert choose_run(runs, "2") is runs[1]
    with pytest.raises(PegasusError, match="Several runs"):
        choose_run(runs, "2026")
    with pytest.raises(PegasusError, match="There is no run 'x'"):
        choose_run(runs, "x")


async def test_the_same_name_twice(tmp_path: Path) -> None:
    """Two runs of one name, on two machines, do not share a record."""
    queue = queue_in(tmp_path)
    async with recording(queue) as first, recording(queue) as second:
        assert (first.name, second.name) == ("0001-run-1", "0002-run-1")


# Whatever happens.


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
    """A run whose folder can't be written to goes on without a record, and says so once."""
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
