"""What readers see of a record: the state of its run, damaged lines, and which runs there are."""

from pathlib import Path

import pytest

from pegasus.errors import PegasusError
from pegasus.events import (
    Ended,
    Returned,
    Started,
    SubNodeAdded,
    Unreachable,
)
from pegasus.model import (
    Assignment,
    Command,
    Exited,
    Killed,
    Lost,
    NotStarted,
    Stream,
    SubNode,
    TimedOut,
)
from pegasus.record import choose_run, current_runs, find_runs, read_runs, values
from pegasus.run_state.jobs import INTERRUPTED, INTERRUPTED_BEFORE_START
from tests.unit.records import (
    NODES,
    end,
    only_run,
    queue_in,
    recording,
    run_some,
    settle,
    show,
    start,
    take,
)


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
    assert choose_run(runs, "20261121-231500-12") is runs[1]
    for number in "12", "3", "012", "0":  # there is no such run, though a name has these digits
        with pytest.raises(PegasusError, match="There is no run"):
            choose_run(runs, number)
    with pytest.raises(PegasusError, match="Several runs"):
        choose_run(runs, "2026")
    with pytest.raises(PegasusError, match="There is no run 'x'"):
        choose_run(runs, "x")


async def test_the_same_name_twice(tmp_path: Path) -> None:
    """Two runs of one name, on two machines, do not share a record."""
    queue = queue_in(tmp_path)
    async with recording(queue) as first, recording(queue) as second:
        assert (first.name, second.name) == ("0001-run-1", "0002-run-1")
