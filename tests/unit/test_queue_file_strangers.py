"""A take in a folder in which somebody else is at work, too."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import trio

from pegasus.errors import PegasusError
from pegasus.model import Job
from pegasus.picker import FirstJobs
from pegasus.queue_file import QueueFile, Receipt, consumed, lock
from pegasus.queue_file.note import note_of
from tests.other_user import NOBODY, needs_root
from tests.unit.taking import unfilled

RECORD = "- command:\n  - echo 1\n"


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give a queue of one job, and somebody's file with a line in it."""
    path = tmp_path / "queue.yaml"
    path.write_text("- echo 1\n")
    (tmp_path / "profile").write_text("mine\n")
    return path


def note_about(queue: Path) -> Path:
    """Write the note of a take that has happened, with a receipt for somebody's file."""
    receipt = Receipt(queue.with_name("profile"), b"theirs\n")
    path = queue.with_name(".queue.yaml.pegasus-take")
    path.write_bytes(note_of(0, RECORD.encode(), receipt))
    return path


async def recover(queue: Path) -> None:
    """Do what the next take begins with."""
    async with QueueFile(queue).locked(pytest.fail) as locked:
        locked.recover()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_all_that_a_take_writes_is_as_private_as_the_queue(queue: Path, mode: int) -> None:
    """Commands of a queue that others can't read stand in no file that they can."""
    queue.chmod(mode)
    seen: dict[str, int] = {}

    def look() -> bool:
        seen.update((path.name, path.stat().st_mode) for path in queue.parent.iterdir())
        return True

    before = os.umask(0)
    try:
        consumed.take(queue, b"", RECORD, unchanged=look)
    finally:
        os.umask(before)
    del seen["profile"]
    assert sorted(seen) == [
        ".queue.yaml.pegasus-new",
        ".queue.yaml.pegasus-take",
        "consumed.yaml",
        "queue.yaml",
    ]
    assert {stat.S_IMODE(found) for found in seen.values()} == {mode}


async def test_a_note_of_our_own_is_believed(queue: Path) -> None:
    """What a crashed take of ours still had to tell is told."""
    note = note_about(queue)
    await recover(queue)
    assert queue.with_name("profile").read_text() == "mine\ntheirs\n"
    assert not note.exists()


@needs_root
async def test_a_note_of_somebody_else_s_does_not_make_us_write(queue: Path) -> None:
    """A note tells us to write into a file of its own writer's, or nothing at all."""
    os.chown(note_about(queue), NOBODY, NOBODY)
    await recover(queue)
    assert queue.with_name("profile").read_text() == "mine\n"


async def test_a_receipt_is_not_written_through_a_link(queue: Path) -> None:
    """Where a journal has been replaced by a link nothing is written."""
    note_about(queue)
    profile = queue.with_name("profile")
    profile.rename(queue.with_name("other"))
    profile.symlink_to("other")
    await recover(queue)
    assert queue.with_name("other").read_text() == "mine\n"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
async def test_a_note_that_is_no_file(queue: Path, kind: str) -> None:
    """A named pipe in the place of a note holds nobody up, and a link is not followed."""
    note = queue.with_name(".queue.yaml.pegasus-take")
    real = note_about(queue).rename(queue.with_name("real"))
    match kind:
        case "pipe":
            os.mkfifo(note)
        case "link":
            note.symlink_to(real)
        case "folder":
            note.mkdir()
    if kind == "folder":
        with pytest.raises(PegasusError, match="Is a directory"):
            await recover(queue)
    else:
        await recover(queue)
        assert note.name not in [path.name for path in note.parent.iterdir()]
    assert queue.with_name("profile").read_text() == "mine\n"


