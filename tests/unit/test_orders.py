"""What orders promise: they reach the run whole, once, in order, and are answered."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from pegasus.orders import (
    AbortOrder,
    DrainOrder,
    LeaveOrder,
    Order,
    OrderAnswer,
    PauseOrder,
    Request,
    ResumeOrder,
    SentOrder,
    StopJobOrder,
    clear_stored,
    orders_of,
    read_orders,
    send,
    stored_stops,
)

LIMIT = 20.0  # seconds, on a machine that is busy with other things
EVERY: list[Order] = [
    DrainOrder(),
    AbortOrder(),
    LeaveOrder(),
    PauseOrder(),
    ResumeOrder(),
    StopJobOrder(7),
    StopJobOrder(7, 0),
]


@asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[AsyncIterator[Request]]:
    """Read a run's orders."""
    with trio.fail_after(LIMIT):
        async with aclosing(read_orders(folder)) as requests:  # type: ignore[type-var]
            yield requests


def answered(given: SentOrder) -> OrderAnswer:
    """Give the answer that has to be there."""
    answer = given.take_answer()
    assert answer is not None
    return answer


def names(folder: Path) -> list[str]:
    """Give what stands in the folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("order", EVERY, ids=str)
async def test_an_order_reaches_the_run_and_is_answered(order: Order, tmp_path: Path) -> None:
    """Each order comes out as it went in; its answer comes back, and nothing is left."""
    folder = orders_of(tmp_path)
    given = send(folder, order)
    assert given.take_answer() is None
    async with reading(folder) as requests:
        request = await anext(requests)
    assert request.order == order
    assert given.take_answer() is None
    request.answer("so be it")
    assert answered(given) == OrderAnswer(done=True, words="so be it")
    assert names(folder) == []


async def test_orders_come_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    """Whoever drains first and aborts then is understood."""
    for order in EVERY:
        send(tmp_path, order)
    async with reading(tmp_path) as requests:
        assert [(await anext(requests)).order for _ in EVERY] == EVERY


async def test_an_order_that_comes_later_and_to_a_folder_that_is_not_there_yet(
    tmp_path: Path,
) -> None:
    """A run needs no folder to look for orders, and looks again and again."""
    folder = orders_of(tmp_path)
    found: list[Order] = []
    async with reading(folder) as requests, trio.open_nursery() as nursery:

        async def read() -> None:
            found.append((await anext(requests)).order)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        send(folder, DrainOrder())
    assert found == [DrainOrder()]


async def test_an_order_is_obeyed_once(tmp_path: Path) -> None:
    """What the run has seen it does not see again, answered or not."""
    send(tmp_path, DrainOrder())
    async with reading(tmp_path) as requests:
        await anext(requests)
        send(tmp_path, AbortOrder())
        assert (await anext(requests)).order == AbortOrder()


async def test_a_refusal(tmp_path: Path) -> None:
    """A run may say that it can't, and why."""
    given = send(tmp_path, StopJobOrder(9))
    async with reading(tmp_path) as requests:
        (await anext(requests)).answer("job 9 does not run.", done=False)
    assert answered(given) == OrderAnswer(done=False, words="job 9 does not run.")


async def test_an_order_that_was_not_seen_can_be_taken_back(tmp_path: Path) -> None:
    """Taken back in time, it is as if it had never been given."""
    given = send(tmp_path, AbortOrder())
    assert given.withdraw()
    send(tmp_path, DrainOrder())
    async with reading(tmp_path) as requests:
        assert (await anext(requests)).order == DrainOrder()


async def test_an_order_that_was_seen_cannot_be_taken_back(tmp_path: Path) -> None:
    """Whoever gave it is told so."""
    given = send(tmp_path, AbortOrder())
    async with reading(tmp_path) as requests:
        await anext(requests)
        assert not given.withdraw()


NONSENSE = [
    b"",
    b"\xff\n",
    b"[]",
    b"null",
    b'"drain"',
    b"{}",
    b'{"order": "dance"}',
    b'{"order": ["drain"]}',
    b'{"order": "stop_job"}',
    b'{"order": "stop_job", "job": null, "sub_node": null}',
    b'{"order": "stop_job", "job": 1e999, "sub_node": null}',
    b'{"order": "stop_job", "job": "x", "sub_node": 1}',
    b"[" * 30_000,
]


