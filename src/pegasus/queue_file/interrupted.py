"""Takes that were interrupted, and the lock of consumed.yaml under which they are undone.

Rule 1: whoever holds the lock of consumed.yaml may undo each take that has a note: its process has
ended. See ``consumed`` for the steps of a take.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from pegasus import durable
from pegasus.errors import PegasusError
from pegasus.queue_file import old_files
from pegasus.queue_file.note import Planned, hand_over_late, planned_in
from pegasus.queue_file.take_files import (
    CONSUMED,
    NEW_FILE,
    NOTE_FILE,
    OLD_FILE,
    beside,
    is_at,
    is_planted,
    mended_path,
    queue_of,
    record_of,
    refuse_planted,
)

CONSUMED_LOCK_LIMIT = 10.0
"""Seconds to wait for the lock of consumed.yaml. A take holds it for milliseconds; only a stopped
process holds it longer."""

_CONSUMED_POLL = 0.01


def is_interrupted(queue: Path) -> bool:
    """Tell whether a take of this queue file is in progress or was interrupted by a crash."""
    return beside(queue, NOTE_FILE).exists()


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
        with locked_consumed(queue):
            pass
    # Without a note, a new file is from before the take or from after its end.
    beside(queue, NEW_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def locked_consumed(queue: Path) -> Iterator[int]:
    """Open and lock consumed.yaml beside a queue file, and undo every interrupted take."""
    path = record_of(queue)
    while True:
        fd = _opened(path, queue)
        try:
            _lock(fd, path)
            if is_at(fd, path) and not _undo_all(queue.parent, fd):
                yield fd
                return
        finally:
            # Unlocked explicitly: a child that is being forked right now has the file open as well.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)


def _opened(path: Path, queue: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        refuse_planted(path)
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
        refuse_planted(path)
        return os.open(path, flags | os.O_CREAT, 0o600)
    durable.make_alike(fd, durable.model_of(queue))
    return fd


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


def _undo_all(folder: Path, fd: int) -> bool:
    """Undo all interrupted takes. Return whether consumed.yaml is a different file now."""
    with os.scandir(folder) as found:
        names = sorted(file.name for file in found if file.name.endswith(NOTE_FILE))
    notes = [folder / name for name in names if not is_planted(folder / name)]
    if notes:  # a mended file is only created while there is a note
        mended_path((folder / CONSUMED).resolve()).unlink(missing_ok=True)
    return sum(_undo(note, fd) for note in notes) > 0  # not any(): that stops at the first


def _undo(note: Path, fd: int) -> bool:
    """Undo the take of one queue file. Return whether consumed.yaml is a different file now.

    A note that another user may have planted is ignored, and does not mean that the take has
    happened.
    """
    queue = queue_of(note)
    new, old = beside(queue, NEW_FILE), beside(queue, OLD_FILE)
    if is_planted(note):
        new.unlink(missing_ok=True)
        return False
    planned = planned_in(note)
    if new.exists():
        return take_back(note, fd, planned)
    if planned is not None and planned.receipt is not None:
        hand_over_late(planned.receipt, planned.writer)
    if old.exists():
        old_files.keep_after_crash(queue, old, planned.base if planned else None)
    note.unlink(missing_ok=True)
    return False


def take_back(note: Path, fd: int, planned: Planned | None) -> bool:
    """Undo a take that did not happen. Return whether consumed.yaml is a different file now."""
    queue = queue_of(note)
    beside(queue, OLD_FILE).unlink(missing_ok=True)
    replaced = False
    if planned is not None and is_at(fd, record_of(queue)):  # else it was undone already
        replaced = cut_out(fd, note.parent, planned)
    note.unlink(missing_ok=True)  # the note first: a note alone would mean that it happened
    beside(queue, NEW_FILE).unlink(missing_ok=True)
    return replaced


def cut_out(fd: int, folder: Path, planned: Planned) -> bool:
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
    mended = mended_path(path)
    rest = os.pread(fd, start, 0) + tail[len(appended) :]
    durable.write_new(mended, rest, like=durable.model_of(path))
    mended.replace(path)
    durable.sync_folder(path.parent)
    return True
