"""Files that are complete, private where they must be, and safe on disk."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pegasus import durable, ownership
from tests.other_user import NOBODY, needs_root


@contextmanager
def no_more_files() -> Iterator[None]:
    """Fail the test if a file is left open by the block."""
    before = set(Path("/proc/self/fd").iterdir())
    yield
    assert set(Path("/proc/self/fd").iterdir()) <= before


def test_all_is_written_though_the_system_writes_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system call that writes less than it is given costs no byte."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    durable.write_new(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    """What stands there already, also a link, is left as it is."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").symlink_to(tmp_path / "none")
    for name in ("a", "b"):
        with no_more_files(), pytest.raises(FileExistsError):
            durable.write_new(tmp_path / name, b"new")
    assert (tmp_path / "a").read_text() == "old"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_new_file_is_like_its_model(tmp_path: Path, mode: int) -> None:
    """It has the mode and, where the file system has them, the attributes of its model."""
    model = tmp_path / "model"
    model.touch()
    try:
        os.setxattr(model, "user.note", b"mine")
    except OSError:
        attributes = {}
    else:
        attributes = {"user.note": b"mine"}
    model.chmod(mode)
    durable.write_new(tmp_path / "new", b"x", like=durable.model_of(model))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode
    for name, value in attributes.items():
        assert os.getxattr(tmp_path / "new", name) == value


def test_a_new_file_without_a_model_is_as_any(tmp_path: Path) -> None:
    """The umask decides."""
    before = os.umask(0o027)
    try:
        durable.write_new(tmp_path / "new", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EIO])
def test_a_folder_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file system that does not sync folders is none the worse; a disk that fails is told."""

    def fsync(fd: int) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "fsync", fsync)
    with no_more_files():
        if number == errno.EIO:
            with pytest.raises(OSError, match="Errno 5"):
                durable.sync_folder(tmp_path)
        else:
            durable.sync_folder(tmp_path)


def test_what_is_no_file_counts_as_empty(tmp_path: Path) -> None:
    """A link or a pipe in the place of a file of Pegasus's own is not read, and holds nobody up."""
    (tmp_path / "text").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "text")
    os.mkfifo(tmp_path / "pipe")
    with no_more_files():
        assert durable.read_own(tmp_path / "text") == (os.geteuid(), b"x")
        assert durable.read_own(tmp_path / "link") == (os.geteuid(), b"")
        assert durable.read_own(tmp_path / "pipe") == (os.geteuid(), b"")
        with pytest.raises(FileNotFoundError):
            durable.read_own(tmp_path / "none")


def test_a_read_is_bounded(tmp_path: Path) -> None:
    """No more is read of a file than the caller has room for; a folder counts as empty."""
    (tmp_path / "text").write_bytes(b"x" * 100)
    assert durable.read_own(tmp_path / "text", 10)[1] == b"x" * 10
    with no_more_files():
        assert durable.read_own(tmp_path, 10)[1] == b""


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b"new\n"), (b"old\n", b"old\nnew\n"), (b"torn", b"torn\nnew\n")],
)
def test_a_line_stays_whole(tmp_path: Path, before: bytes, after: bytes) -> None:
    """A line is appended on a line of its own, also after one that a crash has torn."""
    path = tmp_path / "file"
    path.write_bytes(before)
    with no_more_files():
        durable.append_synced(path, b"new\n")
    assert path.read_bytes() == after


def test_a_line_that_another_thread_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is torn for a moment, while it is written, gets no second end."""
    path = tmp_path / "file"
    path.write_bytes(b"ha")
    writes = iter([b"", b"lf\n"])

    def write(_: float) -> None:
        with path.open("ab") as file:
            file.write(next(writes))

    monkeypatch.setattr(time, "sleep", write)
    fd = durable.open_private(path)
    durable.append_lines(fd, b"new\n")
    os.close(fd)
    assert path.read_bytes() == b"half\nnew\n"


def test_appended_lines_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced, and where it is new its folder as well."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    path = tmp_path / "file"
    durable.append_synced(path, b"1\n")
    durable.append_synced(path, b"2\n")
    file, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert synced == [file, folder, file]


def test_a_private_file(tmp_path: Path) -> None:
    """It is for its owner only; one that is there is appended to, and a link is refused."""
    path = tmp_path / "file"
    for data in (b"1", b"2"):
        fd = durable.open_private(path)
        os.write(fd, data)
        os.close(fd)
    assert path.read_bytes() == b"12"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with no_more_files(), pytest.raises(OSError, match=re.escape(str(tmp_path / "link"))):
        durable.open_private(tmp_path / "link")
    assert not (tmp_path / "none").exists()


def test_a_small_file_appears_complete(tmp_path: Path) -> None:
    """A reader finds it with all of its content, or not at all."""
    path = tmp_path / "file"
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            if path.exists():
                seen.add(path.read_bytes())

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(50):
        durable.write_private(path, b"x" * 100_000, "unfinished")
    done.set()
    thread.join()
    assert seen <= {b"x" * 100_000}
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_small_file_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the whole path, and nothing is left."""

    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    with no_more_files(), pytest.raises(OSError, match="No space left") as caught:
        durable.write_private(tmp_path / "file", b"x", "unfinished")
    assert caught.value.filename == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


MAKERS: list[Callable[[Path], object]] = [
    lambda path: os.close(durable.open_private(path)),
    lambda path: durable.write_private(path, b"x", "unfinished"),
    lambda path: durable.write_new(path, b"x"),
    ownership.make_private_folder,
]


@needs_root
@pytest.mark.parametrize("make", MAKERS)
def test_what_root_makes_belongs_to_the_owner_of_the_folder(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    """A user finds no file of root's in a folder of their own."""
    os.chown(tmp_path, NOBODY, NOBODY)
    make(tmp_path / "new")
    found = (tmp_path / "new").stat()
    assert (found.st_uid, found.st_gid) == (NOBODY, NOBODY)


@needs_root
@pytest.mark.parametrize("make", [*MAKERS[:2], MAKERS[3]])
def test_a_folder_that_is_replaced_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    """The owner of the very folder decides, also when another one has its path a moment later."""
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    os.chown(other, NOBODY, NOBODY)
    opened = os.open
    swapped = False

    def swap(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        nonlocal swapped
        fd = opened(path, flags, mode, dir_fd=dir_fd)
        if not swapped and Path(path) == folder:
            swapped = True
            folder.rename(tmp_path / "moved")
            other.rename(folder)
        return fd

    monkeypatch.setattr(os, "open", swap)
    make(folder / "new")
    assert swapped
    assert list(folder.iterdir()) == []
    assert (tmp_path / "moved" / "new").stat().st_uid == 0
