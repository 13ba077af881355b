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
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pegasus import durable
from pegasus.errors import PegasusError
from pegasus.queue_file import content, lock, old_files
from pegasus.queue_file.content import State
from pegasus.queue_file.departure import Departure
from pegasus.queue_file.interrupted import cut_out, locked_consumed, take_back
from pegasus.queue_file.note import Planned, Receipt, hand_over, note_of
from pegasus.queue_file.settled import Sight
from pegasus.queue_file.take_files import (
    NEW_FILE,
    NOTE_FILE,
    OLD_FILE,
    beside,
    is_at,
    record_of,
    refuse_planted,
)


def take(
    queue: Path,
    data: bytes,
    record: str,
    *,
    unchanged: Callable[[], bool] = lambda: True,
    receipt: Receipt | None = None,
    sight: Sight | None = None,
) -> State | None:
    """Record jobs as taken, and replace the queue file by one without them.

    Args:
        queue: the real path of the queue file, whose lock is held.
        data: the queue file without the jobs.
        record: the jobs in canonical form.
        unchanged: is called right before the rename: whether it may happen; may raise.
        receipt: the lines to append right after the rename.
        sight: the queue file as it was read; with it, programs that write to it lose nothing.

    Returns:
        The state of the new queue file, before anyone else could change it. None if the queue file
        has changed; then nothing happened.

    Raises:
        OSError: nothing happened.
        PegasusError: another process holds consumed.yaml for too long; nothing happened.
    """
    note, new, old = (beside(queue, kind) for kind in (NOTE_FILE, NEW_FILE, OLD_FILE))
    with locked_consumed(queue) as fd:
        size = os.fstat(fd).st_size
        appended = b"\n" * durable.is_torn(fd, size) + record.encode()
        planned = Planned(os.geteuid(), size, appended, receipt, sight.base if sight else 0)
        new.unlink(missing_ok=True)  # without a note it means nothing
        try:
            state = _write_both(new, data, note, planned, durable.model_of(queue))
            durable.write_all(fd, appended)
            os.fsync(fd)
            _refuse_company(new, state, fd, planned)
            goes_on = _rename(new, queue, old, sight) if unchanged() else None
            if goes_on is None:
                _refuse_company(new, state, fd, planned)
        except FileExistsError as error:  # another process has created it
            if error.filename == str(note):
                new.unlink(missing_ok=True)
            refuse_planted(note)
            raise lock.company(queue) from error
        except lock.NotAlone:
            _cut_out_late(queue, fd, planned)
            raise
        except BaseException:
            with contextlib.suppress(OSError):  # otherwise the next process undoes it
                began = os.lseek(fd, 0, os.SEEK_CUR) > 0
                take_back(note, fd, planned if began else None)
            raise
        if goes_on is None:
            take_back(note, fd, planned)
            return None
        _finish(queue, sight, receipt, goes_on=goes_on)
    return state


def _rename(new: Path, queue: Path, old: Path, sight: Sight | None) -> bool | None:
    """Rename the new file. Return whether the old file is still written to; None if not renamed."""
    if sight is None:
        new.replace(queue)
        return False
    try:
        departure = Departure(queue, sight)
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
    old, is_done = beside(queue, OLD_FILE), False
    with contextlib.suppress(OSError):
        hand_over(receipt)
    with contextlib.suppress(OSError, PegasusError):
        if goes_on and sight is not None:
            old_files.keep(queue, old, sight.base, sight.data)
        else:
            old.unlink(missing_ok=True)
        is_done = True
    with contextlib.suppress(OSError):
        durable.sync_folder(queue.parent)
    if is_done:  # otherwise the next process does it
        with contextlib.suppress(OSError):
            beside(queue, NOTE_FILE).unlink()


def _refuse_company(new: Path, ours: State, fd: int, planned: Planned) -> None:
    """Raise if another process has undone this take: it must have believed that we are dead."""
    length = len(planned.appended)
    is_there = os.pread(fd, length, planned.start) == planned.appended
    is_at_end = os.lseek(fd, 0, os.SEEK_CUR) == planned.start + length
    try:
        is_ours = content.state_of(new.stat())[2] == ours[2]  # the inode
    except FileNotFoundError:
        is_ours = False
    if not (is_there and is_at_end and is_ours and os.fstat(fd).st_nlink):
        raise lock.company(new)


def _cut_out_late(queue: Path, fd: int, planned: Planned) -> None:
    """Remove a record that was appended after another process had undone the take.

    A record at its planned position was removed by that process, or belongs to it.
    """
    start = os.lseek(fd, 0, os.SEEK_CUR) - len(planned.appended)
    if start > planned.start and is_at(fd, record_of(queue)):
        with contextlib.suppress(OSError):
            cut_out(fd, queue.parent, replace(planned, start=start))


def _write_both(
    new: Path, data: bytes, note: Path, planned: Planned, model: durable.FileModel
) -> State:
    """Write the new queue file, and then the note: a note alone would mean that it has happened.

    Both files get the mode, owner and attributes of the queue file.

    Returns:
        The state of the new file.
    """
    words = note_of(planned.start, planned.appended, planned.receipt, planned.base or 0)
    with (
        durable.opened_new(new, data, model) as new_fd,
        durable.opened_new(note, words, model) as note_fd,
    ):
        durable.sync_together((new_fd, note_fd), new.parent)
        return content.state_of(os.fstat(new_fd))
