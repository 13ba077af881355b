"""How the log tells apart the commands that run on a sub-node at once."""

from __future__ import annotations

import pytest

from pegasus.events import BarrierPassed, Started
from pegasus.model import Assignment, Barrier
from pegasus.screen import open_screen
from tests.unit.screens import err, out, pipe
from tests.unit.slots import ASKED, FIXED, ends, held, holds


@pytest.mark.parametrize(
    ("job", "prefix"),
    [
        (holds(12, ASKED, held("gpu", 2), held("cpu", 1, 2)), "node-1 gpu=2"),
        (holds(12, FIXED, held("gpu", 2, 3)), "node-2 (model=a100) gpu=2,3"),
        (holds(12, ASKED, held("gpu"), held("cpu")), "node-1 #12"),
        (holds(12, ASKED, held("g\x1bu", 1)), "node-1 g\\x1bu=1"),
    ],
)
async def test_each_line_names_the_slots_of_its_command(job: Assignment, prefix: str) -> None:
    """Output, run line and done line have the slots behind the sub-node; else the job's number."""
    with pipe() as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:
            screen.tell(Started(job))
            await screen.show(out(job, b"epoch 1\nlast"))
            await screen.show(err(job, b"warning\n"))
            screen.tell(ends(job))
        assert stdout.text().decode() == f"[{prefix}] epoch 1\n[{prefix}] last\n"
        lines = ["=== run 'train 12' ===", "warning", "=== done (exit status: 0) ==="]
        assert stderr.text().decode() == "".join(f"[{prefix}] {line}\n" for line in lines)


async def test_a_passed_barrier_is_reported() -> None:
    """Pegasus says that a barrier has opened, and what it had waited for."""
    with pipe() as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:
            screen.tell(BarrierPassed(Barrier("succeeded")))
            screen.tell(BarrierPassed(Barrier("ended")))
        assert stderr.text().decode() == (
            "[Pegasus] Barrier passed: everything above has succeeded.\n"
            "[Pegasus] Barrier passed: everything above has ended.\n"
        )
