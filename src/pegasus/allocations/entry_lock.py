"""The lock of an entry that requests an allocation, and the name of the allocation.

Rule 1: the lock is one of the operating system, which releases it however Pegasus ends; the file
stays, since it contains the name by which the next run finds the allocation.
Rule 2: a copy of the file is the lock of another queue, and has another name: otherwise each of
them would cancel the allocation of the other one. So the file contains its own number.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from pegasus.errors import PegasusError

_NAME_AND_FILE = re.compile("(pegasus-[0-9a-f]{16}) ([0-9]+)")


class EntryLock:
    """The lock of an entry of the hosts file, for all runs of one queue.

    Args:
        path: of its file, in a folder that only its owner may change.

    Attributes:
        name: of the entry's allocation at Slurm; empty until the lock is held.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self.name = ""

    @property
    def is_held(self) -> bool:
        """Whether this run has it."""
        return self._fd is not None

    def acquire_nowait(self) -> bool:
        """Try to acquire it.

        Raises:
            PegasusError: the file cannot be opened or locked.
        """
        if self._fd is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise self._fault(error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.name = _name_in(fd)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as error:
            os.close(fd)
            raise self._fault(error) from error
        self._fd = fd
        return True

    def release(self) -> None:
        """Release it, where it is held."""
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None

    def _fault(self, error: OSError) -> PegasusError:
        return PegasusError(
            f"{self._path}: this file cannot be used: {error.strerror or error}. It records which "
            "run has a Slurm allocation. Keep the queue on a file system with locks and free space."
        )


def _name_in(fd: int) -> str:
    """Read the name from a file that is locked; a new file, or a copy, gets a new one."""
    number = os.fstat(fd).st_ino
    found = _NAME_AND_FILE.fullmatch(os.pread(fd, 100, 0).decode("ascii", "replace").strip())
    if found is not None and int(found[2]) == number:
        return found[1]
    name = f"pegasus-{secrets.token_hex(8)}"
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{name} {number}\n".encode(), 0)
    os.fsync(fd)
    return name
