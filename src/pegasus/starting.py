"""How an assigned command is started, and what its node says where it cannot be.

Rule 1: pure.
"""

from __future__ import annotations

import re

from pegasus.launch import REFUSED, Launch, merged
from pegasus.model import Assignment, Exited, NotStarted, Outcome


def launch_of(assignment: Assignment) -> Launch:
    """Give how an assigned command is started; its sub-node has the values of the run."""
    return merged(assignment.job.demand.launch, assignment.sub_node.launch)


def refused_in(said: str) -> NotStarted | None:
    """Read what a node said before a command began; None where it did not refuse the launch."""
    before, mark, reason = said.partition(REFUSED)
    return NotStarted(reason.strip(), is_final=True) if mark and not before.strip() else None


NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit statuses with which a shell says that it could not run a program (POSIX)."""

_PLAIN_PROGRAM = re.compile(r"[\w./+@%~-]+")
_VARIABLE = re.compile(r"\w+=")


def missing_program_words(assignment: Assignment, outcome: Outcome) -> str:
    """Explain an exit status 126 or 127: where and how the command ran; empty for any other."""
    if not isinstance(outcome, Exited) or outcome.status not in {NOT_EXECUTABLE, NOT_FOUND}:
        return ""
    means = "was not found" if outcome.status == NOT_FOUND else "could not be executed"
    launch, is_local = launch_of(assignment), assignment.sub_node.transport == "local"
    usual = "where Pegasus was started" if is_local else "in the home directory"
    where = f"in {launch.chdir}" if launch.chdir else usual
    shell = f"under `{launch.shell}`" if launch.shell else "under `sh -c`, without a login profile"
    program = _program_of(assignment.command)
    named = f" It begins with `{program}`." if program else ""
    copies = "" if is_local else " Pegasus copies no files to a node."
    return (
        f"Exit status {outcome.status}: a program {means} on {assignment.sub_node.hostname}. The "
        f"command ran {where}, {shell}.{named}{copies} `run: {{chdir: work/project, shell: bash "
        "-lc}` in a file, --chdir and --shell change where and how commands run."
    )


def _program_of(command: str) -> str:
    """Give the program with which a command begins; empty where that is not plain."""
    words = command.split()
    word = next((each for each in words if not _VARIABLE.match(each)), "")
    return word if _PLAIN_PROGRAM.fullmatch(word) else ""
