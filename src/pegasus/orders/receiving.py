"""The side of the run: it reads orders and answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus.orders.files import (
    ANSWER_SUFFIX,
    ORDER_SUFFIX,
    SEEN_SUFFIX,
    orders_of,
    read_file,
    remove_file,
    write_file,
)
from pegasus.orders.kinds import INVALID_ORDER, Order, StopJobOrder, order_of

ORDER_POLL = 0.2
"""Seconds between two looks of a run for orders: hardly noticeable for a person, and no load for
the disk."""


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
        answer = self.path.with_suffix(ANSWER_SUFFIX)
        with suppress(OSError):
            write_file(answer, {"done": done, "words": words})
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
        paths = sorted(path for path in folder.iterdir() if path.suffix == ORDER_SUFFIX)
    except OSError:
        return []
    found = map(_request, paths)
    return [request for request in found if request is not None]


def _request(path: Path) -> Request | None:
    """Read an order; None for a file that is none, or was withdrawn."""
    try:
        order = order_of(read_file(path))
    except OSError:
        return None
    except INVALID_ORDER:
        remove_file(path)
        return None
    seen = path.with_suffix(SEEN_SUFFIX)
    try:
        path.rename(seen)
    except OSError:
        return None
    return Request(order, seen)


# Orders that wait for the next Pegasus.


@dataclass(frozen=True, slots=True)
class StoredStop:
    """A stop of a detached command that was ordered while no Pegasus followed its run.

    Attributes:
        order: which job, and where.
        path: its file.
    """

    order: StopJobOrder
    path: Path


def stored_stops(run: Path) -> list[StoredStop]:
    """Give the stops that wait for a Pegasus that takes over a run, in the order of their sending.

    They are left where they are; nothing else is given, and nothing here raises.

    Args:
        run: the run's own folder.
    """
    try:
        paths = sorted(orders_of(run).iterdir())
    except OSError:
        return []
    found = []
    for path in paths:
        # One that was read and not answered belonged to a Pegasus that was killed meanwhile.
        if path.suffix not in {ORDER_SUFFIX, SEEN_SUFFIX}:
            continue
        with suppress(OSError, *INVALID_ORDER):
            order = order_of(read_file(path))
            if isinstance(order, StopJobOrder):
                found.append(StoredStop(order, path))
    return found


def clear_stored(stops: Iterable[StoredStop]) -> None:
    """Remove stops that are in the journal now; one that was sent meanwhile stays."""
    for stop in stops:
        remove_file(stop.path)