@needs_root
async def test_a_consumed_file_that_was_planted(queue: Path) -> None:
    """In a folder like /tmp nothing is written through a link, or into a file, of a stranger's."""
    await trio.Path(queue.parent).chmod(0o1777)
    path = queue.with_name("consumed.yaml")
    path.symlink_to("profile")
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    async with QueueFile(queue).locked(pytest.fail) as locked:
        with pytest.raises(PegasusError, match="another user owns this file"):
            locked.take(FirstJobs([unfilled]))
    assert queue.with_name("profile").read_text() == "mine\n"
    assert await trio.Path(queue).read_text() == "- echo 1\n"


@needs_root
async def test_a_note_of_this_queue_that_was_planted(queue: Path) -> None:
    """In a folder like /tmp nothing is undone because a stranger's note says so."""
    await trio.Path(queue.parent).chmod(0o1777)
    record = queue.with_name("consumed.yaml")
    record.write_text(RECORD)
    note = queue.with_name(".queue.yaml.pegasus-take")
    note.write_bytes(note_of(0, RECORD.encode(), None))
    os.chown(note, NOBODY, NOBODY)
    async with QueueFile(queue).locked(pytest.fail) as locked:
        with pytest.raises(PegasusError, match=r"pegasus-take: another user owns this file"):
            locked.take(FirstJobs([unfilled]))
    assert record.read_text() == RECORD
    assert await trio.Path(queue).read_text() == "- echo 1\n"
    assert not queue.with_name(".queue.yaml.pegasus-new").exists()


@needs_root
async def test_a_note_of_another_queue_in_a_common_folder(queue: Path) -> None:
    """In a folder like /tmp what somebody else has left of a take is left alone."""
    await trio.Path(queue.parent).chmod(0o1777)
    other = note_about(queue).rename(queue.with_name(".other.yaml.pegasus-take"))
    os.chown(other, NOBODY, NOBODY)
    async with QueueFile(queue).locked(pytest.fail) as locked:
        taken = locked.take(FirstJobs([unfilled]))
    assert [each.job for each in taken.jobs] == [Job("echo 1")]
    assert other.exists()


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"[" * 100_000,
        b'{"pid": 1e999, "host": "", "command": ""}',
        b'{"pid": NaN, "host": "", "command": ""}',
        b'{"pid": 1}',
        b"\xff",
        b"7",
    ],
)
def test_words_in_a_lock_file_that_make_no_sense(tmp_path: Path, words: bytes) -> None:
    """Whatever stands in a lock file, whoever waits is told a sentence."""
    path = tmp_path / "lock"
    path.write_bytes(words)
    assert lock.holder(path) == "another process"


def test_words_in_a_lock_file_stay_in_one_line(tmp_path: Path) -> None:
    """The words of a lock's holder can neither begin a line nor move the cursor."""
    path = tmp_path / "lock"
    words = {"pid": 1, "host": "far\n", "command": "x\n[Pegasus] \x1b[2J", "since": "\r"}
    path.write_text(json.dumps({**words, "started": 0}))
    told = lock.holder(path)
    assert told == "`x\\n[Pegasus] \\x1b[2J` (process 1 on far\\n, since \\r)"


def test_a_lock_file_that_is_a_pipe(tmp_path: Path) -> None:
    """A named pipe in the place of a lock does not block a process that looks up its holder."""
    os.mkfifo(tmp_path / "lock")
    assert lock.holder(tmp_path / "lock") == "another process"


@pytest.mark.parametrize(
    ("queue_mode", "lock_mode"),
    [(0o600, 0o600), (0o644, 0o600), (0o664, 0o660), (0o666, 0o666), (0o400, 0o600)],
)
async def test_the_lock_is_for_those_who_may_write(
    queue: Path, queue_mode: int, lock_mode: int
) -> None:
    """Who may only read the queue can't open its lock, and so can't hold everybody up."""
    await trio.Path(queue).chmod(queue_mode)
    async with QueueFile(queue).locked(pytest.fail):
        found = await trio.Path(f"{queue}.lock").stat()
    assert stat.S_IMODE(found.st_mode) == lock_mode
