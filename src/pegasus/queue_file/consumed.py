"""consumed.yaml: the record of taken jobs, and the take itself: record, then replace the queue.

Rule 1: the order guarantees that no job is lost. Both new files are on disk before the record is
written; the record is on disk before the queue file changes; the queue file changes by one rename.
Rule 2: a take that was interrupted before its rename did not happen. The next process undoes it:
its jobs never started, so its record is removed from consumed.yaml.

The steps, and what a crash after each of them leaves::

    new    .queue.yaml.pegasus-new    the queue without the jobs         nothing happened
    note   .queue.yaml.pegasus-take   the record and where it goes       nothing happened
    append consumed.yaml              the record, whole or torn          undone: cut out again
    link   .queue.yaml.pegasus-old    a second name of the old file      undone; see ``left``
    rename new -> queue.yaml          the jobs are taken                 taken
    append the receipt                lines for the record of the run    taken
    unlink note                                                          taken

So both files together mean "undo". A new file alone means nothing. A note alone belongs to a take
that has happened: its receipt is appended if it is missing. All queue files of a folder share
consumed.yaml but have different locks. So consumed.yaml is locked itself, from the moment its size
is read until the end of the take. The holder of that lock knows that such files, of any queue in
the folder, belong to a process that has ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pegasus import durable
from pegasus.errors import PegasusError
from pegasus.ownership import may_be_planted
from pegasus.queue_file import left, lock
from pegasus.queue_file.note import (
    Planned,
    Receipt,
    hand_over,
    hand_over_late,
    note_of,
    planned_in,
)
from pegasus.queue_file.settled import Sight

CONSUMED = "consumed.yaml"

CONSUMED_LOCK_LIMIT = 10.0
"""Seconds to wait for the lock of consumed.yaml. A take holds it for milliseconds; only a stopped
process holds it longer."""

_CONSUMED_POLL = 0.01
_NOTE_FILE, _NEW_FILE, _OLD_FILE, _MENDED_FILE = (
    ".pegasus-take",
    ".pegasus-new",
    ".pegasus-old",
    ".pegasus-mended",
)


def take(
    queue: Path,
    content: bytes,
    record: str,
    *,
    unchanged: Callable[[], bool] = lambda: True,
    receipt: Receipt | None = None,
    sight: Sight | None = None,
) -> bool:
    """Record jobs as taken, and replace the queue file by one without them.

    Args:
        queue: the real path of the queue file, whose lock is held.
        content: the queue file without the jobs.
        record: the jobs in canonical form.
        unchanged: whether the queue file is still what was read; called right before the rename.
        receipt: the lines to append right after the rename.
        sight: the queue file as it was read. With it, processes that have the file open for
            writing lose nothing.

    Returns:
        Whether the jobs are taken; if not, the queue file has changed and nothing happened.

    Raises:
        OSError: nothing happened.
        PegasusError: another process holds consumed.yaml for too long; nothing happened.
    """
    note, new, old = (_beside(queue, kind) for kind in (_NOTE_FILE, _NEW_FILE, _OLD_FILE))
    with _locked(queue) as fd:
        size = os.fstat(fd).st_size
        appended = b"\n" * durable.is_torn(fd, size) + record.encode()
        planned = Planned(os.geteuid(), size, appended, receipt, sight.base if sight else 0)
        new.unlink(missing_ok=True)  # without a note it means nothing
        try:
            ours = _write_both(new, content, note, planned, durable.model_of(queue))
            durable.write_all(fd, appended)
            os.fsync(fd)
            _refuse_company(new, ours, fd, planned)
            goes_on = _rename(new, queue, old, sight) if unchanged() else None
            if goes_on is None:
                _refuse_company(new, ours, fd, planned)
        except FileExistsError as error:  # another process has created it
            if error.filename == str(note):
                new.unlink(missing_ok=True)
            _refuse_planted(note)
            raise lock.company(queue) from error
        except lock.NotAlone:
            _cut_out_late(queue, fd, planned)
            raise
        except BaseException:
            with contextlib.suppress(OSError):  # otherwise the next process undoes it
                began = os.lseek(fd, 0, os.SEEK_CUR) > 0
                _take_back(note, fd, planned if began else None)
            raise
        if goes_on is None:
            _take_back(note, fd, planned)
            return False
        _finish(queue, sight, receipt, goes_on=goes_on)
    return True


def _rename(new: Path, queue: Path, old: Path, sight: Sight | None) -> bool | None:
    """Rename the new file. Return whether the old file is still written to; None if not renamed."""
    if sight is None:
        new.replace(queue)
        return False
    try:
        departure = left.Departure(queue, sight)
    except FileNotFoundError:
        return None
    with departure:
        try:
            done = departure.replace(new, old)
        except FileNotFoundError as error:
            raise lock.company(queue) from error  # the new file is gone
        return departure.goes_on() if done else None


def _finish(queue: Path, sight: Sight | None, receipt: Receipt | None, *, goes_on: bool) -> None:
    """Do what follows the rename. An error of the disk cannot undo the take any more."""
    old, is_done = _beside(queue, _OLD_FILE), False
    with contextlib.suppress(OSError):
        hand_over(receipt)
    with contextlib.suppress(OSError, PegasusError):
        if goes_on and sight is not None:
            left.keep(queue, old, sight.base, sight.data)
        else:
            old.unlink(missing_ok=True)
        is_done = True
    with contextlib.suppress(OSError):
        durable.sync_folder(queue.parent)
    if is_done:  # otherwise the next process does it
        with contextlib.suppress(OSError):
            _beside(queue, _NOTE_FILE).unlink()


def _refuse_company(new: Path, ours: int, fd: int, planned: Planned) -> None:
    """Raise if another process has undone this take: it must have believed that we are dead."""
    length = len(planned.appended)
    is_there = os.pread(fd, length, planned.start) == planned.appended
    is_at_end = os.lseek(fd, 0, os.SEEK_CUR) == planned.start + length
    try:
        is_ours = new.stat().st_ino == ours
    except FileNotFoundError:
        is_ours = False
    if not (is_there and is_at_end and is_ours and os.fstat(fd).st_nlink):
        raise lock.company(new)


def _cut_out_late(queue: Path, fd: int, planned: Planned) -> None:
    """Remove a record that was appended after another process had undone the take.

    A record at its planned position was removed by that process, or belongs to it.
    """
    start = os.lseek(fd, 0, os.SEEK_CUR) - len(planned.appended)
    if start > planned.start and _is_at(fd, record_of(queue)):
        with contextlib.suppress(OSError):
            _cut_out(fd, queue.parent, replace(planned, start=start))


def _write_both(
    new: Path, content: bytes, note: Path, planned: Planned, model: durable.FileModel
) -> int:
    """Write the new queue file, and then the note: a note alone would mean that it has happened.

    Both files get the mode, owner and attributes of the queue file.

    Returns:
        The inode of the new file.
    """
    words = note_of(planned.start, planned.appended, planned.receipt, planned.base or 0)
    with (
        durable.opened_new(new, content, model) as new_fd,
        durable.opened_new(note, words, model) as note_fd,
    ):
        durable.sync_together((new_fd, note_fd), new.parent)
        return os.fstat(new_fd).st_ino


def is_interrupted(queue: Path) -> bool:
    """Tell whether a take of this queue file is in progress or was interrupted by a crash."""
    return _beside(queue, _NOTE_FILE).exists()


def recover_if_interrupted(queue: Path) -> None:
    """Call ``recover`` if there is a note; a new file alone can stay.

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
    # Without a note, a new file is from before the take or from after its end.
    _beside(queue, _NEW_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(queue: Path) -> Iterator[int]:
    """Open and lock consumed.yaml beside a queue file, and undo every interrupted take."""
    path = record_of(queue)
    while True:
        fd = _opened(path, queue)
        try:
            _lock(fd, path)
            if _is_at(fd, path) and not _undo_all(queue.parent, fd):
                yield fd
                return
        finally:
            # Unlocked explicitly: a child that is being forked right now has the file open as well.
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
    """Create consumed.yaml like the queue file; the target of a symbolic link as any new file."""
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        _refuse_planted(path)
        return os.open(path, flags | os.O_CREAT, 0o600)
    durable.make_alike(fd, durable.model_of(queue))
    return fd


def _is_planted(path: Path) -> bool:
    try:
        return may_be_planted(path)
    except FileNotFoundError:
        return False


def _refuse_planted(path: Path) -> None:
    if _is_planted(path):
        raise PegasusError(
            f"{path}: another user owns this file. Move the queue to a folder of yours"
        )


def _lock(fd: int, path: Path) -> None:
    deadline = time.monotonic() + CONSUMED_LOCK_LIMIT
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise PegasusError(
                    f"{path}: another process has held it for {CONSUMED_LOCK_LIMIT:g} seconds. "
                    "Look for a stopped Pegasus process in this folder and let it go on"
                ) from None
            time.sleep(_CONSUMED_POLL)


def _is_at(fd: int, path: Path) -> bool:
    """Tell whether the locked file still has the name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _undo_all(folder: Path, fd: int) -> bool:
    """Undo all interrupted takes. Return whether consumed.yaml is a different file now."""
    with os.scandir(folder) as found:
        names = sorted(file.name for file in found if file.name.endswith(_NOTE_FILE))
    notes = [folder / name for name in names if not _is_planted(folder / name)]
    if notes:  # a mended file is only created while there is a note
        _mended((folder / CONSUMED).resolve()).unlink(missing_ok=True)
    return sum(_undo(note, fd) for note in notes) > 0  # not any(): that stops at the first


def _undo(note: Path, fd: int) -> bool:
    """Undo the take of one queue file. Return whether consumed.yaml is a different file now.

    A note that another user may have planted is ignored, and does not mean that the take has
    happened.
    """
    queue = _queue_of(note)
    new, old = _beside(queue, _NEW_FILE), _beside(queue, _OLD_FILE)
    if _is_planted(note):
        new.unlink(missing_ok=True)
        return False
    planned = planned_in(note)
    if new.exists():
        return _take_back(note, fd, planned)
    if planned is not None and planned.receipt is not None:
        hand_over_late(planned.receipt, planned.writer)
    if old.exists():
        left.keep_after_crash(queue, old, planned.base if planned else None)
    note.unlink(missing_ok=True)
    return False


def _take_back(note: Path, fd: int, planned: Planned | None) -> bool:
    """Undo a take that did not happen. Return whether consumed.yaml is a different file now."""
    queue = _queue_of(note)
    _beside(queue, _OLD_FILE).unlink(missing_ok=True)
    replaced = False
    if planned is not None and _is_at(fd, record_of(queue)):  # else it was undone already
        replaced = _cut_out(fd, note.parent, planned)
    note.unlink(missing_ok=True)  # the note first: a note alone would mean that it happened
    _beside(queue, _NEW_FILE).unlink(missing_ok=True)
    return replaced


def _cut_out(fd: int, folder: Path, planned: Planned) -> bool:
    """Remove a record, complete or torn; leave everything else as it is.

    Removing the record of another process would lose it; leaving a record loses no job.
    """
    start, appended = planned.start, planned.appended
    size = os.fstat(fd).st_size
    tail = os.pread(fd, max(size - start, 0), start)
    if len(tail) <= len(appended) and appended.startswith(tail.rstrip(b"\0")):
        # A power cut may leave zeros in place of data.
        if size > start:
            os.ftruncate(fd, start)
            os.fsync(fd)
        return False
    if not tail.startswith(appended):
        return False
    path = (folder / CONSUMED).resolve()
    mended = _mended(path)
    rest = os.pread(fd, start, 0) + tail[len(appended) :]
    durable.write_new(mended, rest, like=durable.model_of(path))
    mended.replace(path)
    durable.sync_folder(path.parent)
    return True


@functools.lru_cache(maxsize=64)
def record_of(queue: Path) -> Path:
    """Give the path of consumed.yaml beside a queue file."""
    return queue.parent / CONSUMED


def _queue_of(note: Path) -> Path:
    """Give the queue file of a note."""
    return note.with_name(note.name.removeprefix(".").removesuffix(_NOTE_FILE))


def _mended(consumed: Path) -> Path:
    return consumed.with_name(f".{consumed.name}{_MENDED_FILE}")


@functools.lru_cache(maxsize=64)  # each take needs the same few
def _beside(queue: Path, kind: str) -> Path:
    return queue.with_name(f".{queue.name}{kind}")