async def test_what_is_no_order_is_removed(tmp_path: Path) -> None:
    """Nothing that lies in the folder ends a run, or keeps it from orders."""
    for number, data in enumerate(NONSENSE):
        (tmp_path / f"{number:02}.order").write_bytes(data)
    os.mkfifo(tmp_path / "a-pipe.order")
    (tmp_path / "a-link.order").symlink_to("/dev/zero")
    (tmp_path / "a-folder.order").mkdir()
    send(tmp_path, DrainOrder())
    async with reading(tmp_path) as requests:
        assert (await anext(requests)).order == DrainOrder()
    left = [name for name in names(tmp_path) if not name.startswith("a-")]
    assert [name.rpartition(".")[2] for name in left] == ["seen"]


async def test_what_is_not_finished_is_left_alone(tmp_path: Path) -> None:
    """An order is seen when it is whole, and not before."""
    half = tmp_path / "0.unfinished"
    half.write_text('{"order": "ab')
    send(tmp_path, DrainOrder())
    async with reading(tmp_path) as requests:
        assert (await anext(requests)).order == DrainOrder()
    assert half.exists()


async def test_a_folder_that_goes(tmp_path: Path) -> None:
    """Someone who removes the record of a run does not end the run."""
    folder = orders_of(tmp_path)
    given = send(folder, DrainOrder())
    async with reading(folder) as requests:
        request = await anext(requests)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        request.answer("nobody hears it")
        assert given.take_answer() is None
        send(folder, AbortOrder())
        assert (await anext(requests)).order == AbortOrder()


def test_an_answer_that_makes_no_sense(tmp_path: Path) -> None:
    """It is no success."""
    given = send(tmp_path, DrainOrder())
    given.path.with_suffix(".answer").write_bytes(b"{}")
    assert not answered(given).done


def test_only_the_owner_of_a_run_gives_orders(tmp_path: Path) -> None:
    """The folder and the orders are for their owner only."""
    folder = orders_of(tmp_path)
    given = send(folder, StopJobOrder(1, 2))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(given.path.stat().st_mode) == 0o600
    assert json.loads(given.path.read_bytes()) == {"order": "stop_job", "job": 1, "sub_node": 2}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Giving an order to a run whose record is gone is an error."""
    with pytest.raises(OSError, match="No such file"):
        send(orders_of(tmp_path / "gone"), DrainOrder())


# Stops of a run that nobody follows.


def test_a_stored_stop_waits_for_the_next_pegasus(tmp_path: Path) -> None:
    """Stops wait in the order of their sending, and looking at them changes nothing."""
    send(orders_of(tmp_path), DrainOrder())
    send(orders_of(tmp_path), StopJobOrder(7))
    send(orders_of(tmp_path), StopJobOrder(3, 1))
    for _ in range(2):
        orders = [stop.order for stop in stored_stops(tmp_path)]
        assert orders == [StopJobOrder(7), StopJobOrder(3, 1)]


def test_what_was_sent_meanwhile_is_not_cleared(tmp_path: Path) -> None:
    """To clear what was read does not lose a stop that was sent after the look."""
    send(orders_of(tmp_path), StopJobOrder(7))
    stops = stored_stops(tmp_path)
    send(orders_of(tmp_path), StopJobOrder(8))
    clear_stored(stops)
    clear_stored(stops)
    assert [stop.order for stop in stored_stops(tmp_path)] == [StopJobOrder(8)]


async def test_a_stop_that_a_killed_pegasus_had_read_is_not_lost(tmp_path: Path) -> None:
    """A stop that was read and never answered still waits."""
    send(orders_of(tmp_path), StopJobOrder(7))
    async with reading(orders_of(tmp_path)) as requests:
        await anext(requests)
    assert [stop.order for stop in stored_stops(tmp_path)] == [StopJobOrder(7)]


def test_what_is_no_stop_is_left_alone(tmp_path: Path) -> None:
    """Nonsense in the folder, or no folder at all, is no stop and no error."""
    assert stored_stops(tmp_path) == []
    folder = orders_of(tmp_path)
    send(folder, StopJobOrder(7))
    for number, data in enumerate(NONSENSE):
        (folder / f"{number:02}.order").write_bytes(data)
    os.mkfifo(folder / "a-pipe.order")
    assert [stop.order for stop in stored_stops(tmp_path)] == [StopJobOrder(7)]
