"""The lock of a queue file: who holds it, and how others wait for it.

Rule 1: the lock file is beside the real file and is never removed: if it were removed while a
process waits for it, there would be two locks.
Rule 2: the operating system locks; the text in the file only names the holder. The text of a killed
holder stays, so it counts only if its process is alive.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import os
import shlex
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

import filelock

from pegasus import durable, ownership
from pegasus.errors import FileFault, PegasusError
from pegasus.model import Position

FIRST_POLL, LAST_POLL = 0.005, 0.05
"""Seconds between two tries: the system does not report that a lock is free."""

LOCK_MESSAGE_DELAY = 1.0
"""Seconds after which a process that waits reports it."""

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH

_LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_WITH_LOCKS = "Keep the queue on a file system that has locks"

LONGEST_HOLDER = 200
"""Characters of the command line of the holder that are written to the lock file."""


class NotAlone(PegasusError):
    """Another process changed what only the holder of the lock may change."""


def company(queue: Path) -> NotAlone:
    """Give the error for a lock that does not exclude others: two processes hold it."""
    return NotAlone(
        f"{queue.parent}: another process takes from this queue while its lock is held here: the "
        "lock does not exclude other machines or mounts. Let only one Pegasus process use the "
        "queue, or keep it on a file system whose locks hold for all"
    )


def refuse_lockless(queue: Path, shown: str) -> None:
    """Test whether the file system has locks, without the lock of the queue and without traces.

    Args:
        queue: the real path of the queue file.
        shown: the path as the user gave it.

    Raises:
        FileFault: it has none. Missing permissions are not a fault: another user may have them.
    """
    try:
        # It has no name, so no other process sees it.
        fd = os.open(queue.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _LOCKLESS:
            what = f"the queue cannot be locked: {error.strerror}"
            raise FileFault(Position(shown, 1, 1), what, _WITH_LOCKS) from error
    finally:
        os.close(fd)


@contextlib.asynccontextmanager
async def held(queue: Path, shown: str, on_wait: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock of a queue file.

    Waiting can be cancelled; once the lock is held, nothing here is a checkpoint.

    Args:
        queue: the real path of the queue file, which need not exist.
        shown: the path as the user gave it.
        on_wait: is called once, after a second of waiting, with a message that names the holder.

    Raises:
        PegasusError: the lock file cannot be created or locked.
    """
    lock, shown = _lock_of(queue), f"{shown}.lock"
    try:
        if not lock.path.exists():
            _create(lock.path, queue)
    except OSError as error:
        raise _no_lock(error, shown) from error
    await _acquire(lock, shown, on_wait)
    try:
        _write_words(lock.fd)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(lock.fd, 0)
        lock.release()


class _Lock:
    """The lock of one file, created once: its creation would be a tenth of the time of a take."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = -1
        self._lock = filelock.FileLock(
            path, thread_local=False, fallback_to_soft=False, on_acquired=self._note
        )

    def _note(self, fd: int) -> None:
        self.fd = fd

    def acquire_nowait(self) -> bool:
        """Try to acquire it; it also excludes other tasks of this process."""
        if self._lock.is_locked:
            return False
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    def release(self) -> None:
        self._lock.release()


@functools.lru_cache(maxsize=16)  # a process has one queue; tests have several
def _lock_of(queue: Path) -> _Lock:
    return _Lock(queue.with_name(queue.name + ".lock"))


async def _acquire(lock: _Lock, shown: str, on_wait: Callable[[str], None]) -> None:
    import trio  # noqa: PLC0415 -- commands that only read do without it

    # No checkpoint where the lock is free: other tasks would delay the job.
    await trio.lowlevel.checkpoint_if_cancelled()
    say_at = trio.current_time() + LOCK_MESSAGE_DELAY
    poll, said = FIRST_POLL, False
    while not _acquire_nowait(lock, shown):
        if not said and trio.current_time() >= say_at:
            said = True
            on_wait(f"waiting for {shown}, which {holder(lock.path)} holds")
        await trio.sleep(poll)
        poll = min(2 * poll, LAST_POLL)


def _acquire_nowait(lock: _Lock, shown: str) -> bool:
    try:
        return lock.acquire_nowait()
    except OSError as error:
        raise _no_lock(error, shown) from error


def holder(path: Path) -> str:
    """Name the holder of a lock that is known to be held, from the text in the lock file."""
    from pegasus.terminal_text import visible  # noqa: PLC0415 -- takes long, and few have to wait

    try:
        words = json.loads(durable.read_own(path)[1])
        pid, host, command = int(words["pid"]), str(words["host"]), visible(str(words["command"]))
        here = host == socket.gethostname()
        if not here or _started(pid) == words["started"]:
            on = "" if here else f" on {visible(host)}"
            return f"`{command}` (process {pid}{on}, since {visible(str(words['since']))})"
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass
    return "another process"


def _write_words(fd: int) -> None:
    """Write who holds the lock; an error of the disk must not prevent the lock."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, _words(os.getpid(), int(time.time())), 0)


@functools.lru_cache(maxsize=1)  # a busy queue is locked a hundred times in a second
def _words(pid: int, second: int) -> bytes:
    since = datetime.fromtimestamp(second).astimezone().isoformat(sep=" ")
    return json.dumps({**_process(pid), "since": since}).encode() + b"\n"


@functools.cache
def _process(pid: int) -> dict[str, object]:
    """Give the constant facts of this process."""
    command = _command()[:LONGEST_HOLDER]
    return {"pid": pid, "host": socket.gethostname(), "command": command, "started": _started(pid)}


def _command() -> str:
    name, *arguments = sys.argv or [""]
    return shlex.join([Path(name).name or "python", *arguments])


def _started(pid: int) -> int | None:
    """Give the start time of a process of this host, which distinguishes reused process numbers.

    It is field 22 of the stat file of proc(5); the name in field 2 may contain blanks.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def _create(path: Path, queue: Path) -> None:
    """Create the lock file for exactly those users who may write the queue file.

    Read access is enough to lock a file, so a user with read access could block all others. The
    owner is that of the queue file, also if root creates the lock file.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent}")
    with contextlib.suppress(FileExistsError):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.closing(os.fdopen(fd, "wb")), contextlib.suppress(OSError):
            ownership.give(fd, ownership.owner_of(queue))
            model = queue.stat() if queue.exists() else os.fstat(fd)
            writers = model.st_mode & _WRITE_BITS
            os.fchmod(fd, stat.S_IRUSR | stat.S_IWUSR | writers | writers << 1)


def _no_lock(error: OSError, shown: str) -> PegasusError:
    instead = {
        errno.ENOENT: "Make the folder, or give another path with --queue-file",
        errno.EACCES: "Make the folder and the lock file writable for you",
        errno.EROFS: "Copy the files to a place that can be written",
        **dict.fromkeys(_LOCKLESS, _WITH_LOCKS),
        errno.ELOOP: "Replace the symbolic link by a file, or remove it",
        errno.ENOSPC: "Free some space on the disk",
        errno.EMFILE: "Raise the limit of open files (`ulimit -n`)",
    }.get(error.errno or 0, "Nothing was taken")
    return PegasusError(f"{shown}: cannot lock the queue: {error.strerror or error}. {instead}.")
