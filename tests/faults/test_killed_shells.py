"""Commands that kill the shells above them."""

from __future__ import annotations

import trio

from pegasus.model import Killed
from tests.contract import LIMIT, run_command, run_in
from tests.unit.test_script import HERE, Session


async def test_a_command_whose_shells_were_killed() -> None:
    """A command that kills its shells is reported as killed, and ended."""
    session = Session(HERE[0])
    async with session.open_shell() as shell:
        outcome, output, again = await run_in(shell, "echo $$; kill -9 $PPID; exec sleep 1000")
        assert (outcome, again) == (Killed(9), False)
    look = f"cat /proc/{output.stdout.decode().split()[0]}/cmdline"
    with trio.fail_after(LIMIT):
        while b"sleep" in (await run_command(session, look))[1].stdout:
            await trio.sleep(0.05)
