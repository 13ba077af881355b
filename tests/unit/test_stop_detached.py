"""What `pegasus stop` promises of detached commands, which outlive their run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.commands.stop import order_of, stop
from pegasus.errors import ExitStatus, PegasusError
from pegasus.events import Ended, Released, RunEnded, TakenOver
from pegasus.model import Exited
from pegasus.orders import DrainOrder, LeaveOrder, StopJobOrder, orders_of, stored_stops
from tests.unit.detached import detach, kill, recording_detached
from tests.unit.records import NODES, record_of
from tests.unit.stopping import going_on, settings

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give the path of a queue file; none is needed to stop a command."""
    return tmp_path / "queue.yaml"


async def left(queue: Path, *numbers: int, name: str = "run-1") -> None:
    """Record a run that was killed while detached commands ran."""
    async with recording_detached(queue, name) as record:
        for number in numbers:
            detach(record, number, f"{name}-{number}", node=NODES[number % 2])
    kill(queue, name)


def stored(queue: Path, name: str = "run-1") -> list[StopJobOrder]:
    """Give the stops that wait for the next Pegasus."""
    return [each.order for each in stored_stops(record_of(queue, name))]


async def test_the_stop_of_a_job_that_nobody_follows_is_stored(queue: Path, capfd: Capture) -> None:
    """The order waits for the next Pegasus, and the message says so."""
    await left(queue, 1, 2)
    assert await stop(settings(queue, job=2)) is ExitStatus.SUCCESS
    assert await stop(settings(queue, job=1, sub_node=1)) is ExitStatus.SUCCESS
    assert stored(queue) == [StopJobOrder(2), StopJobOrder(1, 1)]
    err = capfd.readouterr().err
    assert "Job 2 of run 0001-run-1: no Pegasus follows it now, so the stop is stored." in err
    assert "The next `pegasus q`, `b` or `attach` of this queue ends the command." in err


@pytest.mark.parametrize("options", [{"job": 9}, {"job": 1, "sub_node": 0}, {"job": 3}], ids=str)
async def test_what_does_not_run_is_refused(
    options: dict[str, object], queue: Path, capfd: Capture
) -> None:
    """A job that has no such command is refused, and nothing is stored."""
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1", node=NODES[1])
        ended = detach(record, 3, "key-3")
        record.tell(Ended(ended, Exited(0), 1.0))
        record.tell(RunEnded(None, "left"))
    assert await stop(settings(queue, **options)) is ExitStatus.JOB_FAILED
    assert stored(queue) == []
    assert "has no detached command that may run" in capfd.readouterr().err


@pytest.mark.parametrize("options", [{}, {"now": True}, {"leave": True}], ids=str)
async def test_what_is_left_is_said(
    options: dict[str, object], queue: Path, capfd: Capture
) -> None:
    """Where no run goes on, but detached commands do, it says which, and how they end."""
    await left(queue, 1, 2)
    assert await stop(settings(queue, **options)) is ExitStatus.JOB_FAILED
    err = capfd.readouterr().err
    assert "No run of this queue goes on, but detached commands do" in err
    assert "Run 0001-run-1: jobs 1, 2 go on." in err
    assert "`pegasus stop JOB --run 0001-run-1` ends one" in err


async def test_which_run_is_not_guessed(queue: Path) -> None:
    """A job that two runs have left is not guessed; --run says which."""
    await left(queue, 1)
    await left(queue, 1, name="run-2")
    with pytest.raises(PegasusError, match="Several runs have left a job 1"):
        await stop(settings(queue, job=1))
    assert await stop(settings(queue, job=1, run="run-2")) is ExitStatus.SUCCESS
    assert (stored(queue), stored(queue, "run-2")) == ([], [StopJobOrder(1)])


async def test_nothing_is_left(queue: Path, capfd: Capture) -> None:
    """A run whose commands have all ended has nothing to stop."""
    async with recording_detached(queue) as record:
        ended = detach(record, 1, "key-1")
        record.tell(Ended(ended, Exited(0), 1.0))
        record.tell(Released(ended))
    assert await stop(settings(queue)) is ExitStatus.JOB_FAILED
    assert "there is nothing to stop" in capfd.readouterr().err


async def test_a_run_whose_commands_are_not_detached_is_not_left(
    queue: Path, capfd: Capture
) -> None:
    """``--leave`` would end its commands, so it is refused before the run is asked."""
    async with going_on(queue) as got:
        assert await stop(settings(queue, leave=True)) is ExitStatus.JOB_FAILED
        assert got == []
    assert "its commands are not detached, and would end with it" in capfd.readouterr().err


async def test_leaving_a_run(queue: Path, capfd: Capture) -> None:
    """``--leave`` reaches a run whose commands are detached."""
    async with going_on(queue, detached=True) as got:
        assert await stop(settings(queue, leave=True)) is ExitStatus.SUCCESS
        assert got == [LeaveOrder()]
    assert "it ends, and its detached commands go on" in capfd.readouterr().err


async def test_a_run_that_follows_another(queue: Path) -> None:
    """A run that took over another one is the one that is stopped; nothing is ambiguous."""
    async with recording_detached(queue, "first") as first:
        detach(first, 1, "key-1")
        async with going_on(queue, "second") as got:
            first.tell(TakenOver(1, "here", record_of(queue, "second").name))
            detach(first, 2, "key-2")  # which also writes the line before
            assert await stop(settings(queue)) is ExitStatus.SUCCESS
            assert got == [DrainOrder()]
            assert not list(orders_of(record_of(queue, "first")).glob("*"))


@pytest.mark.parametrize("options", [{"leave": True, "now": True}, {"leave": True, "job": 1}])
def test_leaving_contradicts_ending(options: dict[str, object], queue: Path) -> None:
    """``--leave`` lets commands go on; what ends them is refused beside it."""
    with pytest.raises(PegasusError, match="lets commands go on"):
        order_of(settings(queue, **options))
