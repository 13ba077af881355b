"""What the tests of ``pegasus stop`` share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import trio

from pegasus.commands.stop import StopSettings
from pegasus.model import SubNode
from pegasus.orders import (
    Order,
    Request,
    orders_of,
    read_orders,
)
from pegasus.record.recording import open_record

LIMIT = 30.0  # seconds, on a machine that is busy with other things


def settings(queue: Path, **options: object) -> StopSettings:
    """Say what the command line says."""
    return StopSettings(queue_file=queue, color="never", **options)  # type: ignore[arg-type]


@asynccontextmanager
async def going_on(
    queue: Path,
    name: str = "run-1",
    obey: Callable[[Request], None] = lambda request: request.answer(),
    *,
    detached: bool = False,
) -> AsyncIterator[list[Order]]:
    """Have a run go on for the length of the block; give the orders that it got."""
    got: list[Order] = []

    async def obey_all(folder: Path) -> None:
        async with aclosing(read_orders(folder)) as requests:  # type: ignore[type-var]
            async for request in requests:
                got.append(request.order)
                obey(request)

    opened = open_record(
        queue,
        name,
        mode="queue",
        hosts_file="hosts.yaml",
        sub_nodes=[SubNode(0, "node-1")],
        on_trouble=pytest.fail,
        detached=detached,
    )
    with trio.fail_after(LIMIT):
        async with opened as record, trio.open_nursery() as nursery:
            assert record.folder is not None
            nursery.start_soon(obey_all, orders_of(record.folder.path))
            yield got
            nursery.cancel_scope.cancel()
