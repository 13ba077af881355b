"""What ``pegasus pause`` and ``pegasus resume`` promise: the run is told, and its answer shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.commands.pause import PauseSettings, pause
from pegasus.errors import ExitStatus, PegasusError
from pegasus.orders import Order, PauseOrder, Request, ResumeOrder
from tests.unit.stopping import going_on


def settings(queue: Path, **options: object) -> PauseSettings:
    """Give the command line."""
    return PauseSettings(queue_file=queue, color="never", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resume", "order", "words"),
    [
        (False, PauseOrder(), "paused: nothing is taken until `pegasus resume`"),
        (True, ResumeOrder(), "it takes jobs again"),
    ],
)
async def test_the_run_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], order: Order, words: str, *, resume: bool
) -> None:
    """Each order reaches the run in progress; once it has obeyed, that is said."""
    queue = tmp_path / "queue.yaml"
    async with going_on(queue) as got:
        assert await pause(settings(queue, resume=resume)) is ExitStatus.SUCCESS
    assert got == [order]
    assert f"[Pegasus] Run 0001-run-1: {words}" in capfd.readouterr().err


async def test_a_run_that_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A run that takes nothing more says so: exit status 1."""

    def refuse(request: Request) -> None:
        request.answer("It takes nothing more: there is nothing to pause.", done=False)

    queue = tmp_path / "queue.yaml"
    async with going_on(queue, obey=refuse):
        assert await pause(settings(queue)) is ExitStatus.JOB_FAILED
    assert "there is nothing to pause" in capfd.readouterr().err


async def test_in_another_folder(tmp_path: Path) -> None:
    """Where there is neither a queue nor a record, a run may go on elsewhere: that is an error."""
    with pytest.raises(PegasusError, match=r"there is no such file.* Go to its folder"):
        await pause(settings(tmp_path / "queue.yaml"))


async def test_several_runs(tmp_path: Path) -> None:
    """Several are not guessed among: ``--run`` names one, or ``--all`` means all."""
    queue = tmp_path / "queue.yaml"
    async with going_on(queue, "run-1") as first, going_on(queue, "run-2") as second:
        with pytest.raises(PegasusError, match="2 runs of this queue go on"):
            await pause(settings(queue))
        with pytest.raises(PegasusError, match="Leave out either"):
            await pause(settings(queue, every=True, run="2"))
        assert await pause(settings(queue, run="2")) is ExitStatus.SUCCESS
        assert await pause(settings(queue, every=True, resume=True)) is ExitStatus.SUCCESS
    assert (first, second) == ([ResumeOrder()], [PauseOrder(), ResumeOrder()])


@pytest.mark.parametrize("name", [None, "run-1"])
async def test_no_run_in_progress(
    name: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With nothing to pause, a sentence and exit status 1."""
    queue = tmp_path / "queue.yaml"
    async with going_on(queue):
        pass
    assert await pause(settings(queue, run=name)) is ExitStatus.JOB_FAILED
    assert "there is nothing to pause" in capfd.readouterr().err
