"""consumed.yaml: what was taken, and the one step that takes: record, then replace the queue.

Rule 1: the order is the promise. Both new files are on the disk before the record is; the record is
before the queue file changes; the change of the queue file is one rename.
Rule 2: a take that did not come to its rename did not happen, and is undone by whoever comes next:
its jobs never started, so its record is cut out of consumed.yaml again.

The steps, and what a crash after each of them leaves::

    note   .queue.yaml.pegasus-take   the record and where it goes       nothing happened
    new    .queue.yaml.pegasus-new    the queue without the jobs         nothing happened
    append consumed.yaml              the record, whole or torn          undone: cut out again
    rename new -> queue.yaml          the jobs are taken                 taken
    unlink note                                                          taken

So the two files together mean "undo", and either of them alone means nothing. All queue files of
a folder share consumed.yaml, under different locks: it is locked itself, from reading its size
until the rename. So whoever has that lock knows that such files, of any queue, are a dead one's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.queue_file import disk

NAME = "consumed.yaml"

PATIENCE = 10.0
"""Seconds to wait for consumed.yaml; a take has it for milliseconds, a stopped one for ever."""

_POLL = 0.01
_NOTE, _NEW, _MENDED = ".pegasus-take", ".pegasus-new", ".pegasus-mended"
_MAGIC = b"pegasus take"


def take(queue: Path, content: bytes, record: str, *, unchanged: Callable[[], bool]) -> bool:
    """Record jobs as taken, and replace the queue file by one without them.

    Args:
        queue: the real path of the queue file, whose lock is held.
        content: the queue file without the jobs.
        record: the jobs in canonical form.
        unchanged: says, at the last moment, whether the queue file still is what was read.

    Returns:
        Whether the jobs are taken; if not, the queue file had changed, and nothing happened.

    Raises:
        OSError: nothing happened.
        PegasusError: someone holds consumed.yaml for too long; nothing happened.
    """
    with _locked(queue) as fd:
        note, new = _beside(queue, _NOTE), _beside(queue, _NEW)
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        appended = b"\n" * torn + record.encode()
        try:
            disk.write_new(note, _note(size, appended))
            disk.write_new(new, content, like=queue)
            disk.sync_folder(queue.parent)
            disk.write_all(fd, appended)
            os.fsync(fd)
            if not unchanged():
                _undo(note, fd)
                return False
            new.replace(queue)
        except BaseException:
            with contextlib.suppress(OSError):  # whoever comes next undoes it
                _undo(note, fd)
            raise
        # The take has happened; a disk that fails now cannot make it undone.
        with contextlib.suppress(OSError):
            disk.sync_folder(queue.parent)
        with contextlib.suppress(OSError):
            note.unlink()
    return True


def recover(queue: Path) -> None:
    """Undo a take of this queue file that a crash interrupted; the queue's lock is held.

    Raises:
        OSError: it could not be undone.
        PegasusError: someone holds consumed.yaml for too long.
    """
    if _beside(queue, _NOTE).exists():
        with _locked(queue):
            pass
    # Alone, a new file is from before its take began or came after its end.
    _beside(queue, _NEW).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(queue: Path) -> Iterator[int]:
    """Open consumed.yaml beside a queue file and lock it, with every interrupted take undone."""
    path = queue.parent / NAME
    while True:
        fd = _opened(path, queue)
        try:
            _lock(fd, path)
            if _is_at(fd, path) and not _undo_all(queue.parent, fd):
                yield fd
                return
        finally:
            # Unlocked by name: a child that is just being forked has the file open as well.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)


def _opened(path: Path, like: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        fd = os.open(path, flags | os.O_CREAT, 0o600)  # the target of a symlink may be missing
    else:
        disk.make_alike(fd, like)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PegasusError(f"{path}: this is not a regular file. Move it away")
    return fd


def _lock(fd: int, path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise PegasusError(
                    f"{path}: another process has held it for {PATIENCE:g} seconds. "
                    "Look for a stopped Pegasus process in this folder and let it go on"
                ) from None
            time.sleep(_POLL)


def _is_at(fd: int, path: Path) -> bool:
    """Tell whether the file that was locked still is the one that has the name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _undo_all(folder: Path, fd: int) -> bool:
    """Undo what was interrupted; tell whether consumed.yaml is another file now."""
    _mended((folder / NAME).resolve()).unlink(missing_ok=True)
    notes = sorted(folder.glob(f".*{_NOTE}"))
    return sum(_undo(note, fd) for note in notes) > 0  # all of them, not up to the first


def _undo(note: Path, fd: int) -> bool:
    """Undo the take of one queue file; tell whether consumed.yaml is another file now."""
    new = note.with_name(note.name.removesuffix(_NOTE) + _NEW)
    replaced = False
    if new.exists():
        planned = _planned(note)
        replaced = planned is not None and _cut_out(fd, note.parent, *planned)
        new.unlink(missing_ok=True)
    note.unlink(missing_ok=True)
    return replaced


def _cut_out(fd: int, folder: Path, start: int, appended: bytes) -> bool:
    """Remove a record, whole or torn; leave anything else as it is.

    Cutting out what someone else wrote would lose it; leaving a record costs no job.
    """
    size = os.fstat(fd).st_size
    tail = os.pread(fd, max(size - start, 0), start)
    if len(tail) <= len(appended) and appended.startswith(tail.rstrip(b"\0")):
        # A power cut may leave zeros where data was to come.
        if size > start:
            os.ftruncate(fd, start)
            os.fsync(fd)
        return False
    if not tail.startswith(appended):
        return False
    path = (folder / NAME).resolve()
    mended = _mended(path)
    disk.write_new(mended, os.pread(fd, start, 0) + tail[len(appended) :], like=path)
    mended.replace(path)
    disk.sync_folder(path.parent)
    return True


def _note(start: int, appended: bytes) -> bytes:
    return b"%b %d %d\n%b" % (_MAGIC, start, len(appended), appended)


def _planned(note: Path) -> tuple[int, bytes] | None:
    """Read where a take was to append what; None where the note never was complete."""
    try:
        head, _, appended = note.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    magic, *numbers = head.rsplit(b" ", 2)
    if magic != _MAGIC or [len(appended)] != [int(n) for n in numbers[1:] if n.isdigit()]:
        return None
    return int(numbers[0]), appended


def _mended(consumed: Path) -> Path:
    return consumed.with_name(f".{consumed.name}{_MENDED}")


def _beside(queue: Path, kind: str) -> Path:
    return queue.with_name(f".{queue.name}{kind}")
