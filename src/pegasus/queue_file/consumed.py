"""consumed.yaml: what was taken, and the one step that takes: record, then replace the queue.

Rule 1: the order is the promise. Both new files are on the disk before the record is; the record is
before the queue file changes; the change of the queue file is one rename.
Rule 2: a take that did not come to its rename did not happen, and is undone by whoever comes next:
its jobs never started, so its record is cut out of consumed.yaml again.

The steps, and what a crash after each of them leaves::

    new    .queue.yaml.pegasus-new    the queue without the jobs         nothing happened
    note   .queue.yaml.pegasus-take   the record and where it goes       nothing happened
    append consumed.yaml              the record, whole or torn          undone: cut out again
    rename new -> queue.yaml          the jobs are taken                 taken
    append the receipt                lines for whoever keeps a record   taken
    unlink note                                                          taken

So the two files together mean "undo", a new one alone means nothing, and a note alone is of a take
that has happened: its receipt is handed over if it was not. All queue files of a folder share
consumed.yaml, under different locks: it is locked itself, from reading its size until the end. So
whoever has that lock knows that such files, of any queue, are a dead one's.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.ownership import may_be_planted
from pegasus.queue_file import disk

NAME = "consumed.yaml"

PATIENCE = 10.0
"""Seconds to wait for consumed.yaml; a take has it for milliseconds, a stopped one for ever."""

_POLL = 0.01
_LOOKS, _LOOK = 5, 0.001
"""How often, and after how many seconds, to look again whether a line is complete by now: to write
one takes microseconds, unless the writer has just lost the processor."""

_NOTE, _NEW, _MENDED = ".pegasus-take", ".pegasus-new", ".pegasus-mended"
_MAGIC = b"pegasus take"


@dataclass(slots=True)
class Receipt:
    """Who is told of a take in the very moment in which it has happened.

    Attributes:
        path: a file that is there.
        lines: whole lines, no two alike, that are appended to it, exactly once each, also if a
            crash comes between.
        given: whether that has been done; if not, whoever asked for it has to see to it.
    """

    path: Path
    lines: bytes
    given: bool = False


def take(
    queue: Path,
    content: bytes,
    record: str,
    *,
    unchanged: Callable[[], bool],
    receipt: Receipt | None = None,
) -> bool:
    """Record jobs as taken, and replace the queue file by one without them.

    Args:
        queue: the real path of the queue file, whose lock is held.
        content: the queue file without the jobs.
        record: the jobs in canonical form.
        unchanged: says, at the last moment, whether the queue file still is what was read.
        receipt: who is told that it has happened, before anything else can.

    Returns:
        Whether the jobs are taken; if not, the queue file had changed, and nothing happened.

    Raises:
        OSError: nothing happened.
        PegasusError: someone holds consumed.yaml for too long; nothing happened.
    """
    note, new = _beside(queue, _NOTE), _beside(queue, _NEW)
    with _locked(queue) as fd:
        size = os.fstat(fd).st_size
        appended = b"\n" * _is_torn(fd, size) + record.encode()
        new.unlink(missing_ok=True)  # alone it means nothing
        try:
            # What is written beside the queue file is like it, as it is now.
            model = disk.model_of(queue)
            _write_both(new, content, note, _note(size, appended, receipt), model)
            disk.write_all(fd, appended)
            os.fsync(fd)
            if not unchanged():
                _undo(note, fd)
                return False
            new.replace(queue)
        except BaseException:
            with contextlib.suppress(OSError):  # whoever comes next undoes it
                _undo(note, fd)
            _refuse_planted(note)
            raise
        # The take has happened; a disk that fails now cannot make it undone.
        with contextlib.suppress(OSError):
            _hand_over(receipt)
        with contextlib.suppress(OSError):
            disk.sync_folder(queue.parent)
        with contextlib.suppress(OSError):
            note.unlink()
    return True


def _write_both(new: Path, content: bytes, note: Path, words: bytes, model: disk.Model) -> None:
    """Write the new queue file, and then the note, which alone would say that it has happened."""
    with (
        disk.opened_new(new, content, model) as new_fd,
        disk.opened_new(note, words, model) as note_fd,
    ):
        disk.sync_together((new_fd, note_fd), new.parent)


def _hand_over(receipt: Receipt | None) -> None:
    """Append the lines of a receipt to its file."""
    if receipt is None:
        return
    fd = os.open(receipt.path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        disk.write_all(fd, b"\n" * _stays_torn(fd) + receipt.lines)
    finally:
        os.close(fd)
    receipt.given = True


def _is_torn(fd: int, size: int) -> bool:
    """Tell whether a file of this size ends within a line."""
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"


def _stays_torn(fd: int) -> bool:
    """Tell the same of a file to which another thread may be writing a line just now.

    The kernel makes a file longer page by page, so that the end of half a write can be seen.
    """
    for _ in range(_LOOKS):
        if not _is_torn(fd, os.fstat(fd).st_size):
            return False
        time.sleep(_LOOK)
    return True


def _hand_over_late(receipt: Receipt, writer: int) -> None:
    """Append those lines of a receipt that its file lacks; nobody else is there to do it.

    Only to a file of the user's who wrote the note: it must not make us write for its writer.
    """
    with contextlib.suppress(OSError):
        if receipt.path.lstat().st_uid != writer:
            return
        there = receipt.path.read_bytes()
        lines = receipt.lines.splitlines(keepends=True)
        missing = b"".join(line for line in lines if line not in there)
        if missing:
            _hand_over(Receipt(receipt.path, missing))


def is_interrupted(queue: Path) -> bool:
    """Tell whether a take of this queue file goes on, or was interrupted by a crash."""
    return _beside(queue, _NOTE).exists()


def recover_if_interrupted(queue: Path) -> None:
    """Do what ``recover`` does, where there is any need; a new file alone can wait.

    Raises:
        OSError: it could not be undone.
        PegasusError: someone holds consumed.yaml for too long.
    """
    if is_interrupted(queue):
        recover(queue)


def recover(queue: Path) -> None:
    """Undo a take of this queue file that a crash interrupted; the queue's lock is held.

    Raises:
        OSError: it could not be undone.
        PegasusError: someone holds consumed.yaml for too long.
    """
    if is_interrupted(queue):
        with _locked(queue):
            pass
    # Alone, a new file is from before its take began or came after its end.
    _beside(queue, _NEW).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(queue: Path) -> Iterator[int]:
    """Open consumed.yaml beside a queue file and lock it, with every interrupted take undone."""
    path = record_of(queue)
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


def _opened(path: Path, queue: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        _refuse_planted(path)
        fd = os.open(path, flags)
    except FileNotFoundError:
        return _made(path, queue, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PegasusError(f"{path}: this is not a regular file. Move it away")
    return fd


def _made(path: Path, queue: Path, flags: int) -> int:
    """Make consumed.yaml, like the queue file; the target of a symbolic link is as any new file."""
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        _refuse_planted(path)
        return os.open(path, flags | os.O_CREAT, 0o600)
    disk.make_alike(fd, disk.model_of(queue))
    return fd


def _is_planted(path: Path) -> bool:
    try:
        return may_be_planted(path)
    except FileNotFoundError:
        return False


def _refuse_planted(path: Path) -> None:
    if _is_planted(path):
        raise PegasusError(
            f"{path}: somebody else has put this file here. Move the queue to a folder of yours"
        )


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
    with os.scandir(folder) as found:
        names = sorted(file.name for file in found if file.name.endswith(_NOTE))
    notes = [folder / name for name in names if not _is_planted(folder / name)]
    if notes:  # a mended file is made while there is a note
        _mended((folder / NAME).resolve()).unlink(missing_ok=True)
    return sum(_undo(note, fd) for note in notes) > 0  # all of them, not up to the first


def _undo(note: Path, fd: int) -> bool:
    """Undo the take of one queue file; tell whether consumed.yaml is another file now.

    A note that somebody else may have put there is not obeyed, and does not say that the take has
    happened either.
    """
    new = note.with_name(note.name.removesuffix(_NOTE) + _NEW)
    if _is_planted(note):
        new.unlink(missing_ok=True)
        return False
    planned = _planned(note)
    replaced = False
    if new.exists():
        replaced = planned is not None and _cut_out(fd, note.parent, planned)
    elif planned is not None and planned.receipt is not None:
        _hand_over_late(planned.receipt, planned.writer)
    note.unlink(missing_ok=True)  # first the note: alone it would say that the take happened
    new.unlink(missing_ok=True)
    return replaced


@dataclass(frozen=True, slots=True)
class _Planned:
    """What a note says: where a take was to append what, and its receipt; and whose it is."""

    writer: int
    start: int
    appended: bytes
    receipt: Receipt | None


def _cut_out(fd: int, folder: Path, planned: _Planned) -> bool:
    """Remove a record, whole or torn; leave anything else as it is.

    Cutting out what someone else wrote would lose it; leaving a record costs no job.
    """
    start, appended = planned.start, planned.appended
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
    rest = os.pread(fd, start, 0) + tail[len(appended) :]
    disk.write_new(mended, rest, like=disk.model_of(path))
    mended.replace(path)
    disk.sync_folder(path.parent)
    return True


def _note(start: int, appended: bytes, receipt: Receipt | None) -> bytes:
    path, lines = (os.fsencode(receipt.path), receipt.lines) if receipt else (b"", b"")
    numbers = b"%d %d %d %d" % (start, len(appended), len(path), len(lines))
    return b"%b %b\n%b%b%b" % (_MAGIC, numbers, appended, path, lines)


def _planned(note: Path) -> _Planned | None:
    """Read what a take was to do; None where the note never was complete."""
    try:
        writer, data = disk.read_own(note)
    except FileNotFoundError:
        return None
    head, _, rest = data.partition(b"\n")
    magic, *numbers = head.rsplit(b" ", 4)
    if magic != _MAGIC or len(numbers) != 4 or not all(n.isdigit() for n in numbers):
        return None
    start, *lengths = map(int, numbers)
    if len(rest) != sum(lengths):
        return None
    appended, path = rest[: lengths[0]], rest[lengths[0] :][: lengths[1]]
    lines = rest[lengths[0] + lengths[1] :]
    receipt = Receipt(Path(os.fsdecode(path)), lines) if path else None
    return _Planned(writer, start, appended, receipt)


@functools.lru_cache(maxsize=64)
def record_of(queue: Path) -> Path:
    """Give the path of consumed.yaml beside a queue file."""
    return queue.parent / NAME


def _mended(consumed: Path) -> Path:
    return consumed.with_name(f".{consumed.name}{_MENDED}")


@functools.lru_cache(maxsize=64)  # each take asks for the same few
def _beside(queue: Path, kind: str) -> Path:
    return queue.with_name(f".{queue.name}{kind}")
