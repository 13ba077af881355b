"""Barriers over the records of several runs: live ones, killed ones, retries and detached ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.events import Ended, Released, Returned, RunEnded, Started, TakenOver
from pegasus.model import Exited, Lost, StepOrigin
from pegasus.record import RunFolder, records_of
from tests.unit.barrier_trial import (
    OWN,
    B,
    C,
    Trial,
    above,
    assigned,
    ended,
    put_back,
    started,
    taken,
)
from tests.unit.shared import RecordedRun, recorded

PATIENCE = 61.0


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """A queue file."""
    path = tmp_path / "queue.yaml"
    path.write_text("- barrier: succeeded\n")
    return path


@pytest.fixture
def trial(queue: Path) -> Trial:
    """A run at a barrier."""
    return Trial(queue)


# The run itself.


def test_its_own_jobs_count_as_they_are(trial: Trial) -> None:
    """Of its own jobs a run knows more than its journal: one that waits to be tried is unended."""
    with recorded(trial.queue, OWN):
        above(trial.queue, (OWN, 1), (OWN, 2))
        trial.tell(taken(1), *started(2))
        assert trial.verdict() == "waits: job 1 waits for its node, job 2 runs on node-1"
        trial.tell(ended(2, Exited(1), again=True), Started(assigned(1)), ended(1))
        assert trial.verdict() == "waits: job 2 waits for another try"
        trial.tell(Started(assigned(2)), ended(2, Exited(1)))
        assert trial.verdict().startswith("closed: Job 2 failed")
        put_back(trial.queue, OWN, 2)
        assert trial.verdict() == "open"


def test_a_take_that_did_not_happen(trial: Trial) -> None:
    """A line for a job that was never taken, and a torn or odd line, keep nothing closed."""
    with recorded(trial.queue, OWN, B) as (_, other):
        above(trial.queue, (OWN, 7), (B, 9), ("0000-unknown", 1))
        with (records_of(trial.queue) / "above-barrier").open("a") as file:
            file.write('null\n[]\n{"run": 1}\n{"run": "0001-run-a", "job"')
        other.kill()
        trial.clock.pass_by(PATIENCE)
        assert trial.opens()


# Other runs that live.


def test_it_waits_for_the_jobs_of_another_run(trial: Trial) -> None:
    """It opens when the last job of each run has ended well, and not before."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(taken(1))
        above(trial.queue, (B, 1))
        assert trial.verdict() == f"waits: job 1 of run {B} waits for its node"
        other.tell(Started(assigned(1)))
        assert trial.verdict() == f"waits: job 1 of run {B} runs on node-1"
        other.tell(Returned(assigned(1), "node is away"))
        assert trial.verdict() == f"waits: job 1 of run {B} waits for its node"
        other.tell(Started(assigned(1)), ended(1, Exited(1), again=True))
        assert trial.verdict() == f"waits: job 1 of run {B} waits for another try"
        other.tell(Started(assigned(1)), ended(1))
        assert trial.opens()


def test_a_run_that_begins_while_it_waits(trial: Trial) -> None:
    """A run that is started later is found, and what it takes counts."""
    with recorded(trial.queue, OWN):
        assert trial.opens()
        with recorded(trial.queue, B) as (other,):
            other.tell(*started(1))
            assert not trial.opens()
            other.tell(ended(1))
            assert trial.opens()


def test_a_failure_in_another_run(trial: Trial) -> None:
    """A failure elsewhere keeps it closed, until it is put back and has succeeded."""
    with recorded(trial.queue, OWN, B) as (_, other):
        above(trial.queue, (B, 1))
        other.tell(*started(1), ended(1, Exited(3)))
        assert trial.verdict().startswith(f"closed: Job 1 of run {B} failed (exit status: 3)")
        assert trial.opens("ended")
        other.tell(RunEnded(1, "done"))
        other.kill()
        assert trial.verdict().startswith(f"closed: Job 1 of run {B} failed")
        put_back(trial.queue, B, 1)
        assert trial.opens()  # it is the first item no more; that is for the queue to see
        with recorded(trial.queue, C) as (third,):
            third.tell(*started(1))
            above(trial.queue, (C, 1))
            assert trial.verdict() == f"waits: job 1 of run {C} runs on node-1"
            third.tell(ended(1, Exited(4)))
            assert trial.verdict().startswith(f"closed: Job 1 of run {C} failed (exit status: 4)")
            put_back(trial.queue, C, 1)
            third.tell(*started(2), ended(2))
            assert trial.opens()


