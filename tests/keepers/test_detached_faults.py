"""Detached commands on nodes on which something is wrong."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from pegasus.detachment import Detachment
from pegasus.errors import NodeUnreachable
from pegasus.model import Exited, Killed, Lost, NotStarted, Stream
from pegasus.transport.detached import DetachedShell
from pegasus.transport.ends import LOGGED_OUT
from pegasus.transport.reports import Report, Reports
from tests.contract import LIMIT, Output
from tests.keepers.places import (
    Place,
    find_out,
    follow,
    processes_of,
    run_detached,
    wait_no_process,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place."""
    return Place(tmp_path, ("dash",))


async def left_alone(place: Place, command: str) -> str:
    """Start a command, wait until it has begun, and leave its session; return its key."""
    async with place.open_shell() as shell, trio.open_nursery() as nursery:
        key = shell.key
        assert key is not None
        nursery.start_soon(follow, shell, key, command)
        with trio.fail_after(LIMIT):
            await shell.wait_begun()
        nursery.cancel_scope.cancel()
    return key


def signal_all(place: Place, *numbers: signal.Signals) -> None:
    """Send signals to all processes of a place, each to all of them, at one moment.

    They are stopped meanwhile: none reacts to the first signal before it has the second one.
    """
    pids = [int(line.split()[0]) for line in processes_of(place)]
    for number in (signal.SIGSTOP, *numbers, signal.SIGCONT):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


async def refused(place: Place) -> str:
    """Return why a node is refused."""
    with pytest.raises(NodeUnreachable) as caught:
        async with place.open_shell():
            pass
    return str(caught.value)


async def test_a_root_that_is_a_link(place: Place) -> None:
    """A folder that is a link could be anybody's."""
    place.root.symlink_to(place.base)
    assert await refused(place) == f"The folder {place.root} is a link. Remove it."


async def test_a_root_that_is_open_to_others(place: Place) -> None:
    """Others could read outputs, or put orders there."""
    place.root.mkdir()
    place.root.chmod(0o755)
    assert "is open to other users" in await refused(place)


async def test_a_root_that_is_a_file(place: Place) -> None:
    """What is no folder is not removed."""
    place.root.touch()
    assert await refused(place) == f"{place.root} is no folder. Remove it."


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
async def test_a_root_of_another_user(place: Place) -> None:
    """A folder that another user has made is refused."""
    place.root.mkdir(mode=0o700)
    os.chown(place.root, 12345, -1)
    assert "belongs to another user (number 12345)" in await refused(place)


async def test_a_removed_folder(place: Place) -> None:
    """A folder that somebody removed is no proof of anything."""
    key = await left_alone(place, "sleep 0.5")
    shutil.rmtree(place.root / key)
    outcome, _ = await find_out(place, key)
    assert outcome == Lost("its folder on the node was removed")


async def test_a_limit_without_a_folder(place: Place) -> None:
    """A time limit also holds where somebody has removed the folder; then the command is lost."""
    async with place.open_shell() as shell, trio.open_nursery() as nursery:
        key = shell.key
        assert key is not None
        limited = Detachment(trio.Event(), limit=1.0)
        nursery.start_soon(follow, shell, key, "exec sleep 1000", None, limited)
        await shell.wait_begun()
        shutil.rmtree(place.root / key)
    await wait_no_process(place, limit=15)


async def test_a_restarted_node(place: Place) -> None:
    """A restart ends a command, also where the beginning did not reach the disk."""
    for started in (True, False):
        key = await left_alone(place, "exec sleep 1000")
        (place.root / key / "boot").write_text("another 1\n")
        signal_all(place, signal.SIGKILL)
        if not started:
            (place.root / key / "go").rmdir()
            (place.root / key / "end.tmp").write_text(".   \n")
        outcome, _ = await find_out(place, key)
        assert outcome == Lost("the node was restarted while the command ran")


async def test_a_damaged_folder(place: Place) -> None:
    """A folder in which files are missing is no proof that a command never started."""
    key = await left_alone(place, "exec sleep 1000")
    signal_all(place, signal.SIGKILL)
    (place.root / key / "go").rmdir()
    (place.root / key / "end.tmp").unlink()
    outcome, _ = await find_out(place, key)
    assert outcome == Lost("its folder on the node is damaged")


async def test_much_output_from_an_offset(place: Place) -> None:
    """A large output is followed from any byte, and neither repeated nor shortened."""
    size, known = 50_000_000, 49_000_001
    async with place.open_shell() as shell:
        key, output = shell.key, Output()
        assert key is not None
        outcome = await follow(shell, key, f"head -c {size} /dev/zero; printf end", output)
        assert (outcome, len(output.stdout)) == (Exited(0), size + 3)
    outcome, output = await find_out(place, key, {Stream.STDOUT: known})
    assert (outcome, output.stdout) == (Exited(0), b"\0" * (size - known) + b"end")


async def test_logged_out(place: Place) -> None:
    """Where the node ends the processes of a user who has logged out, the outcome says so."""
    (place.base / "busctl").write_text("#!/bin/sh\necho b true\n")
    (place.base / "busctl").chmod(0o755)
    for signals in ((signal.SIGTERM, signal.SIGHUP), (signal.SIGTERM, signal.SIGKILL)):
        key = await left_alone(place, "exec sleep 1000")
        signal_all(place, *signals)
        outcome, _ = await find_out(place, key)
        assert isinstance(outcome, Killed)
        assert outcome.words == LOGGED_OUT
        assert place.left() == []


async def settle(shell: DetachedShell, key: str, found: list[object]) -> None:
    """Follow a command from its first byte, and keep its outcome."""
    found.append(await follow(shell, key, "", None, Detachment(trio.Event(), extent={})))


async def test_launch_and_settlement_at_once(place: Place) -> None:
    """A command that is started and settled at the same moment either runs, or never does."""
    for _ in range(15):
        starts = place.base / "starts"
        starts.unlink(missing_ok=True)
        found: list[object] = []
        async with place.open_shell() as one, place.open_shell() as two:
            key = one.key
            assert key is not None

            async with trio.open_nursery() as nursery:
                nursery.start_soon(settle, two, key, found)
                found.append(await follow(one, key, f"echo x >>{starts}"))
            assert await one.release(key)
        ran = starts.exists()
        assert found in ([Exited(0)] * 2, [found[0]] * 2), found
        assert isinstance(found[0], Exited if ran else NotStarted)


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_reports_are_found_wherever_they_are(step: int) -> None:
    """Reports are separated from output, however the stream is cut."""
    reports, stream = Reports(b"\x1emark"), b"a\x1emarkk key\nb\x1e\x1emarkq\n\x1emar\nc"
    found = [
        item for at in range(0, len(stream), step) for item in reports.feed(stream[at : at + step])
    ]
    assert [item for item in found if isinstance(item, Report)] == [
        Report("k", " key"),
        Report("q", ""),
    ]
    assert b"".join(item for item in found if isinstance(item, bytes)) == b"ab\x1e\x1emar\nc"


async def test_a_full_disk(place: Place) -> None:
    """Where nothing can be written no command is started, and the refusal says why."""
    script = place.follower.replace("read -r _m || exit 0", "read -r _m || exit 0\nulimit -f 0", 1)
    full = Place(place.base, place.sh, place.keeper, f"trap '' XFSZ\n{script}")
    async with full.open_shell() as shell:
        with pytest.raises(NodeUnreachable, match="Is the disk full"):
            await shell.wait_key()
    async with place.open_shell() as shell:
        assert (await run_detached(shell, "exit 3"))[0] == Exited(3)
