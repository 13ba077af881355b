"""Answers to what a shell prints, where its way holds back small messages.

slurmstepd sends the next small message only when ``srun`` has acknowledged the one before (Nagle's
algorithm), and the acknowledgement of a message that nothing follows takes up to 40 ms. A job has
messages on both streams. An empty line to the shell carries the acknowledgement with it.
``docs/why/slurm-steps.md`` has the measurement.
"""

from __future__ import annotations

from typing import Protocol

import trio

ANSWER_DELAY = 0.002
"""Seconds between what is read and the answer to it, see above. What comes within this time
needs no answer, and a command that follows an answer at once would have to wait for its
acknowledgement."""


class AnsweredShell(Protocol):
    """A shell whose output is answered."""

    has_read: trio.Event

    def send_empty(self) -> None:
        """Send an empty line, if the shell will print more."""


async def send_answers(shell: AnsweredShell) -> None:
    """Answer what a shell prints, until this is cancelled."""
    while True:
        await shell.has_read.wait()
        await trio.sleep(ANSWER_DELAY)
        shell.has_read = trio.Event()
        shell.send_empty()
