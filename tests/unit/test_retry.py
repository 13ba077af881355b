"""What `pegasus retry` promises: what did not succeed comes back, as it was, and once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from pegasus import durable, grid
from pegasus.commands.retry import Chosen, RetrySettings, put_back, read_run, retry
from pegasus.errors import ExitStatus, FileFault, PegasusError
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
from pegasus.queue_file import LockedQueue, QueueFile, content
from pegasus.queue_file import ledger as ledger_module
from pegasus.record.recording import Record, open_record
from tests.unit.records import record_of
from tests.unit.taking import unfilled

NODES = (SubNode(0, "node-1"), SubNode(1, "node-2", (("gpu", "0"),)))
BAD: list[Outcome] = [
    Exited(3),
    Killed(9),
    Cancelled(),
    TimedOut(5.0),
    Lost("gone"),
    NotStarted("no node"),
]


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give the path of a queue file that is not there yet."""
    return tmp_path / "queue.yaml"


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


@pytest.mark.parametrize("outcome", BAD, ids=lambda outcome: type(outcome).__name__)
def test_every_kind_of_failure_comes_back(
    outcome: Outcome, queue: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Failed, killed, cancelled, timed out, lost and not started: each comes back."""
    recorded(queue, Exited(0), outcome)
    assert retried(queue) is ExitStatus.SUCCESS
    assert commands(queue) == ["job 2"]
    err = capfd.readouterr().err
    assert "Put 1 job of run 0001-run-1 back at the end of" in err
    assert f"job 2 ({outcome}): job 2" in err


@pytest.mark.parametrize(
    "job",
    [
        Job("echo {{ x }}", (("x", "1e-4"), ("y", "yes"))),
        Job("set -e\necho 'a: b' # c\n"),
        Job("  - é \U0001f600 \u2028 {{ x }}", (("b", " "), ("a", "\t\n"), ("c d", ""))),
    ],
)
def test_a_job_comes_back_as_it_was(job: Job, queue: Path) -> None:
    """What is put back is the very job that was taken, and not what was filled in."""

    async def record_one() -> None:
        async with recording(queue) as record:
            tell(record, 1, job, [Exited(1)])

    trio.run(record_one)
    retried(queue)
    assert jobs(queue) == [job]


def test_at_the_end_or_at_the_top(queue: Path) -> None:
    """Jobs come back in their order, behind all that waits or, with ``--top``, before it."""
    recorded(queue, *[Exited(1)] * 4)
    queue.write_text("- mine # here\n")
    retried(queue, 2, 1)
    retried(queue, 4, 3, top=True)
    assert commands(queue) == ["job 3", "job 4", "mine", "job 1", "job 2"]
    assert "- mine # here\n" in queue.read_text()


def test_once(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A job that was put back is not put back again, asked for or not."""
    recorded(queue, Exited(1), Exited(1))
    assert retried(queue, 1) is ExitStatus.SUCCESS
    assert retried(queue) is ExitStatus.SUCCESS
    assert commands(queue) == ["job 1", "job 2"]
    capfd.readouterr()
    assert retried(queue) is ExitStatus.SUCCESS
    assert (
        "Nothing of run 0001-run-1 is put back (it was put back before: 2)"
        in capfd.readouterr().err
    )
    assert retried(queue, 1) is ExitStatus.JOB_FAILED
    assert "job 1 not: it was put back before" in capfd.readouterr().err
    assert commands(queue) == ["job 1", "job 2"]


def test_numbers_select_and_the_others_are_told(
    queue: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is asked for and cannot be is told with its reason; the rest comes back."""
    recorded(queue, Exited(0), Exited(1), Exited(1))
    assert retried(queue, 1, 2, 9) is ExitStatus.JOB_FAILED
    assert commands(queue) == ["job 2"]
    err = capfd.readouterr().err
    assert "job 1 not: it succeeded" in err
    assert "job 9 not: there is no such job in this run" in err


def test_the_newest_run_or_another(queue: Path) -> None:
    """Without ``--run`` the newest run is meant; a part of a name will do for another."""
    recorded(queue, Exited(1), name="20260101-first")
    recorded(queue, Exited(0), Exited(1), name="20260102-second")
    retried(queue)
    assert commands(queue) == ["job 2"]
    retried(queue, run="first")
    assert commands(queue) == ["job 2", "job 1"]
    with pytest.raises(PegasusError, match="Several runs"):
        retried(queue, run="2026")


def test_runs_whose_names_begin_alike(queue: Path) -> None:
    """A run's jobs are never taken for those of another."""
    recorded(queue, Exited(1), name="run")
    recorded(queue, Exited(1), Exited(1), name="run-2")
    for _ in range(2):
        retried(queue, run="run-2")
        with pytest.raises(PegasusError, match="Several runs"):
            retried(queue, run="ru")
    trio.run(retry, RetrySettings(queue_file=queue, run="0001-run", color="never"))
    assert commands(queue) == ["job 1", "job 2", "job 1"]


def test_no_run(queue: Path) -> None:
    """Without a record there is nothing to put back, and a sentence says so."""
    with pytest.raises(PegasusError, match=r"No run of queue\.yaml is recorded"):
        retried(queue)


def test_a_run_in_which_all_went_well(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing to put back is no error, and touches nothing."""
    recorded(queue, Exited(0), Exited(0))
    assert retried(queue) is ExitStatus.SUCCESS
    assert "(it succeeded: 2)" in capfd.readouterr().err
    assert not queue.exists()


def test_a_run_that_was_killed(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What ran when Pegasus was killed is lost, and comes back; so does what never started."""
    recorded(queue, Exited(0), None)
    journal = record_of(queue) / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"event":"taken","at":1,"job":3,"command":"job 3","params":{}}\n')
        file.write(b'{"event":"taken","at":1,"job":4,"comm')
    retried(queue)
    assert commands(queue) == ["job 2", "job 3"]
    assert "job 2 (lost: " in capfd.readouterr().err


async def test_a_run_that_goes_on(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What failed comes back while the run goes on; what runs, or is about to, does not."""
    async with recording(queue) as record:
        tell(record, 1, Job("failed"), [Exited(1)])
        tell(record, 2, Job("runs"), [None])
        tell(record, 3, Job("taken"), [])
        with trio.fail_after(20):  # a thread writes it down
            while 3 not in read_run(queue, None).state.jobs:
                await trio.sleep(0.01)
        settings = RetrySettings(queue_file=queue, jobs=(1, 2, 3), color="never")
        assert await retry(settings) is ExitStatus.JOB_FAILED
    assert commands(queue) == ["failed"]
    err = capfd.readouterr().err
    assert "job 2 not: it still runs" in err
    assert "job 3 not: it is about to start" in err


async def test_a_broadcast(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A job that failed on some sub-nodes comes back once, to run on all of them."""
    async with recording(queue, mode="broadcast") as record:
        tell(record, 1, Job("a"), [Exited(0), Exited(3)])
        tell(record, 2, Job("b"), [Exited(0), Exited(0)])
        tell(record, 3, Job("c"), [Lost("x"), None])
    settings = RetrySettings(queue_file=queue, color="never")
    assert await retry(settings) is ExitStatus.SUCCESS
    assert commands(queue) == ["a", "c"]
    err = capfd.readouterr().err
    assert "a broadcast runs each on every sub-node again" in err
    assert "job 1 (exit status: 3 on node-2 (gpu=0)): a" in err


def test_many(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """All of many come back in one step; the first are told."""
    recorded(queue, *[Exited(1)] * 50)
    retried(queue)
    assert commands(queue) == [f"job {number}" for number in range(1, 51)]
    err = capfd.readouterr().err
    assert "Put 50 jobs" in err
    assert "… and 30 more" in err


def test_a_queue_with_a_fault(queue: Path) -> None:
    """Nothing is put back into a file that cannot take it, and nothing is noted."""
    recorded(queue, Exited(1))
    queue.write_text("- [a\n")
    before = folder_of(queue)
    with pytest.raises(FileFault):
        retried(queue)
    assert (queue.read_text(), folder_of(queue)) == ("- [a\n", sorted([*before, "queue.yaml.lock"]))
    queue.write_text("")
    retried(queue)
    assert commands(queue) == ["job 1"]


def test_the_record_of_somebody_else(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be noted that a job is back, it is not put back."""
    recorded(queue, Exited(1))
    ledger = record_of(queue) / ledger_module.LEDGER
    ledger.mkdir()
    with pytest.raises(PegasusError, match="Nothing was put back"):
        retried(queue)
    ledger.rmdir()
    assert commands(queue) == []
    retried(queue)
    assert commands(queue) == ["job 1"]
    assert folder_of(queue) == [".pegasus", "queue.yaml", "queue.yaml.lock"]


def test_an_editor_that_saves_in_between(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody saves at the same moment, without the lock, is respected."""
    recorded(queue, Exited(1))
    queue.write_text("- before\n")
    append = ledger_module.RetryLedger._append
    saved: list[int] = []

    def append_and_save(ledger: ledger_module.RetryLedger, data: dict[str, object]) -> None:
        append(ledger, data)
        if not saved:
            saved.append(queue.write_text("- before\n- saved\n"))

    monkeypatch.setattr(ledger_module.RetryLedger, "_append", append_and_save)
    retried(queue)
    retried(queue)
    assert commands(queue) == ["before", "saved", "job 1"]


def test_a_program_that_never_stops_saving(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left to itself after some tries; the jobs can be put back later."""
    recorded(queue, Exited(1))
    states = iter(range(1000))
    monkeypatch.setattr(content, "state", lambda _: (next(states), 0, 0))
    queue.write_text("- mine\n")
    with pytest.raises(PegasusError, match="keep rewriting"):
        retried(queue)
    monkeypatch.undo()
    retried(queue)
    assert commands(queue) == ["mine", "job 1"]


# Crashes.


class Crash(BaseException):
    """The end of the process, at some moment."""


def crash_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Die before, or right after, the so-manieth step on the disk, and do nothing from then on."""
    steps = iter(range(1000))
    dead = False

    def live() -> None:
        nonlocal dead
        dead = dead or next(steps) == moment
        if dead:
            raise Crash

    def wrap(target: object, name: str) -> None:
        real = getattr(target, name)

        def step(*args: object, **options: object) -> object:
            live()
            result = real(*args, **options)
            live()
            return result

        monkeypatch.setattr(target, name, step)

    for name in ("write_new", "write_all", "sync_folder"):
        wrap(durable, name)
    for name in ("replace", "unlink"):
        wrap(Path, name)
    wrap(os, "fsync")


def crashed(queue: Path, moment: int, jobs: Sequence[int]) -> bool:
    """Retry, and die at a moment; tell whether the moment came."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        crash_at(monkeypatch, moment)
        try:
            put_back(LockedQueue(str(queue), queue), read_run(queue, None), jobs)
        except Crash:
            return True
    return False


@pytest.mark.parametrize("others", [False, True], ids=["alone", "others-take"])
def test_a_crash_at_any_moment_neither_loses_nor_doubles_a_job(
    *, others: bool, tmp_path: Path
) -> None:
    """Killed wherever you like and called again, each job is back exactly once.

    That is so also where a run takes from the queue between the crash and the second try.
    """
    moment = -1
    died = True
    while died:
        moment += 1
        queue = tmp_path / str(moment) / "queue.yaml"
        queue.parent.mkdir()
        recorded(queue, Exited(1), Exited(1))
        queue.write_text("- first\n- mine\n")
        died = crashed(queue, moment, [1])
        if others:
            assert LockedQueue(str(queue), queue).take([unfilled]).jobs
        for _ in range(2):
            put_back(LockedQueue(str(queue), queue), read_run(queue, None), [])
        there = commands(queue)
        assert sorted(there) == sorted([*(["first"] * (not others)), "mine", "job 1", "job 2"])
        assert not [name for name in folder_of(queue) if "pegasus-retry" in name]
    assert moment > 20


KILLED = """
import os, signal, sys
from pathlib import Path
from pegasus.commands import retry as room
from pegasus.queue_file import LockedQueue, ledger as ledger_module
queue = Path(sys.argv[1])
append = ledger_module.RetryLedger._append
def dying(ledger, data):
    append(ledger, data)
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "noted":
    ledger_module.RetryLedger._append = dying
room.put_back(LockedQueue(str(queue), queue), room.read_run(queue, None), [])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("when", "waiting"), [("noted", []), ("done", ["job 1"])])
def test_kill_9(when: str, waiting: list[str], queue: Path) -> None:
    """A process that is killed right before the last step, or right after it, really."""
    recorded(queue, Exited(1))
    done = subprocess.run([sys.executable, "-c", KILLED, str(queue), when], check=False)
    assert done.returncode == -signal.SIGKILL
    assert commands(queue) == waiting
    retried(queue)
    retried(queue)
    assert commands(queue) == ["job 1"]
    assert folder_of(queue) == [".pegasus", "queue.yaml", "queue.yaml.lock"]


def test_a_torn_line_is_passed_over(queue: Path) -> None:
    """A line that a crash cut off says nothing, and the next one begins behind it."""
    recorded(queue, Exited(1), Exited(1))
    retried(queue, 1)
    ledger = record_of(queue) / ledger_module.LEDGER
    with ledger.open("ab") as file:
        file.write(b'{"at": 1, "jobs": [2], "ne')
    retried(queue, 2)
    retried(queue)
    assert commands(queue) == ["job 1", "job 2"]
    lines = ledger.read_bytes().splitlines()
    assert [json.loads(line)["jobs"] for line in (lines[0], lines[2])] == [[1], [2]]


def test_what_is_chosen_is_told_apart(queue: Path) -> None:
    """The function behind the command gives the jobs, and the reasons by number."""
    recorded(queue, Exited(0), Exited(1))
    chosen = put_back(LockedQueue(str(queue), queue), read_run(queue, None), [])
    assert isinstance(chosen, Chosen)
    assert [job.number for job in chosen.jobs] == [2]
    assert chosen.refused == {1: "it succeeded"}
    assert content.state(queue) is not None
