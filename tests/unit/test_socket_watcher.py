"""An event is set when an expected file appears in a directory."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from pegasus.transport.socket_watcher import SocketWatcher

LIMIT = 20.0


async def test_each_file_sets_its_own_event(nursery: trio.Nursery, tmp_path: Path) -> None:
    """A file that appears sets its own event, and no other."""
    watcher, first, second = SocketWatcher(tmp_path), trio.Event(), trio.Event()
    nursery.start_soon(watcher.run)
    with trio.fail_after(LIMIT), watcher.expect("1", first), watcher.expect("2", second):
        (tmp_path / "2").touch()
        await second.wait()
        assert not first.is_set()
        (tmp_path / "1").touch()
        await first.wait()


async def test_a_file_that_is_expected_later(nursery: trio.Nursery, tmp_path: Path) -> None:
    """A file may be expected after a time without any, and may exist already."""
    watcher = SocketWatcher(tmp_path)
    nursery.start_soon(watcher.run)
    for name in ("1", "2"):
        appeared = trio.Event()
        (tmp_path / name).touch()
        with trio.fail_after(LIMIT), watcher.expect(name, appeared):
            await appeared.wait()
        await trio.testing.wait_all_tasks_blocked()


async def test_a_directory_that_is_gone(nursery: trio.Nursery, tmp_path: Path) -> None:
    """A directory that is missing is no failure: the tasks that wait have their own limit."""
    folder, appeared = tmp_path / "sockets", trio.Event()
    watcher = SocketWatcher(folder)
    nursery.start_soon(watcher.run)
    with trio.fail_after(LIMIT), watcher.expect("1", appeared):
        await trio.testing.wait_all_tasks_blocked()  # it has checked once
        folder.mkdir()
        (folder / "1").touch()
        await appeared.wait()
