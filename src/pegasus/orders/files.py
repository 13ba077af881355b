"""The files of orders and answers: small, complete, and for their owner only."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from pegasus import durable

LONGEST_ORDER = 64 * 1024
"""Bytes that are read of an order or an answer; an order has a hundred, an answer a sentence."""

ORDER_SUFFIX = ".order"
"""Of an order that the run has not read."""

SEEN_SUFFIX = ".seen"
"""Of an order that the run has read, and not answered."""

ANSWER_SUFFIX = ".answer"
"""Of the answer to an order."""

_UNFINISHED = ".unfinished"


def orders_of(run: Path) -> Path:
    """Give the folder of the orders to a run, which need not exist.

    Args:
        run: the run's own folder.
    """
    return run / "orders"


def write_file(path: Path, data: dict[str, object]) -> None:
    """Write a file that appears complete, under a name that no other file has.

    Raises:
        OSError: it cannot be written.
    """
    line = json.dumps(data).encode() + b"\n"
    durable.write_private(path, line, path.with_suffix(_UNFINISHED).name)


def read_file(path: Path) -> dict[str, Any]:
    """Read an order or an answer.

    Raises:
        OSError: it cannot be read, or is missing.
        ValueError: it is something else.
    """
    data = json.loads(durable.read_own(path, LONGEST_ORDER)[1])
    if not isinstance(data, dict):
        raise ValueError("this is no object")  # noqa: TRY004 -- one error for all that is wrong
    return data


def remove_file(path: Path) -> None:
    """Remove a file, if that is possible."""
    with suppress(OSError):
        path.unlink()
