"""A take while somebody else changes the files under it, and where the system refuses a part."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from pegasus.errors import FileFault
from pegasus.model import TakenJob
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, Receipt, TakeResult, content
from tests.unit.dying import crash
from tests.unit.taking import unfilled


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give a queue of two jobs."""
    path = tmp_path / "queue.yaml"
    path.write_text("- echo 1\n- echo 2\n")
    return path


async def take(queue: Path) -> TakeResult:
    """Take one job."""
    async with QueueFile(queue).locked(pytest.fail) as locked:
        return locked.take(FirstJobs([unfilled]))


async def test_a_mode_that_changes_during_a_take(queue: Path) -> None:
    """A queue that its owner makes private while a take goes on stays so, and loses no job."""
    await trio.Path(queue).chmod(0o644)

    def close_to_others(_: Sequence[TakenJob]) -> Receipt | None:
        queue.chmod(0o600)
        return None

    async with QueueFile(queue).locked(pytest.fail) as locked:
        taken = locked.take(FirstJobs([unfilled]), close_to_others)
    assert [each.job.command for each in taken.jobs] == ["echo 1"]
    assert stat.S_IMODE((await trio.Path(queue).stat()).st_mode) == 0o600
    assert await trio.Path(queue).read_text() == "- echo 2\n"


async def test_a_system_that_takes_no_advice(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no use for advice on files, a take does without."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    assert [each.job.command for each in (await take(queue)).jobs] == ["echo 1"]


async def test_an_interrupted_take_before_one_that_is_refused(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash left of a take is undone also by a take that takes nothing."""

    def die(*_: object) -> None:
        os._exit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        crash(lambda: LockedQueue(str(queue), queue).take(FirstJobs([unfilled])))
    assert await trio.Path(queue).with_name("consumed.yaml").read_text() != ""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FileFault, match="read-only"):
        await take(queue)
    assert await trio.Path(queue).with_name("consumed.yaml").read_text() == ""
    assert sorted(path.name for path in queue.parent.iterdir()) == [
        "consumed.yaml",
        "queue.yaml",
        "queue.yaml.lock",
    ]


def test_a_file_that_grows_while_it_is_read(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast somebody appends lines, whole lines are read."""
    look = os.fstat

    def look_and_grow(fd: int) -> os.stat_result:
        found = look(fd)
        if os.path.samestat(found, queue.stat()):
            with queue.open("a") as file:
                file.write("- echo more\n")
        return found

    monkeypatch.setattr(os, "fstat", look_and_grow)
    data, _ = content.read(str(queue), queue)
    assert data.startswith(b"- echo 1\n- echo 2\n- echo more\n")
    assert queue.read_bytes().startswith(data)
    assert data.endswith(b"\n")
