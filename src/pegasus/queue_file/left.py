"""Old queue files: replaced while another program had them open, and still written to.

A program that has the queue file open for writing continues with that file after it was replaced.
So the old file gets another name, in a folder beside the queue file, until it is closed. What is
written to it is moved to the end of the queue.

Rule 1: the name says how much of the file was moved already: ``INODE-BYTES-CHECKSUM``, with the
checksum of these bytes. If the checksum is wrong, the file was overwritten: it becomes the queue.
Rule 2: everything here needs the lock of the queue.

The steps of a move, and what a crash after each of them leaves::

    new    .queue.yaml.pegasus-open/new   the queue with what came        nothing happened
    link   the old file by its next name                                  nothing happened
    rename new -> queue.yaml                                              moved
    unlink the old file's last name                                       moved

So of two names of one file the longer one counts, unless there is a new file.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from pegasus import durable
from pegasus.queue_file import content, departure, lock, old_files, settled
from pegasus.queue_file.old_files import MOVED_FILE, OldFile, find_old_files, folder_of
from pegasus.queue_file.settled import Sight, Sign, gives_leases

UNKNOWN_WRITERS_LIMIT = 10.0
"""Seconds without a change after which an old file is given up, where its writers are unknown."""


def signs(real: Path) -> tuple[Sign, ...]:
    """Give the signs of the old files and of the queue file."""
    paths = [left.path for left in find_old_files(real)]
    return tuple(settled.sign_of(path) for path in (*paths, real))


def states(real: Path) -> tuple[content.State | None, ...]:
    """Give the states of the old files."""
    if not old_files.are_there(real):
        return ()
    return tuple(content.state(left.path) for left in find_old_files(real))


def with_tails(real: Path, data: bytes) -> bytes:
    """Give a queue with what will be moved to its end, for commands that only read."""
    for left in find_old_files(real):
        with contextlib.suppress(OSError):
            if tail := left.path.read_bytes()[left.base :]:
                data = ended(data) + tail
    return data


def ended(data: bytes) -> bytes:
    """Give data whose last line is complete."""
    return data if not data or data.endswith(b"\n") else data + b"\n"


def collect(path: str, real: Path) -> list[Sight]:
    """Move what was written to old files to the end of the queue.

    Args:
        path: as the user gave it.
        real: the queue file, whose lock is held.

    Returns:
        The old files that may still be written to.

    Raises:
        OSError, PegasusError: something could not be moved; nothing is lost.
    """
    if not old_files.are_there(real):
        return []
    try:
        staying = [
            sight
            for left in old_files.recovered_old_files(real)
            for sight in _collect_one(path, real, left)
        ]
    except (FileNotFoundError, FileExistsError) as error:
        raise lock.company(real) from error
    old_files.remove_folder(real)
    return staying


def _collect_one(path: str, real: Path, left: OldFile) -> Iterator[Sight]:
    sign = settled.sign_of(left.path)
    if sign[0] is not None and sign[0][1] == left.base and sign[1] and gives_leases(real):
        yield Sight(b"", sign[0], 0, sign)  # still open, but nothing was written
        return
    sight = settled.look(path, left.path, left.base)
    data, base = sight.data, left.base
    if zlib.crc32(data[:base]) != left.checksum or len(data) < base:
        left.path.replace(real)  # overwritten at the moment of a take
        return
    if sight.ready > base:
        content.refuse_read_only(path, real)
        moved = _move(path, real, left, sight)
        if moved is None:
            yield sight
            return
        left = moved
    if sight.ready == len(data) and _is_over(real, sight):
        left.path.unlink()
    else:
        yield sight


def _is_over(real: Path, sight: Sight) -> bool:
    """Tell whether no process will write to an old file any more; it was read to its end."""
    if sight.sign[1] is False:
        return True
    unknown = not sight.appended and not sight.overwritten
    unchanged = time.time() - sight.state[0] / 1e9
    return unknown and unchanged > UNKNOWN_WRITERS_LIMIT and not gives_leases(real)


def _move(path: str, real: Path, left: OldFile, sight: Sight) -> OldFile | None:
    """Append what was written to an old file to the queue; None if that has to wait."""
    queue = None if content.state(real) is None else settled.look(path, real)
    if queue is not None and (queue.overwritten or queue.stays):
        return None  # the queue has an incomplete line, which would be completed by accident
    before = b"" if queue is None else ended(queue.complete)
    new = folder_of(real) / MOVED_FILE
    like = durable.model_of(left.path if queue is None else real)
    durable.write_new(new, before + sight.data[left.base : sight.ready], like=like)
    after = left.path.with_name(old_files.old_name(left.inode, sight.ready, sight.data))
    moved = False
    try:
        after.hardlink_to(left.path)
        durable.sync_folder(new.parent)
        moved = departure.replace(real, new, queue)
    finally:
        if not moved:  # the name first: without a new file it would mean that it has happened
            after.unlink(missing_ok=True)
            new.unlink(missing_ok=True)
    if not moved:
        return None
    left.path.unlink()
    return OldFile(after, left.inode, sight.ready, zlib.crc32(sight.data[: sight.ready]))
