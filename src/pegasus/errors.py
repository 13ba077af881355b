"""The error tree, and the exit status that each error stands for.

Rule 1: a job that fails is a value (an Outcome); only Pegasus failing is an exception.
Rule 2: a message names the place and the next step, and needs no traceback to be understood.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pegasus.model import Position


class ExitStatus(enum.IntEnum):
    """What the shell gets from ``pegasus``."""

    SUCCESS = 0
    JOB_FAILED = 1
    USAGE = 2
    BUG = 3
    INTERRUPTED = 130


class PegasusError(Exception):
    """Something that a person can put right; its text says what and how."""

    exit_status = ExitStatus.USAGE


class FileFault(PegasusError):
    """A file of the user's that says something Pegasus cannot take.

    Args:
        position: where it stands.
        what: what is wrong, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop; may be empty.
    """

    def __init__(self, position: Position, what: str, instead: str = "") -> None:
        super().__init__(f"{position}: {what}.{f' {instead}.' if instead else ''}")
        self.position = position
        self.what = what
        self.instead = instead


class TemplateFault(PegasusError):
    """A template that cannot be filled in.

    Args:
        line: in the template's text, from 1.
        column: in that line, in characters from 1.
        what: what is wrong, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop; may be empty.
    """

    def __init__(self, line: int, column: int, what: str, instead: str = "") -> None:
        super().__init__(f"{line}:{column}: {what}.{f' {instead}.' if instead else ''}")
        self.line = line
        self.column = column
        self.what = what
        self.instead = instead


class CannotStart(PegasusError):
    """A program could not be started here."""

    def __init__(self, program: str, error: OSError) -> None:
        hint = " Raise the limit of open files (`ulimit -n`)." if error.errno in _TOO_MANY else ""
        super().__init__(f"{program} can't be started: {error.strerror or error}.{hint}")


_TOO_MANY = {errno.EMFILE, errno.ENFILE}


class NodeUnreachable(PegasusError):
    """A sub-node could not be connected to.

    Args:
        words: ssh's own words.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@contextmanager
def sole_error() -> Iterator[None]:
    """Let the one error that came out of a nursery through as itself.

    A nursery wraps whatever leaves it in an exception group, also where it is private to one room
    and only one thing can go wrong in it. Cancellations beside the error are dropped: a task that
    was cancelled has nothing to tell. Several different errors stay the group they are.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        # Whoever has a nursery has Trio loaded; the words on this floor can be had without it.
        import trio  # noqa: PLC0415 -- see above

        cancelled, others = group.split(trio.Cancelled)
        leaves = list(leaves_of(others if others is not None else cancelled))
        if others is not None and len(leaves) > 1:
            raise
        raise leaves[0] from leaves[0].__cause__


def leaves_of(error: BaseException | None) -> Iterator[BaseException]:
    """Give the errors in a group, or the one that is none; nothing for None."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    elif error is not None:
        yield error
