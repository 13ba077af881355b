"""Whoever waits for a file in a directory is told when it is there."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from pegasus.transport.arrivals import Arrivals

LIMIT = 20.0


async def test_each_is_told_of_its_own(nursery: trio.Nursery, tmp_path: Path) -> None:
    """A file that appears sets the event of the one who waits for it, and no other."""
    arrivals, first, second = Arrivals(tmp_path), trio.Event(), trio.Event()
    nursery.start_soon(arrivals.run)
    with trio.fail_after(LIMIT), arrivals.expected("1", first), arrivals.expected("2", second):
        (tmp_path / "2").touch()
        await second.wait()
        assert not first.is_set()
        (tmp_path / "1").touch()
        await first.wait()


async def test_whoever_comes_later(nursery: trio.Nursery, tmp_path: Path) -> None:
    """One who comes when nobody waited any more is told as well, also of what is there already."""
    arrivals = Arrivals(tmp_path)
    nursery.start_soon(arrivals.run)
    for name in ("1", "2"):
        arrived = trio.Event()
        (tmp_path / name).touch()
        with trio.fail_after(LIMIT), arrivals.expected(name, arrived):
            await arrived.wait()
        await trio.testing.wait_all_tasks_blocked()


async def test_a_directory_that_is_gone(nursery: trio.Nursery, tmp_path: Path) -> None:
    """Nobody comes to harm when the directory vanishes: what waits has a limit of its own."""
    folder, arrived = tmp_path / "sockets", trio.Event()
    arrivals = Arrivals(folder)
    nursery.start_soon(arrivals.run)
    with trio.fail_after(LIMIT), arrivals.expected("1", arrived):
        await trio.testing.wait_all_tasks_blocked()  # it has looked in vain
        folder.mkdir()
        (folder / "1").touch()
        await arrived.wait()
