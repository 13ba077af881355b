"""The exception classes, and the exit status of each.

Rule 1: a failed job is a value (an Outcome); only a failure of Pegasus is an exception.
Rule 2: a message states the position and the next step, and is complete without a traceback.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pegasus.model import Position


class ExitStatus(enum.IntEnum):
    """The exit statuses of ``pegasus``."""

    SUCCESS = 0
    JOB_FAILED = 1
    USAGE = 2
    BUG = 3
    TIMED_OUT = 124
    INTERRUPTED = 130


class PegasusError(Exception):
    """An error that a user can correct; its text states what is wrong and how to correct it."""

    exit_status = ExitStatus.USAGE


class FileFault(PegasusError):
    """Invalid content in a file of the user.

    Args:
        position: the position of the invalid content.
        what: what is wrong, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop; may be empty.
    """

    def __init__(self, position: Position, what: str, instead: str = "") -> None:
        super().__init__(f"{position}: {what}.{f' {instead}.' if instead else ''}")
        self.position = position
        self.what = what
        self.instead = instead


class TemplateFault(PegasusError):
    """A template that cannot be rendered.

    Args:
        line: the line in the template's text, from 1.
        column: the column in that line, in characters from 1.
        what: what is wrong, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop; may be empty.
        unknown: the name that is unknown, if that is the fault; else empty.
    """

    def __init__(
        self, line: int, column: int, what: str, instead: str = "", unknown: str = ""
    ) -> None:
        super().__init__(f"{line}:{column}: {what}.{f' {instead}.' if instead else ''}")
        self.line = line
        self.column = column
        self.what = what
        self.instead = instead
        self.unknown = unknown


class StaysClosed(PegasusError):
    """A job above a barrier failed, so nothing below it is taken."""

    exit_status = ExitStatus.JOB_FAILED


class CannotStart(PegasusError):
    """A program could not be started on this machine."""

    def __init__(self, program: str, error: OSError) -> None:
        hint = " Raise the limit of open files (`ulimit -n`)." if error.errno in _TOO_MANY else ""
        super().__init__(f"{program} cannot be started: {error.strerror or error}.{hint}")


_TOO_MANY = {errno.EMFILE, errno.ENFILE}


class NodeUnreachable(PegasusError):
    """The connection to a sub-node could not be opened.

    Args:
        words: the message of ssh.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@contextmanager
def sole_error() -> Iterator[None]:
    """Unwrap an exception group that contains only one error.

    A nursery wraps each exception in a group, even if the nursery is internal to one module and
    only one error is possible in it. Cancellations beside the error are dropped, because they
    contain no information. A group of several errors is raised unchanged.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        # A caller with a nursery has Trio loaded; this module can be imported without it.
        import trio  # noqa: PLC0415 -- see above

        cancelled, others = group.split(trio.Cancelled)
        leaves = list(leaves_of(others if others is not None else cancelled))
        if others is not None and len(leaves) > 1:
            raise
        raise leaves[0] from leaves[0].__cause__


def leaves_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield each error in a group, or the error itself if it is not a group; nothing for None."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    elif error is not None:
        yield error
