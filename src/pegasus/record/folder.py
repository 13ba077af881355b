"""The place of a record, its permissions, and the lock that shows that a run goes on.

Rule 1: folders and the files in them are for their owner only.
Rule 2: the lock is one of the operating system, which releases it however Pegasus ends. It is on a
file of its own, which is never written to while the lock is held.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pegasus import durable
from pegasus.events import RunBegan, RunMode, TakenOver
from pegasus.model import Stream
from pegasus.ownership import is_strangers, make_private_folder, owner_of

RECORDS = ".pegasus"
"""The folder of all records, beside the queue file."""

_NUMBER_DIGITS = 4
"""Digits of a run's number in its name, at least, so that a listing is in the order of the runs."""

_MOST_DIGITS = 7
"""Digits of the numbers that are continued. Names of runs of earlier versions begin with a date of
eight digits."""

_NUMBERED = re.compile(r"([0-9]{1,18})(?:-.*)?", re.DOTALL)
"""Names of runs that begin with a number."""

_NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL))
"""Errors of a file system without locks."""

_READER_LOOKS, _READER_LOOK = 100, 0.005
"""How often, and after how many seconds at least, to try a lock again that a reader holds. A reader
that has lost the processor has it back by then."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Where Linux identifies the time since its start; a container has that of its host."""

_LOCK_TRIES = 1000
"""Tries of a lock that a reader may be testing at this moment; a test takes microseconds."""


@dataclass(frozen=True, slots=True)
class OutputName:
    """Identifies an output of a command, which has a file."""

    job: int
    sub_node: int
    stream: Stream

    def file_name(self, mode: RunMode) -> str:
        """Give the name of its file; in a broadcast a job has an output on each sub-node."""
        return f"{output_stem(self.job, self.sub_node, mode)}.{self.stream.value}"


def output_stem(job: int, sub_node: int, mode: RunMode) -> str:
    """Give the name of an output's file without its suffix: ``1``, in a broadcast ``1-0``."""
    return f"{job}-{sub_node}" if mode == "broadcast" else str(job)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def journal(self) -> Path:
        """The file of events."""
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """The file that is locked while the run goes on; it names the process of the run."""
        return self.path / "lock"

    @property
    def output(self) -> Path:
        """The folder of the jobs' output."""
        return self.path / "output"


def records_of(queue: Path) -> Path:
    """Give the folder of all records of a queue.

    Args:
        queue: the real path of the queue file.
    """
    return queue.parent / RECORDS


def make_folder(queue: Path, name: str) -> tuple[RunFolder, int]:
    """Make a folder for a new run, with a number higher than that of each existing run.

    The number belongs to one run only: the process that makes the folder ``0007`` owns it, and
    renames the folder to its full name, ``0007-...``, when it is complete. Of two processes that
    start at the same time, the second finds one of these names, and tries the next number.

    Args:
        queue: the real path of the queue file, which need not exist.
        name: the run's name, without its number.

    Returns:
        The folder, and the run's number.

    Raises:
        OSError: it cannot be made.
    """
    records = records_of(queue)
    with suppress(FileExistsError):
        make_private_folder(records, owner_of(queue))
        ignore = durable.open_private(records / ".gitignore")
        os.write(ignore, b"*\n")
        os.close(ignore)
    refuse_strangers(queue)
    number = 0
    while True:
        number = _free_number(records, number + 1)
        claim = RunFolder(records / f"{number:0{_NUMBER_DIGITS}}")
        try:
            make_private_folder(claim.path)
        except FileExistsError:
            continue
        if _free_number(records, number, but=claim.name) > number:
            claim.path.rmdir()
            continue
        make_private_folder(claim.output)
        folder = RunFolder(records / f"{claim.name}-{name}")
        claim.path.rename(folder.path)
        return folder, number


def _free_number(records: Path, least: int, but: str = "") -> int:
    """Give the lowest number from ``least`` on that no run has, above those of all runs.

    A number with more digits than runs have is a date, or was made by hand. It is not continued,
    but it is not given a second time either.
    """
    with os.scandir(records) as found:
        matches = [_NUMBERED.fullmatch(each.name) for each in found if each.name != but]
    texts = [match[1] for match in matches if match]
    number = max([least, *(int(text) + 1 for text in texts if len(text) <= _MOST_DIGITS)])
    taken = {int(text) for text in texts if len(text) > _MOST_DIGITS}
    while number in taken:
        number += 1
    return number


def number_of(name: str) -> int | None:
    """Give the number with which the name of a run begins; None for one of an earlier version."""
    match = _NUMBERED.fullmatch(name)
    return int(match[1]) if match and len(match[1]) <= _MOST_DIGITS else None


def refuse_strangers(queue: Path) -> None:
    """Refuse a folder of records that belongs to another user.

    Its owner could replace its content: read or forge the record, and send orders to the run.
    The owner of the queue file is accepted: that user decides anyway what is run.

    Raises:
        OSError: it is such a folder, or is missing.
    """
    records = records_of(queue)
    if is_strangers(records, owner_of(queue).st_uid):
        raise PermissionError(errno.EPERM, "another user owns this folder", str(records))


def open_to_read(path: Path) -> BinaryIO:
    """Open a file of a record, without waiting where a pipe is in its place.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "this is not a regular file", str(path))
    return os.fdopen(fd, "rb")


def hold_lock(folder: RunFolder) -> tuple[int, bool]:
    """Lock a run's folder until the file descriptor is closed.

    Returns:
        The file descriptor, and whether it is locked: some file systems have no locks.

    Raises:
        OSError: the file cannot be made.
    """
    fd = durable.open_private(folder.lock)
    os.write(fd, f"{os.getpid()} {socket.gethostname()}\n".encode("utf-8", "backslashreplace"))
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno in _NO_LOCKS:
                break
            os.close(fd)
            raise
        else:
            return fd, True
    return fd, False


def try_lock(folder: RunFolder) -> int | None:
    """Lock the folder of a run that is over, if nobody else has; never wait for who has.

    A reader holds the lock for a moment, shared with other readers: it is waited for.

    Returns:
        The file descriptor that holds the lock until it is closed; None where another has it.

    Raises:
        OSError: the file cannot be opened; ENOLCK and the like where there are no locks.
    """
    fd = durable.open_private(folder.lock)
    try:
        for _ in range(_READER_LOOKS):
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # it fails where a writer has it
            fcntl.flock(fd, fcntl.LOCK_UN)
            time.sleep(_READER_LOOK * (1 + time.monotonic() % 1))  # out of step with others
    except BlockingIOError:
        pass
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None


def has_no_locks(error: OSError) -> bool:
    """Return whether an error of ``try_lock`` means that the file system has no locks."""
    return error.errno in _NO_LOCKS


def boot_of_host() -> str:
    """Identify the time since this machine's last start; empty where that is unknown."""
    try:
        return _BOOT_ID.read_bytes().decode(errors="replace").strip()
    except OSError:
        return ""


def is_held(folder: RunFolder, began: RunBegan, follower: TakenOver | None = None) -> bool:
    """Report whether the process of a run still runs, or the one that took over its commands.

    Where it could not lock, its process is searched for on this machine; a process on another
    machine counts as running.

    Args:
        folder: of the run.
        began: the run's first event.
        follower: who took over its commands last, if anybody did.
    """
    if not began.locked:
        return may_live(follower or began)
    try:
        fd = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        os.close(fd)


def may_live(owner: RunBegan | TakenOver) -> bool:
    """Return whether the process that an event names may still run; on another machine it may."""
    return owner.host != socket.gethostname() or _process_exists(owner.pid)


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
