"""A child that gets data, whatever it does with it: it is bounded, and nothing of it is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import trio

from pegasus.errors import CannotStart
from pegasus.process import run_fed
from tests.unit.screens import LIMIT

LARGE = b"x" * 1_000_000
"""More than a pipe holds."""


async def run(script: str, data: bytes = LARGE) -> tuple[int, bytes]:
    """Run a script, and give its exit status and the end of its standard error."""
    tail = bytearray()

    def keep(piece: bytes) -> None:
        tail.extend(piece)
        del tail[:-100]

    with trio.fail_after(LIMIT):
        status = await run_fed(("sh", "-c", script), data, keep, os.environ)
    return status, bytes(tail)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def test_it_gets_all_data_on_its_standard_input(tmp_path: Path) -> None:
    """The child reads the data up to its end."""
    assert await run(f"cat > {tmp_path}/got") == (0, b"")
    assert (tmp_path / "got").read_bytes() == LARGE


@pytest.mark.parametrize(
    ("script", "status", "error"),
    [
        ("exit 3", 3, b""),
        ("exec <&-; echo closed >&2; exit 4", 4, b"closed\n"),
        ("head -c 1 >/dev/null; exit 5", 5, b""),
        ("kill -9 $$", -9, b""),
        ("exec >&- 2>&-; exit 6", 6, b""),
        ("head -c 100000000 /dev/zero; echo end >&2; exit 7", 7, b"end\n"),
        ("yes | head -c 300000 >&2; echo end >&2; exit 8", 8, None),
    ],
)
async def test_it_need_not_read_and_may_print(
    script: str, status: int, error: bytes | None
) -> None:
    """It may close or ignore its input, and print much; its status and last words are known."""
    found, tail = await run(script)
    assert found == status
    assert tail.endswith(b"end\n") if error is None else tail == error


async def test_a_missing_program() -> None:
    """The shell says that a program is missing; a missing shell is an error with a message."""
    status, error = await run("no-such-program-here")
    assert status == 127
    assert b"not found" in error
    with pytest.raises(CannotStart, match="no-such-shell cannot be started: No such file"):
        await run_fed(("no-such-shell",), b"", lambda _: None, os.environ)


async def test_a_process_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    """A child that leaves a process which keeps its pipes open ends at once, and that one lives."""
    pid_file = tmp_path / "pid"
    status, _ = await run(f"sleep 60 & echo $! > {pid_file}; exit 2")
    assert status == 2
    pid = int(pid_file.read_text())
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


async def test_it_is_ended_as_a_group(tmp_path: Path) -> None:
    """Cancelled, the child ends with all processes that it has started, also stubborn ones."""
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; cat; wait"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_fed, ("sh", "-c", script), LARGE, lambda _: None, os.environ)
        with trio.fail_after(LIMIT):
            while not pids.exists():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    with trio.fail_after(LIMIT):
        while any(map(is_alive, map(int, pids.read_text().split()))):
            await trio.sleep(0.01)


async def test_the_terminals_signals_do_not_reach_it(tmp_path: Path) -> None:
    """It runs in a session of its own."""
    await run(f"ps -o sid= -p $$ > {tmp_path}/sid")
    assert int((tmp_path / "sid").read_text()) != os.getsid(0)
