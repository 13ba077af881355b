"""What `pegasus stop` promises: a run is told, and one hears what it made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pegasus.commands.stop import order_of, stop
from pegasus.errors import ExitStatus, PegasusError
from pegasus.orders import (
    AbortOrder,
    DrainOrder,
    Order,
    Request,
    StopJobOrder,
    sending,
)
from tests.unit.records import record_of
from tests.unit.stopping import going_on, settings


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give the path of a queue file; none is needed to stop a run."""
    return tmp_path / "queue.yaml"


@pytest.fixture
def written_queue(queue: Path) -> Path:
    """Give the path of a queue file that is there."""
    queue.write_text("- echo hello\n")
    return queue


@pytest.mark.parametrize(
    ("options", "order", "words"),
    [
        ({}, DrainOrder(), "nothing more is taken; what runs goes on to its end"),
        ({"now": True}, AbortOrder(), "what runs is being ended"),
        ({"job": 3}, StopJobOrder(3), "job 3 is being ended"),
        ({"job": 3, "sub_node": 0}, StopJobOrder(3, 0), "job 3 is being ended"),
        ({"job": 3, "now": True}, StopJobOrder(3), "job 3 is being ended"),
        ({"run": "run-1"}, DrainOrder(), "nothing more is taken"),
    ],
)
async def test_the_run_is_told_and_answers(
    *,
    options: dict[str, object],
    order: Order,
    words: str,
    queue: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Each order reaches the run that goes on; when it has obeyed, that is said."""
    async with going_on(queue) as got:
        assert await stop(settings(queue, **options)) is ExitStatus.SUCCESS
    assert got == [order]
    err = capfd.readouterr().err
    assert f"[Pegasus] Run 0001-run-1: {words}" in err


async def test_the_words_of_the_run(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What the run says goes before what stands here."""

    def refuse(request: Request) -> None:
        request.answer("job 3 ended long ago.", done=False)

    async with going_on(queue, obey=refuse):
        assert await stop(settings(queue, job=3)) is ExitStatus.JOB_FAILED
    assert "Run 0001-run-1: job 3 ended long ago." in capfd.readouterr().err


async def test_a_job_that_does_not_run(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A run that ends no job says so."""
    async with going_on(queue, obey=lambda request: request.answer(done=False)):
        assert await stop(settings(queue, job=3)) is ExitStatus.JOB_FAILED
    assert "job 3 does not run" in capfd.readouterr().err


@pytest.mark.parametrize("name", [None, "run-1"])
async def test_no_run_goes_on(
    name: str | None, queue: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With nothing to stop, a sentence and exit status 1."""
    async with going_on(queue):
        pass
    assert await stop(settings(queue, run=name)) is ExitStatus.JOB_FAILED
    assert "there is nothing to stop" in capfd.readouterr().err


async def test_no_run_ever(written_queue: Path) -> None:
    """The same where there never was one; one that is named has to be there."""
    assert await stop(settings(written_queue)) is ExitStatus.JOB_FAILED
    with pytest.raises(PegasusError, match="No run of this queue"):
        await stop(settings(written_queue, run="x"))


async def test_in_another_folder(tmp_path: Path) -> None:
    """Where there is neither a queue nor a record, a run may go on elsewhere: that is an error."""
    with pytest.raises(PegasusError, match=r"there is no such file.* Go to its folder"):
        await stop(settings(tmp_path / "queue.yaml"))


async def test_several_runs(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Several are not guessed among: --run says which, or --all that all are meant."""
    async with going_on(queue, "run-1") as first, going_on(queue, "run-2") as second:
        with pytest.raises(PegasusError, match="2 runs of this queue go on") as raised:
            await stop(settings(queue))
        assert "run-1 (process" in str(raised.value)
        assert await stop(settings(queue, run="2")) is ExitStatus.SUCCESS
        assert (first, second) == ([], [DrainOrder()])
        assert await stop(settings(queue, every=True, now=True)) is ExitStatus.SUCCESS
        assert (first, second) == ([AbortOrder()], [DrainOrder(), AbortOrder()])


@pytest.mark.parametrize(
    "options",
    [{"sub_node": 1}, {"every": True, "run": "x"}, {"every": True, "job": 1}],
    ids=str,
)
def test_a_command_line_that_contradicts_itself(options: dict[str, object], queue: Path) -> None:
    """What can't be meant is refused, before anything is told to anybody."""
    with pytest.raises(PegasusError):
        order_of(settings(queue, **options))


async def test_a_run_that_does_not_look(
    queue: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded wait a sentence says where the run is; the order is taken back."""
    monkeypatch.setattr(sending, "ORDER_ANSWER_LIMIT", 0.5)
    monkeypatch.setattr(sending, "ORDER_NOTICE_AFTER", 0.1)
    async with going_on(queue, "hangs") as got:
        got.clear()
        record = record_of(queue, "hangs")
        monkeypatch.setattr("pegasus.orders.orders_of", lambda _: record / "elsewhere")
        assert await stop(settings(queue)) is ExitStatus.JOB_FAILED
        assert list((record / "elsewhere").iterdir()) == []
    err = capfd.readouterr().err
    assert "waiting for run 0001-hangs (process " in err
    assert "does not answer, and will not find the order any more" in err


async def test_a_number_that_no_sub_node_has(queue: Path) -> None:
    """A number of ``--sub-node`` that the run does not have is an error, with those it has."""
    async with going_on(queue) as got:
        with pytest.raises(PegasusError, match=r"no such sub-node\. Give one of these: 0\."):
            await stop(settings(queue, job=1, sub_node=99))
    assert got == []


async def test_a_run_that_is_not_done_yet(
    queue: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has seen the order and is slow is told apart from one that does not look."""
    monkeypatch.setattr(sending, "ORDER_ANSWER_LIMIT", 1.5)
    async with going_on(queue, obey=lambda _: None) as got:
        assert await stop(settings(queue)) is ExitStatus.JOB_FAILED
        assert got == [DrainOrder()]
    assert "has seen the order, but has not done it yet" in capfd.readouterr().err


async def test_a_run_that_ends_meanwhile(
    queue: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is over needs no answer to have stopped."""
    told = trio.Event()
    statuses = []

    async def stop_it() -> None:
        statuses.append(await stop(settings(queue)))

    async with trio.open_nursery() as nursery, going_on(queue, obey=lambda _: told.set()):
        nursery.start_soon(stop_it)
        await told.wait()
    assert statuses == [ExitStatus.SUCCESS]
    assert "Run 0001-run-1 is over" in capfd.readouterr().err


async def test_a_record_that_cannot_be_written_to(queue: Path) -> None:
    """Whoever may not write into the record of a run can't stop it, and reads why."""
    async with going_on(queue):
        (record_of(queue) / "orders").write_text("in the way")
        with pytest.raises(PegasusError, match="Only a user who may write into the record"):
            await stop(settings(queue))
