"""Orders to a run from any terminal of any machine, as small files in the record of the run.

Rule 1: an order is one file in the folder of orders, and appears complete: it is written under
another name first. The run renames it when it has read it, and writes an answer beside it when it
has obeyed. So the sender can distinguish: not read, not done yet, done.
Rule 2: files, not signals: a signal reaches neither another machine nor a container.
Rule 3: both sides list the folder and never test for one name or compare times: a network file
system caches for half a minute that a file was missing, and two changes within one tick of a clock
look like one.
Rule 4: a file that is no order is removed, and no fault of the disk ends a run.

The parts: ``kinds`` (orders and answers), ``files``, ``receiving`` (the side of the run) and
``sending`` (the side of the user).
"""

from __future__ import annotations

from pegasus.orders.files import LONGEST_ORDER, orders_of
from pegasus.orders.kinds import (
    AbortOrder,
    DrainOrder,
    LeaveOrder,
    Order,
    OrderAnswer,
    PauseOrder,
    ResumeOrder,
    StopJobOrder,
)
from pegasus.orders.receiving import (
    Request,
    StoredStop,
    clear_stored,
    read_orders,
    stored_stops,
)
from pegasus.orders.sending import (
    NoAnswer,
    Reply,
    RunOver,
    SentOrder,
    describe_reply,
    send,
    wait_obeyed,
)

__all__ = [
    "LONGEST_ORDER",
    "AbortOrder",
    "DrainOrder",
    "LeaveOrder",
    "NoAnswer",
    "Order",
    "OrderAnswer",
    "PauseOrder",
    "Reply",
    "Request",
    "ResumeOrder",
    "RunOver",
    "SentOrder",
    "StopJobOrder",
    "StoredStop",
    "clear_stored",
    "describe_reply",
    "orders_of",
    "read_orders",
    "send",
    "stored_stops",
    "wait_obeyed",
]