def test_old_runs_do_not_matter(trial: Trial) -> None:
    """What failed in runs before the barrier keeps nothing closed, and they are not read."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(*started(1), ended(1, Exited(3)), RunEnded(1, "done"))
        other.kill()
        assert trial.opens()


def test_other_queues_of_the_folder(trial: Trial) -> None:
    """Runs of another queue file in the same folder do not matter."""
    with (
        recorded(trial.queue, OWN),
        recorded(trial.queue.with_name("other.yaml"), B) as (other,),
    ):
        other.tell(*started(1))
        assert trial.opens()
        assert trial.opens()


def test_a_barrier_that_was_added_later(trial: Trial) -> None:
    """What runs while a barrier is the first item counts as above it, whichever run asks later."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(*started(1), *started(2), ended(2, Exited(1)))
        assert trial.verdict() == f"waits: job 1 of run {B} runs on node-1"
        other.tell(ended(1, Exited(3)))
        assert trial.verdict().startswith(f"closed: Job 1 of run {B} failed")
        assert Trial(trial.queue).verdict().startswith(f"closed: Job 1 of run {B} failed")


# Runs that were killed.


def test_a_killed_run(trial: Trial) -> None:
    """It waits until the node says that the commands are gone; they have not succeeded."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(*started(1), *started(2))
        above(trial.queue, (B, 1), (B, 2))
        other.kill()
        words = f"job 1 of run {B} was cut off and may still run on node-1"
        assert trial.verdict("ended").startswith(f"waits: {words}, job 2")
        assert trial.verdict().startswith(f"closed: Job 1 of run {B} failed (lost: Pegasus was")
        trial.clock.pass_by(5)
        assert words in trial.verdict("ended")
        trial.learn(frozenset({(B, 1)}))
        assert trial.verdict("ended") == f"waits: {words}"
        trial.learn(frozenset())
        assert trial.opens("ended")
        assert trial.verdict().startswith("closed: Job 1")
        put_back(trial.queue, B, 1, 2)
        assert trial.opens()


def test_a_killed_run_whose_command_lives_and_was_put_back(trial: Trial) -> None:
    """A job that was put back while its old command still lived does not open it early."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(*started(1))
        above(trial.queue, (B, 1))
        other.kill()
        put_back(trial.queue, B, 1)
        assert trial.verdict() == (
            f"waits: job 1 of run {B} was cut off and may still run on node-1"
        )
        trial.clock.pass_by(5)
        trial.verdict()
        trial.learn(frozenset())
        assert trial.opens()


def test_a_killed_run_on_a_node_that_cannot_be_asked(trial: Trial) -> None:
    """Where the node cannot be asked, it waits a minute."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(*started(1))
        other.kill()
        for passed in (0, 30):
            trial.clock.pass_by(passed)
            assert not trial.opens("ended")
            trial.learn(None)
            assert not trial.opens("ended")
        trial.clock.pass_by(PATIENCE)
        trial.verdict("ended")
        trial.learn(None)
        assert trial.opens("ended")


def test_a_killed_run_that_had_started_nothing(trial: Trial) -> None:
    """A job that was taken and never started runs nowhere, but has not succeeded."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(taken(1))
        above(trial.queue, (B, 1))
        other.kill()
        assert trial.opens("ended")
        assert trial.verdict().startswith(f"closed: Job 1 of run {B} failed (lost: Pegasus was")


def test_a_run_that_was_killed_between_two_tries(trial: Trial) -> None:
    """A job that waited for another try has failed with its last outcome."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(*started(1), ended(1, Exited(9), again=True))
        above(trial.queue, (B, 1))
        other.kill()
        assert trial.opens("ended")
        assert "failed (exit status: 9)" in trial.verdict()


def test_a_removed_record(trial: Trial) -> None:
    """A run whose record a user removes is known no more."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.tell(*started(1))
        above(trial.queue, (B, 1))
        assert not trial.opens()
        other.folder.path.rename(trial.queue.parent / "away")
        assert trial.opens()


