"""The end of a command is reported after all its output, however slow the listener is."""

from __future__ import annotations

import pytest
import trio

from pegasus.dispatch import Session
from pegasus.events import Printed
from pegasus.model import Exited, Stream
from pegasus.transport import open_ssh, session_opener
from tests import contract
from tests.nodes import Nodes


class Slow(contract.Output):
    """Takes a number of seconds for each piece of output."""

    def __init__(self, seconds: dict[Stream, float]) -> None:
        super().__init__()
        self._seconds = seconds

    async def show(self, printed: Printed) -> None:
        await trio.sleep(self._seconds[printed.stream])
        await super().show(printed)


PATIENT = 0.1
MORE_PATIENT = 0.15
"""Seconds for the first pieces; the second ones arrive meanwhile, together with the end."""


@pytest.mark.parametrize("host", ["localhost", "node-1"])
async def test_the_end_waits_for_both_outputs(nodes: Nodes, host: str) -> None:
    """An end that one output reports does not precede the rest of the other output."""
    async with (
        open_ssh(nodes.ssh_config) as ssh,
        session_opener(ssh)(contract.node_named(host)) as session,
    ):
        await say_things(session, Slow({Stream.STDOUT: PATIENT, Stream.STDERR: MORE_PATIENT}))
        await say_things(session, Slow({Stream.STDOUT: MORE_PATIENT, Stream.STDERR: PATIENT}))


async def say_things(session: Session, output: Slow) -> None:
    """Run a command that prints twice on each output; return what was shown at its end."""
    words = "printf a; printf b >&2"
    with trio.fail_after(contract.LIMIT):
        async with session.open_shell() as shell:
            command = contract.assignment(f"{words}; sleep 0.02; {words}")
            outcome = await shell.run(command, "run-1", output.show, trio.Event())
            assert (outcome, output.stdout, output.stderr) == (Exited(0), b"aa", b"bb")
