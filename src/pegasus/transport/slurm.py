"""A session on a node of a Slurm allocation: its shells are steps.

Rule 1: a step runs one shell, which takes one command after the other: a step costs some ten
milliseconds and counts against limits of the site, a command in a shell costs neither.
Rule 2: steps overlap: each may use all that Slurm has assigned to the allocation on its node.
Rule 3: Slurm passes on whole lines only, so each mark of the shell has a line end; what a command
prints without one arrives with the next line, or at its end.
Rule 4: ``srun`` gets its options from its command line, and not from variables of an outer step.
Rule 5: what arrives is answered: between slurmstepd and ``srun`` Nagle's algorithm is on, and each
job has messages on both streams; see ``docs/why/slurm-steps.md``.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import trio

from pegasus.allocation import COMPLETING, variables_of_steps
from pegasus.errors import CannotStart, NodeUnreachable
from pegasus.model import Exited, Killed, Lost, Outcome, SubNode
from pegasus.process import given_open_files, open_child
from pegasus.transport.detached import DetachedShell
from pegasus.transport.parts import assemble
from pegasus.transport.script import LINES_SCRIPT, remote_command
from pegasus.transport.shell import NodeShell, open_shell

STEP_EXIT_LIMIT = 1.0
"""Seconds for ``srun`` to end once its shell has ended: it waits for slurmd's report, which comes
after some milliseconds, and for what the command has left in the background."""

SLURM_SIGNALS = frozenset({15, 9})
"""SIGTERM and SIGKILL, with which Slurm ends what runs in an allocation that ends."""

SLURM_ANSWER_LIMIT = 5.0
"""Seconds for Slurm to say why a step has ended. A controller that is down does not answer."""

COMPLETING_LIMIT = 30.0
"""Seconds in which an allocation that ends gets its final state, which says why it has ended: as
long as slurmd gives its processes before SIGKILL (KillWait). Nothing else could run there."""

COMPLETING_PAUSE = 0.2
"""Seconds between two questions meanwhile."""

_BESIDE_THE_REASON = re.compile(
    r"^srun: (?:error: \S+: tasks? [\d,-]+: (?:Exited with exit code|Terminated|Killed)"
    r"|(?:Force )?Terminated|warning:|Job step aborted|cluster configuration lacks support"
    r"|launch/slurm:|job \d+ (?:queued|has been)|(?:Job|Step) \S* ?step creation)",
    re.IGNORECASE,
)
"""What ``srun`` says of each step that ends or waits, and of options that a site does not need."""

ShellT = TypeVar("ShellT", bound=NodeShell | DetachedShell)

_STATE = re.compile(r"\bJobState=([A-Z_]+)")
_RUNNING = {"", "RUNNING"}

_AT_HOME = "cd || exit"
"""Commands begin in the home directory, as over SSH; ``srun`` begins in its own directory."""


_IN_A_SESSION = assemble("""command -v setsid >/dev/null || exec sh -c "$1"
@HANDLERS@
_a :
(exec setsid sh -c "$1")
exit
""")
"""Starts a shell as the leader of a session, as sshd does: only then it takes several commands. Its
parent stays, since the step ends with its first process. Signals do not end it before the shell:
what has lost its parent may escape Slurm's SIGKILL."""


