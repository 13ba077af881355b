"""What `pegasus retry` promises: what did not succeed comes back, as it was, and once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pegasus.commands.retry import RetrySettings, put_back, read_run, retry
from pegasus.errors import ExitStatus, FileFault, PegasusError
from pegasus.model import (
    AtMost,
    Demand,
    Exited,
    Job,
    Lost,
    Outcome,
)
from pegasus.queue_file import LockedQueue, content
from pegasus.queue_file import ledger as ledger_module
from pegasus.report.retried import Chosen
from tests.unit.records import record_of
from tests.unit.retries import BAD, commands, folder_of, jobs, recorded, recording, retried, tell


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give the path of a queue file that is not there yet."""
    return tmp_path / "queue.yaml"


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
        Job("x", (("lr", "1"),), None, Demand((("gpu", 2),), (("m", ("a",)),), AtMost(2, "disk"))),
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


def test_before_a_barrier(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where there is a barrier, jobs come back before it without ``--top``: they were above it."""
    recorded(queue, Exited(1), Exited(1))
    queue.write_text("- mine\n- barrier: succeeded\n- last\n")
    retried(queue, 2)
    assert queue.read_text() == "- job 2\n- mine\n- barrier: succeeded\n- last\n"
    assert "at the top of queue.yaml, above its barrier." in capfd.readouterr().err.replace(
        str(queue), "queue.yaml"
    )
    queue.write_text("- mine # a barrier\n")
    retried(queue, 1)
    assert queue.read_text() == "- mine # a barrier\n- job 1\n"


def test_once(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A job that was put back is not put back again, asked for or not."""
    recorded(queue, Exited(1), Exited(1))
    assert retried(queue, 1) is ExitStatus.SUCCESS
    assert retried(queue) is ExitStatus.SUCCESS
    assert commands(queue) == ["job 1", "job 2"]
    capfd.readouterr()
    assert retried(queue) is ExitStatus.SUCCESS
    assert (
        "Nothing of run 0001-run-1 is put back: 2 jobs were put back before.\n"
        in capfd.readouterr().err
    )
    assert retried(queue, 1) is ExitStatus.JOB_FAILED
    assert "  Job 1 is not put back: it was put back before.\n" in capfd.readouterr().err
    assert commands(queue) == ["job 1", "job 2"]


def test_numbers_select_and_the_others_are_told(
    queue: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is asked for and cannot be is told with its reason; the rest comes back."""
    recorded(queue, Exited(0), Exited(1), Exited(1))
    assert retried(queue, 1, 2, 9) is ExitStatus.JOB_FAILED
    assert commands(queue) == ["job 2"]
    err = capfd.readouterr().err
    assert "  Job 1 is not put back: it succeeded.\n" in err
    assert "  There is no job 9 in run 0001-run-1; it has jobs 1 to 3.\n" in err


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
    assert "is put back: 2 jobs succeeded.\n" in capfd.readouterr().err
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
    assert "Job 2 is not put back: it still runs.\n" in err
    assert "Job 3 is not put back: it is about to start.\n" in err


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


def test_what_is_chosen_is_told_apart(queue: Path) -> None:
    """The function behind the command gives the jobs, and the reasons by number."""
    recorded(queue, Exited(0), Exited(1))
    chosen = put_back(LockedQueue(str(queue), queue), read_run(queue, None), [])
    assert isinstance(chosen, Chosen)
    assert [job.number for job in chosen.jobs] == [2]
    assert chosen.refused == {1: "it succeeded"}
    assert content.state(queue) is not None
