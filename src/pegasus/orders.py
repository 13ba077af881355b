"""Orders to a run from any terminal of any machine, as small files in the record of the run.

Rule 1: an order is one file in the folder of orders, and appears complete: it is written under
another name first. The run renames it when it has read it, and writes an answer beside it when it
has obeyed. So the sender can distinguish: not read, not done yet, done.
Rule 2: files, not signals: a signal reaches neither another machine nor a container.
Rule 3: both sides list the folder and never test for one name or compare times: a network file
system caches for half a minute that a file was missing, and two changes within one tick of a clock
look like one.
Rule 4: a file that is no order is removed, and no fault of the disk ends a run.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import trio

from pegasus import durable
from pegasus.ownership import make_private_folder

ORDER_POLL = 0.2
"""Seconds between two looks of a run for orders: hardly noticeable for a person, and no load for
the disk."""

ORDER_ANSWER_POLL = 0.05
"""Seconds between two looks of a sender for the answer."""

ORDER_ANSWER_LIMIT = 15.0
"""Seconds to wait for an answer. A run looks for orders five times a second, and answers that it
drains once every job that it took has begun, which may take five seconds on a slow node."""

ORDER_NOTICE_AFTER = 1.0
"""Seconds after which a sender that waits reports it."""

LONGEST_ORDER = 64 * 1024
"""Bytes that are read of an order or an answer; an order has a hundred, an answer a sentence."""

_ORDER, _SEEN, _ANSWER, _UNFINISHED = ".order", ".seen", ".answer", ".unfinished"

_INVALID = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""Errors of reading a file that is no order."""


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """Take no more jobs, and let the running ones end by themselves."""


@dataclass(frozen=True, slots=True)
class AbortOrder:
    """Take no more jobs, and end the running ones."""


@dataclass(frozen=True, slots=True)
class StopJobOrder:
    """End one job.

    Attributes:
        number: the job's number in the run.
        sub_node: the number of the sub-node on which the job is ended; None for all of them.
    """

    number: int
    sub_node: int | None = None


Order: TypeAlias = DrainOrder | AbortOrder | StopJobOrder


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """The answer of a run to an order.

    Attributes:
        done: whether the run obeyed.
        words: what it did, or why not; may be empty.
    """

    done: bool
    words: str = ""


def orders_of(run: Path) -> Path:
    """Give the folder of the orders to a run, which need not exist.

    Args:
        run: the run's own folder.
    """
    return run / "orders"


# The run.


@dataclass(frozen=True, slots=True)
class Request:
    """An order that a run has read, and that waits for its answer.

    Attributes:
        order: the order.
        path: the file, under the name that it has since it was read.
    """

    order: Order
    path: Path

    def answer(self, words: str = "", *, done: bool = True) -> None:
        """Answer the order; an answer that cannot be written is no error.

        Args:
            words: what was done, or why not; the sender shows it.
            done: whether the order was obeyed.
        """
        answer = self.path.with_suffix(_ANSWER)
        with suppress(OSError):
            _write(answer, {"done": done, "words": words})
            self.path.unlink()


async def read_orders(folder: Path) -> AsyncIterator[Request]:
    """Yield the orders of a run as they arrive, without end; each must be answered.

    Args:
        folder: see ``orders_of``; it may appear later, or disappear.
    """
    # A limiter of its own: a disk that hangs must hold back neither signals nor other disks.
    limiter = trio.CapacityLimiter(1)
    while True:
        look = partial(_pick_up, folder)
        for request in await trio.to_thread.run_sync(look, limiter=limiter, abandon_on_cancel=True):
            yield request
        await trio.sleep(ORDER_POLL)


def _pick_up(folder: Path) -> list[Request]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == _ORDER)
    except OSError:
        return []
    found = map(_request, paths)
    return [request for request in found if request is not None]


def _request(path: Path) -> Request | None:
    """Read an order; None for a file that is none, or was withdrawn."""
    try:
        order = _order_of(_read(path))
    except OSError:
        return None
    except _INVALID:
        _remove(path)
        return None
    seen = path.with_suffix(_SEEN)
    try:
        path.rename(seen)
    except OSError:
        return None
    return Request(order, seen)


# The sender.


@dataclass(frozen=True, slots=True)
class SentOrder:
    """An order that was sent.

    Attributes:
        path: the file, under the name that it has until the run reads it.
    """

    path: Path

    def take_answer(self) -> OrderAnswer | None:
        """Give the run's answer, and remove its file; None while there is none."""
        answer = self.path.with_suffix(_ANSWER)
        try:
            if answer not in self.path.parent.iterdir():
                return None
            data = _read(answer)
            received = OrderAnswer(bool(data["done"]), str(data["words"]))
        except OSError:
            return None
        except _INVALID:
            received = OrderAnswer(done=False, words="The run's answer makes no sense.")
        _remove(answer)
        return received

    def withdraw(self) -> bool:
        """Withdraw the order; report whether the run had not read it yet, and never will."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class RunOver:
    """The run ended before it answered; nothing of it goes on, as every order demands."""

    done: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The run did not answer in time.

    Attributes:
        withdrawn: whether the order was withdrawn before the run read it.
    """

    withdrawn: bool
    done: ClassVar[bool] = False


