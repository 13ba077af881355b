"""The replacement of a queue file that other programs may have open.

Rule 1: no process loses what it writes: the old file keeps another name while it is open; see
``old_files``.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Self

from pegasus.errors import PegasusError
from pegasus.queue_file import content, old_files, writers
from pegasus.queue_file.settled import Sight, gives_leases


def replace(real: Path, new: Path, sight: Sight | None) -> bool:
    """Rename a file to the queue file; processes that have the old one open lose nothing.

    Args:
        real: the queue file.
        new: a file that is on disk.
        sight: the queue file as it was read; None if there was none.

    Returns:
        Whether that was done; if not, the queue file has changed.

    Raises:
        OSError, PegasusError: it was not done.
    """
    if sight is None:
        if content.state(real) is not None:
            return False
        new.replace(real)
        return True
    old_files.make_folder(real)
    old = old_files.folder_of(real) / old_files.old_name(sight.state[2], sight.base, sight.data)
    try:
        with Departure(real, sight) as departure:
            if not departure.replace(new, old):
                return False
            if not departure.goes_on():
                with contextlib.suppress(OSError):  # otherwise the next process does it
                    old.unlink(missing_ok=True)
    finally:
        old_files.remove_folder(real)
    return True


class Departure:
    """The replacement of a queue file.

    In its block no process can open the old file for writing, if the system supports leases.

    Args:
        real: the queue file.
        sight: the queue file as it was read.

    Raises:
        OSError: the queue file cannot be opened; FileNotFoundError if it was removed.
    """

    def __init__(self, real: Path, sight: Sight) -> None:
        self._real = real
        self._sight = sight
        self._fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        self._lease = writers.Lease(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        self._lease.release()
        with contextlib.suppress(OSError):  # it was open for reading only
            os.close(self._fd)

    def replace(self, new: Path, old: Path) -> bool:
        """Give the old file another name, and its name to the new file.

        Returns:
            Whether that was done; if not, the queue file is no longer what was read.
        """
        try:
            self._link(old)
        except OSError as error:
            # EXDEV: the file is mounted by itself. The rename fails too, with a clearer error.
            if self._sight.appended and error.errno != errno.EXDEV:
                raise PegasusError(
                    f"{self._real}: a process has this file open for writing, and what it writes "
                    f"cannot be followed here: {error.strerror}. Close the file"
                ) from error
        if not self._is_same():
            old.unlink(missing_ok=True)
            return False
        try:
            new.replace(self._real)
        except BaseException:
            old.unlink(missing_ok=True)
            raise
        return True

    def _is_same(self) -> bool:
        """Tell whether the file is what was read; it may be longer if a process appends to it."""
        now, then = content.state(self._real), self._sight.state
        if now is None or not self._sight.appended:
            return now == then
        return now[1] >= then[1] and now[2:] == then[2:]

    def _link(self, old: Path) -> None:
        try:
            old.hardlink_to(self._real)
        except FileExistsError:  # left from an earlier take
            old.unlink()
            old.hardlink_to(self._real)

    def goes_on(self) -> bool:
        """Tell whether a process may still write to the old file, or has written to it."""
        try:
            if self._sight.appended or os.fstat(self._fd).st_size != len(self._sight.data):
                return True
            if self._lease.written is False:
                return not self._lease.is_whole()
        except OSError:
            return True  # the safe answer
        return self._lease.written is True and gives_leases(self._real)
