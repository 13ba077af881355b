"""The orders that a run can get, its answers, and how an order is written.

Rule 1: pure; files are the business of ``files``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

INVALID_ORDER = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""Errors of reading a file that is no order."""


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """Take no more jobs, and let the running ones end by themselves."""


@dataclass(frozen=True, slots=True)
class AbortOrder:
    """Take no more jobs, and end the running ones."""


@dataclass(frozen=True, slots=True)
class LeaveOrder:
    """End the run at once; its detached commands go on."""


@dataclass(frozen=True, slots=True)
class PauseOrder:
    """Take and start nothing until ``ResumeOrder``; the running commands go on."""


@dataclass(frozen=True, slots=True)
class ResumeOrder:
    """Take jobs again after ``PauseOrder``."""


@dataclass(frozen=True, slots=True)
class StopJobOrder:
    """End one job.

    Attributes:
        number: the job's number in the run.
        sub_node: the number of the sub-node on which the job is ended; None for all of them.
    """

    number: int
    sub_node: int | None = None


Order: TypeAlias = DrainOrder | AbortOrder | LeaveOrder | PauseOrder | ResumeOrder | StopJobOrder
"""What a run can be asked to do."""


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """The answer of a run to an order.

    Attributes:
        done: whether the run obeyed.
        words: what it did, or why not; may be empty.
    """

    done: bool
    words: str = ""


def data_of(order: Order) -> dict[str, object]:
    """Give an order as it is written."""
    match order:
        case DrainOrder():
            return {"order": "drain"}
        case AbortOrder():
            return {"order": "abort"}
        case LeaveOrder():
            return {"order": "leave"}
        case PauseOrder():
            return {"order": "pause"}
        case ResumeOrder():
            return {"order": "resume"}
        case StopJobOrder(number, sub_node):
            return {"order": "stop_job", "job": number, "sub_node": sub_node}


def order_of(data: dict[str, Any]) -> Order:
    """Read an order.

    Raises:
        ValueError, KeyError: it is none.
    """
    match data["order"]:
        case "drain":
            return DrainOrder()
        case "abort":
            return AbortOrder()
        case "leave":
            return LeaveOrder()
        case "pause":
            return PauseOrder()
        case "resume":
            return ResumeOrder()
        case "stop_job":
            sub_node = data["sub_node"]
            return StopJobOrder(int(data["job"]), None if sub_node is None else int(sub_node))
    raise ValueError("this order is unknown")