Reply: TypeAlias = OrderAnswer | RunOver | NoAnswer
"""The results of waiting for a run to obey; each has an attribute ``done``."""


def send(folder: Path, order: Order) -> SentOrder:
    """Send an order.

    Args:
        folder: see ``orders_of``; it is made where it is missing.
        order: what the run shall do.

    Raises:
        OSError: it cannot be written.
    """
    with suppress(FileExistsError):
        make_private_folder(folder)
    # The run reads orders in the order of their names.
    path = folder / f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}{_ORDER}"
    _write(path, _data_of(order))
    return SentOrder(path)


async def wait_obeyed(
    sent: SentOrder, *, is_alive: Callable[[], bool], on_wait: Callable[[], None]
) -> Reply:
    """Wait until a run has obeyed an order, is over, or ``ORDER_ANSWER_LIMIT`` has passed.

    However the wait ends, cancelled too, the run does not read the order afterwards.

    Args:
        sent: the order.
        is_alive: reports whether the run goes on.
        on_wait: called when the wait has lasted ``ORDER_NOTICE_AFTER``.
    """
    try:
        with trio.move_on_after(ORDER_ANSWER_LIMIT):
            return await _wait_answer(sent, is_alive, on_wait)
        return NoAnswer(withdrawn=sent.withdraw())
    finally:
        sent.withdraw()


async def _wait_answer(
    sent: SentOrder, is_alive: Callable[[], bool], on_wait: Callable[[], None]
) -> OrderAnswer | RunOver:
    notice_at = trio.current_time() + ORDER_NOTICE_AFTER
    while True:
        alive = is_alive()  # before the look for the answer: a run answers before it ends
        answer = sent.take_answer()
        if answer is not None:
            return answer
        if not alive:
            return RunOver()
        if trio.current_time() >= notice_at:
            notice_at = trio.current_time() + ORDER_ANSWER_LIMIT
            on_wait()
        await trio.sleep(ORDER_ANSWER_POLL)


def describe_reply(order: Order, reply: Reply, run: str, where: str) -> str:
    """Put a reply into a sentence for the person who sent the order.

    Args:
        order: the order.
        reply: what ``wait_obeyed`` returned.
        run: the run's name.
        where: its process and host.
    """
    match reply:
        case OrderAnswer():
            return f"Run {run}: {reply.words or _default_words(order, done=reply.done)}"
        case RunOver():
            return f"Run {run} is over."
        case NoAnswer(withdrawn=True):
            return (
                f"Run {run} ({where}) does not answer, and will not find the order any more. "
                "Look whether it is stopped or hangs."
            )
        case NoAnswer():
            return (
                f"Run {run} ({where}) has seen the order, but has not done it yet. "
                "`pegasus status` shows what it does."
            )


def _default_words(order: Order, *, done: bool) -> str:
    """Give the words for an answer without words."""
    match order:
        case DrainOrder():
            words = "nothing more is taken; what runs goes on to its end."
        case AbortOrder():
            words = "what runs is being ended (SIGTERM, SIGKILL after 10 s)."
        case StopJobOrder(number):
            words = f"job {number} is being ended (SIGTERM, SIGKILL after 10 s)."
            return words if done else f"job {number} does not run."
    return words if done else "it can't do that."


# The files.


def _data_of(order: Order) -> dict[str, object]:
    match order:
        case DrainOrder():
            return {"order": "drain"}
        case AbortOrder():
            return {"order": "abort"}
        case StopJobOrder(number, sub_node):
            return {"order": "stop_job", "job": number, "sub_node": sub_node}


def _order_of(data: dict[str, Any]) -> Order:
    """Read an order.

    Raises:
        ValueError, KeyError: it is none.
    """
    match data["order"]:
        case "drain":
            return DrainOrder()
        case "abort":
            return AbortOrder()
        case "stop_job":
            sub_node = data["sub_node"]
            return StopJobOrder(int(data["job"]), None if sub_node is None else int(sub_node))
    raise ValueError("this order is unknown")


def _write(path: Path, data: dict[str, object]) -> None:
    """Write a file that appears complete, under a name that no other file has."""
    line = json.dumps(data).encode() + b"\n"
    durable.write_private(path, line, path.with_suffix(_UNFINISHED).name)


def _read(path: Path) -> dict[str, Any]:
    """Read an order or an answer.

    Raises:
        OSError: it cannot be read, or is missing.
        ValueError: it is something else.
    """
    data = json.loads(durable.read_own(path, LONGEST_ORDER)[1])
    if not isinstance(data, dict):
        raise ValueError("this is no object")  # noqa: TRY004 -- one error for all that is wrong
    return data


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
