"""Promises of what stands between queue and disk: errors in words, locks and what is added."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from pegasus.errors import FileFault, PegasusError
from pegasus.model import Entry
from pegasus.picker import FirstJobs
from pegasus.queue_file import QueueFile, content, disk_errors, interrupted, lock
from pegasus.queue_file.entries import check_added
from tests.unit.taking import unfilled

NUMBERS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EMFILE,
    errno.EIO,
)


@contextmanager
def no_more_files() -> Iterator[None]:
    """Fail the test if a file is left open by the block."""
    before = set(Path("/proc/self/fd").iterdir())
    yield
    assert set(Path("/proc/self/fd").iterdir()) <= before


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_what_the_disk_refuses_is_told_with_the_next_step(number: int) -> None:
    """The message has the file, the system's words, what became of it, and what to do."""
    with (
        pytest.raises(PegasusError) as caught,
        disk_errors.translated("q.yaml", "Nothing was taken"),
    ):
        raise OSError(number, os.strerror(number))
    said = str(caught.value)
    assert said.startswith(f"q.yaml: the queue cannot be rewritten: {os.strerror(number)}. ")
    first, *instead = said.removeprefix("q.yaml: ").split(". ")[1:]
    assert first == "Nothing was taken"
    assert len(" ".join(instead)) > 20


def test_the_next_step_is_that_of_the_error() -> None:
    """A full disk needs space, a folder of somebody else's needs rights."""
    steps = {}
    for number in NUMBERS:
        with pytest.raises(PegasusError) as caught, disk_errors.translated("q", "x"):
            raise OSError(number, "")
        steps[number] = str(caught.value).split("x. ")[1]
    assert "space" in steps[errno.ENOSPC]
    assert "space" in steps[errno.EDQUOT]
    assert "writable" in steps[errno.EACCES]
    assert "writable" in steps[errno.EPERM]
    assert "Copy" in steps[errno.EROFS]
    assert "ulimit -n" in steps[errno.EMFILE]
    assert "disk" in steps[errno.EIO]


async def test_a_stopped_process_that_holds_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits in vain for consumed.yaml is told which file it is; nothing is taken."""
    monkeypatch.setattr(interrupted, "CONSUMED_LOCK_LIMIT", 0.05)
    queue = tmp_path / "queue.yaml"
    queue.write_text("- a\n")
    record = tmp_path / "consumed.yaml"
    record.touch()
    with record.open("rb") as held, no_more_files():
        fcntl.flock(held, fcntl.LOCK_EX)
        async with QueueFile(queue).locked(lambda words: None) as locked:
            with pytest.raises(PegasusError, match=r"consumed\.yaml: another process has held it"):
                locked.take(FirstJobs([unfilled]))
    assert queue.read_text() == "- a\n"
    assert record.read_bytes() == b""
    async with QueueFile(queue).locked(lambda words: None) as locked:
        assert len(locked.take(FirstJobs([unfilled])).jobs) == 1


async def test_the_lock_file_names_only_a_holder(tmp_path: Path) -> None:
    """Its words are there while it is held, and gone with the holder."""
    queue = tmp_path / "queue.yaml"
    file = tmp_path / "queue.yaml.lock"
    for _ in range(2):
        async with QueueFile(queue).locked(lambda words: None):
            assert f'"pid": {os.getpid()}' in file.read_text()
            assert f"(process {os.getpid()}, since " in lock.holder(file)
        assert file.read_bytes() == b""


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.EACCES, "writable for you"),
        (errno.EROFS, "can be written"),
        (errno.ENOSYS, "file system that has locks"),
        (errno.ENOLCK, "file system that has locks"),
        (errno.EOPNOTSUPP, "file system that has locks"),
        (errno.ELOOP, "symbolic link"),
        (errno.ENOSPC, "space on the disk"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "Nothing was taken"),
    ],
)
async def test_a_lock_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    """The message names the lock file, the system's words and the next step."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PegasusError) as caught:
        async with QueueFile(tmp_path / "queue.yaml").locked(lambda words: None):
            pass
    assert f"queue.yaml.lock: cannot lock the queue: {os.strerror(number)}. " in str(caught.value)
    assert step in str(caught.value)


def test_an_error_without_a_number(tmp_path: Path) -> None:
    """What the system does not number is told in the error's own words."""
    with pytest.raises(PegasusError) as caught, disk_errors.translated("q", "Nothing"):
        raise OSError("the tape is full")
    assert str(caught.value) == (
        "q: the queue cannot be rewritten: the tape is full. Nothing. Look after the disk, and try "
        "again."
    )


def test_a_file_that_is_written_over_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is what the file was at one moment, and the state is of that moment."""
    queue = tmp_path / "queue.yaml"
    queue.write_bytes(b"- old 1\n")
    os.utime(queue, (1, 1))
    read = os.read
    reads: list[bytes] = []

    def read_and_write_over(fd: int, size: int) -> bytes:
        data = read(fd, size)
        if not reads:
            queue.write_bytes(b"- new 2\n")
        reads.append(data)
        return data

    monkeypatch.setattr(os, "read", read_and_write_over)
    assert content.read(str(queue), queue) == (b"- new 2\n", content.state(queue))
    before = len(reads)
    content.read(str(queue), queue)
    assert len(reads) == before + 1  # one that nobody writes is read once


@pytest.mark.parametrize("kind", ["missing", "folder", "read-only", "record"])
async def test_what_is_wrong_with_a_whole_file_is_told_at_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """File, line 1, column 1: an editor can go there."""
    queue = tmp_path / ("consumed.yaml" if kind == "record" else "queue.yaml")
    if kind == "folder":
        queue.mkdir()
    elif kind != "missing":
        queue.write_text("- a\n")
    if kind == "read-only":  # for root nothing is
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    async with QueueFile(queue).locked(lambda words: None) as locked:
        try:
            fault = locked.take(FirstJobs([unfilled])).fault
        except FileFault as error:
            fault = error
    assert str(fault).startswith(f"{queue}:1:1: ")


async def test_the_words_of_a_dead_holder_leave_nothing_behind(tmp_path: Path) -> None:
    """A killed holder's words may be longer than the next one's, who is named all the same."""
    queue, file = tmp_path / "queue.yaml", tmp_path / "queue.yaml.lock"
    file.write_text("x" * 5000)
    async with QueueFile(queue).locked(lambda words: None):
        assert f"(process {os.getpid()}, since " in lock.holder(file)


async def test_a_short_wait_is_not_worth_a_word(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Whoever waits for the lock says so after a second, once; takes of others are shorter."""
    queue, file = tmp_path / "queue.yaml", tmp_path / "queue.yaml.lock"
    file.touch()
    said: list[tuple[float, str]] = []
    began = trio.current_time()
    with file.open("rb") as held, trio.move_on_after(30):
        fcntl.flock(held, fcntl.LOCK_EX)
        async with QueueFile(queue).locked(lambda words: said.append((trio.current_time(), words))):
            raise AssertionError("it is held")
    ((at, words),) = said
    assert 1 <= at - began < 2
    assert words.startswith(f"waiting for {queue}.lock, which ")


@pytest.mark.parametrize("command", ["", "echo \0"])
def test_what_cannot_be_added_is_told_in_a_sentence(tmp_path: Path, command: str) -> None:
    """It begins with a capital letter and names no place: it stands in no file yet."""
    with pytest.raises(PegasusError) as caught:
        check_added(Entry((command,), ()), str(tmp_path / "queue.yaml"))
    words = str(caught.value)
    assert words[0].isupper()
    assert words[1].islower()
