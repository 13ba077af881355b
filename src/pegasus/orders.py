"""What people ask of a run that goes on, from any terminal of any machine: small files.

Rule 1: an order is one file, in a folder of the run's, and appears whole: it is written under
another name first. The run renames it when it has it, and puts an answer in its place when it has
obeyed. So whoever gave it can tell apart: not seen, not done yet, done.
Rule 2: files, not signals: a signal crosses neither to another machine nor into a container.
Rule 3: both sides list the folder and never ask for one name or one time: a network file system
remembers for half a minute that a file was missing, and two changes within one tick of a clock
look like one.
Rule 4: what is no order is removed, and no fault of the disk ends a run.
"""

from __future__ import annotations

import json
import os
import stat
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import trio

from pegasus.ownership import give as give_to
from pegasus.ownership import make_private_folder

POLL = 0.2
"""Seconds between two looks of a run for orders: a person hardly notices, and the disk neither."""

LONGEST = 64 * 1024
"""Bytes that are read of an order or an answer; the former has a hundred, the latter a sentence."""

_FILE_MODE = 0o600
_ORDER, _SEEN, _ANSWER, _UNFINISHED = ".order", ".seen", ".answer", ".unfinished"

_NONSENSE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading something else than an order comes to."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Take nothing more, and let what runs go on to its end."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Take nothing more, and end what runs."""


@dataclass(frozen=True, slots=True)
class StopJob:
    """End one job.

    Attributes:
        number: the job's, in the run.
        sub_node: where it shall be ended, by number; None for wherever it runs.
    """

    number: int
    sub_node: int | None = None


Order: TypeAlias = Drain | Abort | StopJob


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run says to an order.

    Attributes:
        done: whether it did what it was told.
        words: what it did, or why not; may be empty.
    """

    done: bool
    words: str = ""


def orders_of(run: Path) -> Path:
    """Give the folder of the orders to a run, from the run's own folder; it need not exist."""
    return run / "orders"


# The run's side.


@dataclass(frozen=True, slots=True)
class Request:
    """An order that a run was given, and that waits for its answer.

    Attributes:
        order: what is asked.
        path: of its file, now that it was seen.
    """

    order: Order
    path: Path

    def answer(self, words: str = "", *, done: bool = True) -> None:
        """Say that it is done, or why it is not; that nobody can be told is no error.

        Args:
            words: what was done, or why it was not; whoever gave the order is shown them.
            done: whether the order was obeyed.
        """
        answer = self.path.with_suffix(_ANSWER)
        with suppress(OSError):
            _write(answer, {"done": done, "words": words})
            self.path.unlink()


async def read_orders(folder: Path) -> AsyncIterator[Request]:
    """Give the orders of a run as they come, for ever; each has to be answered.

    Args:
        folder: see ``orders_of``; it may come later, or go.
    """
    # Its own thread at a time: a disk that hangs must hold back neither signals nor other disks.
    limiter = trio.CapacityLimiter(1)
    while True:
        look = partial(_pick_up, folder)
        for request in await trio.to_thread.run_sync(look, limiter=limiter, abandon_on_cancel=True):
            yield request
        await trio.sleep(POLL)


def _pick_up(folder: Path) -> list[Request]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == _ORDER)
    except OSError:
        return []
    found = map(_request, paths)
    return [request for request in found if request is not None]


def _request(path: Path) -> Request | None:
    """Pick up an order; None for one that is none, or was taken back."""
    try:
        order = _order_of(_read(path))
    except OSError:
        return None
    except _NONSENSE:
        _remove(path)
        return None
    seen = path.with_suffix(_SEEN)
    try:
        path.rename(seen)
    except OSError:
        return None
    return Request(order, seen)


# The side of whoever gives orders.


@dataclass(frozen=True, slots=True)
class Given:
    """An order that was given.

    Attributes:
        path: of its file, as long as the run has not seen it.
    """

    path: Path

    def take_answer(self) -> Answer | None:
        """Give the run's answer, and clear it away; None while there is none."""
        answer = self.path.with_suffix(_ANSWER)
        try:
            if answer not in self.path.parent.iterdir():
                return None
            data = _read(answer)
            said = Answer(bool(data["done"]), str(data["words"]))
        except OSError:
            return None
        except _NONSENSE:
            said = Answer(done=False, words="The run's answer makes no sense.")
        _remove(answer)
        return said

    def withdraw(self) -> bool:
        """Take the order back; tell whether the run had not seen it yet, and never will."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True


def give(folder: Path, order: Order) -> Given:
    """Give an order.

    Args:
        folder: see ``orders_of``; it is made where it is missing.
        order: what is asked.

    Raises:
        OSError: it can't be given.
    """
    with suppress(FileExistsError):
        make_private_folder(folder, folder.parent.stat())
    # Orders are read in the order of their names.
    path = folder / f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}{_ORDER}"
    _write(path, _data_of(order))
    return Given(path)


def _data_of(order: Order) -> dict[str, object]:
    match order:
        case Drain():
            return {"order": "drain"}
        case Abort():
            return {"order": "abort"}
        case StopJob(number, sub_node):
            return {"order": "stop_job", "job": number, "sub_node": sub_node}


def _order_of(data: dict[str, Any]) -> Order:
    """Read an order.

    Raises:
        ValueError, KeyError: it is none.
    """
    match data["order"]:
        case "drain":
            return Drain()
        case "abort":
            return Abort()
        case "stop_job":
            sub_node = data["sub_node"]
            return StopJob(int(data["job"]), None if sub_node is None else int(sub_node))
    raise ValueError("nobody knows this order")


def _write(path: Path, data: dict[str, object]) -> None:
    """Write a file that appears whole, under a name that nothing has yet."""
    unfinished = path.with_suffix(_UNFINISHED)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    try:
        if os.geteuid() == 0:  # the other side may be another user's
            give_to(fd, path.parent.stat())
        os.write(fd, json.dumps(data).encode() + b"\n")
        unfinished.rename(path)
    except OSError:
        _remove(unfinished)
        raise
    finally:
        os.close(fd)


def _read(path: Path) -> dict[str, Any]:
    """Read what was written; a pipe or the like in its place holds nobody.

    Raises:
        OSError: it can't be read, or is gone.
        ValueError: it is something else.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("this is no file")
        data = json.loads(os.read(fd, LONGEST))
    finally:
        os.close(fd)
    if not isinstance(data, dict):
        raise ValueError("this is no object")  # noqa: TRY004 -- one error for all that is wrong
    return data


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