@pytest.mark.parametrize("instead", ["nothing", "a file"])
def test_without_a_folder_of_records(trial: Trial, instead: str) -> None:
    """A run whose folder of records is gone still knows which of its own jobs have failed."""
    if instead == "a file":
        records_of(trial.queue).write_text("")
    trial.tell(*started(1), *started(2))
    assert "runs on node-1" in trial.verdict()
    trial.tell(ended(1, Exited(1)), ended(2))
    assert trial.verdict().startswith("closed: Job 1 failed")
    assert trial.opens("ended")
    assert trial.opens()
    trial.tell(*started(3), ended(3, Exited(1)))
    assert trial.verdict().startswith("closed: Job 3 failed")


def test_a_record_that_cannot_be_read(trial: Trial) -> None:
    """A run of which something stands above, and whose record is damaged, keeps it closed."""
    with recorded(trial.queue, OWN, B) as (_, other):
        other.kill()
        RunFolder(records_of(trial.queue) / B).journal.write_bytes(b"damaged\n")
        assert trial.opens()
        above(trial.queue, (B, 1))
        assert "its first line is damaged" in trial.verdict()


# Detached commands.


def test_detached_commands_of_a_killed_run(trial: Trial) -> None:
    """They run on: it waits for their ends, and for success until somebody has seen it."""
    with recorded(trial.queue, OWN, B, detached=True) as (_, other):
        other.tell(*started(1, "key"))
        above(trial.queue, (B, 1))
        other.kill()
        words = (
            f"waits: job 1 of run {B} runs detached on node-1 and nobody follows it "
            "(`pegasus attach` does)"
        )
        assert trial.verdict("ended") == trial.verdict() == words
        trial.clock.pass_by(1000)
        trial.verdict()
        trial.learn(None)
        assert trial.verdict("ended") == words
        trial.learn(frozenset())
        assert trial.opens("ended")
        assert trial.verdict() == words
        other.follow()
        other.tell(TakenOver(1, "here", ""))
        assert trial.verdict() == f"waits: job 1 of run {B} runs on node-1"
        other.tell(Ended(assigned(1, "key"), Exited(0), 1.0), Released(assigned(1, "key")))
        assert trial.opens()
        other.tell(RunEnded(0, "done", 0))
        other.kill()
        assert trial.opens()


def test_a_detached_run_that_is_followed_starts_nothing(trial: Trial) -> None:
    """What a killed detached run had taken and not started is no more to come: it has failed."""
    with recorded(trial.queue, OWN, B, detached=True) as (_, other):
        other.tell(*started(1, "key"), taken(2))
        above(trial.queue, (B, 1), (B, 2))
        other.kill()
        other.follow()
        other.tell(TakenOver(1, "here", ""))
        assert trial.verdict().startswith(f"closed: Job 2 of run {B} failed (not started:")
        other.tell(Ended(assigned(1, "key"), Lost("given up"), 1.0))
        assert trial.opens("ended")


# Broadcasts that are continued.


def test_a_step_that_a_later_run_has_taken_up(trial: Trial) -> None:
    """A step of a broadcast that ``--resume`` continues counts by its last execution."""
    with recorded(trial.queue, OWN, B) as (_, other):
        above(trial.queue, (B, 1))
        other.tell(*started(1), ended(1, Exited(3)), RunEnded(1, "failed"))
        other.kill()
        assert not trial.opens()
        with recorded(trial.queue, C, resumes=B) as (third,):
            third.tell(taken(1, StepOrigin(B, 1)), Started(assigned(1)))
            assert trial.verdict() == f"waits: job 1 of run {C} runs on node-1"
            third.tell(ended(1, Exited(5)))
            assert trial.verdict().startswith(f"closed: Job 1 of run {C} failed (exit status: 5)")
            third.tell(Started(assigned(1)), ended(1), RunEnded(0, "done"))
            third.kill()
            assert trial.opens()
        assert Trial(trial.queue).opens()


def test_reading_costs_little(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that has ended only the end is read; of one that goes on only what is new."""
    read: list[str] = []
    with recorded(trial.queue, OWN, B, C) as (_, old, live):
        old.tell(*started(1), ended(1), RunEnded(0, "done"))
        old.kill()
        live.tell(*started(1), ended(1))

        def note(run: RecordedRun) -> bool:
            read.append(run.name)
            return refresh(run)  # type: ignore[arg-type]

        from pegasus.record import RunRecord

        refresh = RunRecord.refresh
        monkeypatch.setattr(RunRecord, "refresh", note)
        for _ in range(3):
            assert trial.opens()
        assert B not in read