class SlurmSession:
    """A session on a node of an allocation.

    Args:
        job: the id of the allocation.
        node: its name.
        on_note: gets a sentence for the user.
    """

    def __init__(self, job: str, node: str, on_note: Callable[[str], None]) -> None:
        self._job = job
        self._node = node
        self._on_note = on_note

    @property
    def place(self) -> str:
        """What identifies what Slurm has assigned on this node: see ``ports``."""
        return f"slurm:{self._job}/{self._node}"

    def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AbstractAsyncContextManager[NodeShell | DetachedShell]:
        """Start a shell that waits for a command, as a step of the allocation.

        Args:
            on_key: see ``ports``; None for commands that end with the shell.

        Raises:
            NodeUnreachable: it could not be started, or commands are to be detached.
        """
        if on_key is not None:
            raise NodeUnreachable("commands on Slurm cannot be detached: they end with their step")
        pipes = open_child(self._argv(), STEP_EXIT_LIMIT)
        how = self._diagnose, self._report_slow, b"\n", self._review
        return _in_few_words(open_shell(pipes, *how, answers=True))  # rule 5

    def _report_slow(self, words: str) -> None:
        by_hand = f"srun --jobid={self._job} --overlap -N1 -n1 -w {self._node} echo ok"
        self._on_note(f"{self._node}: {words}. Try `{by_hand}` by hand.")

    def _argv(self) -> list[str]:
        limit = f"ulimit -S -n {given_open_files()} 2>/dev/null"
        unset = [word for name in variables_of_steps(os.environ) for word in ("-u", name)]
        options = [
            *("--overlap", "--nodes=1", "--ntasks=1", "--mem=0", "--cpu-bind=none", "--mpi=none"),
            *(f"--jobid={self._job}", f"--nodelist={self._node}", "--chdir=/"),
        ]
        script = f"{limit}\n{_AT_HOME}\n{_IN_A_SESSION}"
        shell = remote_command(LINES_SCRIPT)
        return ["env", *unset, "srun", *options, "sh", "-c", script, "pegasus", shell]

    async def _diagnose(self, status: int) -> Outcome:  # noqa: ARG002 -- srun's own says nothing
        """Return the outcome of a command whose shell did not report it.

        If the node takes another step, the shell was killed, which only SIGKILL can do.
        """
        if (ended := await self._find_end()) is not None:
            return ended
        try:
            async with self.open_shell():
                return Killed(9)
        except NodeUnreachable as error:
            return Lost(error.words)

    async def _review(self, outcome: Outcome) -> Outcome:
        """Tell a command that Slurm has ended with its allocation from another one.

        Slurm signals process by process: a shell may see its child die first, and exit with 128
        plus the number of the signal.
        """
        signal = outcome.signal if isinstance(outcome, Killed) else 0
        signal = outcome.status - 128 if isinstance(outcome, Exited) else signal
        if signal in SLURM_SIGNALS:
            return await self._find_end() or outcome
        return outcome

    async def _find_end(self) -> Lost | None:
        """Ask Slurm whether the allocation has ended; None where it has not, or does not say."""
        state = await self._state()
        if state in _RUNNING:
            return None
        with trio.move_on_after(COMPLETING_LIMIT):
            while state == COMPLETING:
                await trio.sleep(COMPLETING_PAUSE)
                state = await self._state()
        why = "" if state in {"", COMPLETING} else f" ({state})"
        return Lost(f"the Slurm allocation {self._job} has ended{why}")

    async def _state(self) -> str:
        """Ask Slurm for the state of the allocation; empty where it does not say."""
        argv = ["scontrol", "--oneliner", "show", "job", self._job]
        said = b""
        try:
            with trio.move_on_after(SLURM_ANSWER_LIMIT):
                async with open_child(argv, SLURM_ANSWER_LIMIT) as child:
                    async for data in child.stdout:
                        said += data
        except CannotStart:
            return ""
        found = _STATE.search(said.decode(errors="replace"))
        return found[1] if found else ""


@asynccontextmanager
async def _in_few_words(shell: AbstractAsyncContextManager[ShellT]) -> AsyncIterator[ShellT]:
    """Open a shell; what ``srun`` says beside the reason is left out of an error.

    Raises:
        NodeUnreachable: with the reason.
    """
    try:
        async with shell as opened:
            yield opened
    except NodeUnreachable as error:
        words = reason_in(error.words)
        if words == error.words:
            raise
        raise NodeUnreachable(words) from error


def reason_in(words: str) -> str:
    """Leave out what ``srun`` says about each step, unless it says nothing else."""
    lines = words.splitlines()
    kept = [line for line in lines if not _BESIDE_THE_REASON.search(line)]
    return "\n".join(kept or lines)


def open_slurm(sub_node: SubNode, on_note: Callable[[str], None]) -> SlurmSession:
    """Open a session on a node of an allocation.

    Raises:
        NodeUnreachable: the allocation is not known.
    """
    place = sub_node.slurm
    if place is None or not place.job:
        raise NodeUnreachable("Pegasus does not run in a Slurm allocation with this node")
    return SlurmSession(place.job, sub_node.hostname, on_note)
