"""The side of the sender: it writes an order, and waits for the answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import trio

from pegasus.orders.files import ANSWER_SUFFIX, ORDER_SUFFIX, read_file, remove_file, write_file
from pegasus.orders.kinds import (
    INVALID_ORDER,
    AbortOrder,
    DrainOrder,
    LeaveOrder,
    Order,
    OrderAnswer,
    PauseOrder,
    ResumeOrder,
    StopJobOrder,
    data_of,
)
from pegasus.ownership import make_private_folder

ORDER_ANSWER_POLL = 0.05
"""Seconds between two looks of a sender for the answer."""

ORDER_ANSWER_LIMIT = 15.0
"""Seconds to wait for an answer. A run looks for orders five times a second, and answers that it
drains once every job that it took has begun, which may take five seconds on a slow node."""

ORDER_NOTICE_AFTER = 1.0
"""Seconds after which a sender that waits reports it."""


@dataclass(frozen=True, slots=True)
class SentOrder:
    """An order that was sent.

    Attributes:
        path: the file, under the name that it has until the run reads it.
    """

    path: Path

    def take_answer(self) -> OrderAnswer | None:
        """Give the run's answer, and remove its file; None while there is none."""
        answer = self.path.with_suffix(ANSWER_SUFFIX)
        try:
            if answer not in self.path.parent.iterdir():
                return None
            data = read_file(answer)
            received = OrderAnswer(bool(data["done"]), str(data["words"]))
        except OSError:
            return None
        except INVALID_ORDER:
            received = OrderAnswer(done=False, words="The run's answer makes no sense.")
        remove_file(answer)
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
    path = folder / f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}{ORDER_SUFFIX}"
    write_file(path, data_of(order))
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
        case LeaveOrder():
            words = "it ends, and its detached commands go on."
        case PauseOrder():
            words = "paused: nothing is taken until `pegasus resume`."
        case ResumeOrder():
            words = "it takes jobs again."
        case StopJobOrder(number):
            words = f"job {number} is being ended (SIGTERM, SIGKILL after 10 s)."
            return words if done else f"job {number} does not run."
    return words if done else "it cannot do that."
