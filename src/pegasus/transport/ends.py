"""What a follower reports about the end of a detached command -> its outcome.

Rule 1: pure; a node that reports nonsense is a lost command, and no error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pegasus.events import OutputSizes
from pegasus.model import Cancelled, Exited, Killed, Lost, NotStarted, Outcome, Stream, TimedOut
from pegasus.starting import refused_in
from pegasus.transport.reports import Report
from pegasus.transport.script import read_end

LOGGED_OUT = (
    "the node ends the processes of a user who has logged out "
    "(KillUserProcesses=yes in logind.conf)"
)

_GONE: Mapping[str, Lost | Killed] = {
    "r": Lost("the node was restarted while the command ran"),
    "u": Killed(9, LOGGED_OUT),
    "d": Lost("its folder on the node is damaged"),
    "-": Lost("its keeper on the node was killed"),
}
"""A keeper that has ended without a record, by why."""


@dataclass(frozen=True, slots=True)
class DetachedEnd:
    """The end of a detached command.

    Attributes:
        outcome: its outcome.
        sizes: how many bytes it wrote to each stream.
        seconds: how long it ran, as its keeper measured it; None where that is unknown.
        known: whether the outcome comes from a record of the keeper, or it certainly never started.
    """

    outcome: Outcome
    sizes: OutputSizes = field(default_factory=dict)
    seconds: float | None = None
    known: bool = True


def read_report(report: Report) -> DetachedEnd | None:
    """Return the end that a report is about, without its key; None if it is about no end."""
    match report.kind:
        case "n":
            refusal = refused_in(report.words)
            return DetachedEnd(refusal or NotStarted("its connection broke before it could begin"))
        case "g":
            return DetachedEnd(Lost("its folder on the node was removed"), known=False)
        case "l" | "e":
            words = report.words.split(" ")
            try:
                sizes = {Stream.STDOUT: int(words[0]), Stream.STDERR: int(words[1])}
                if report.kind == "l":
                    return DetachedEnd(_GONE.get(words[2], _GONE["-"]), sizes, known=False)
                return _ended(words[2], words[4:-1], sizes)
            except (ValueError, IndexError):
                return DetachedEnd(Lost(f"its node sent an invalid end: {report.words!r}"))
    return None


def _ended(why: str, words: list[str], sizes: OutputSizes) -> DetachedEnd:
    """Return the end that a keeper has recorded.

    Args:
        why: ``u`` where the node's own rules end the processes of a user.
        words: who ended it, two times, whether the keeper got SIGTERM and SIGHUP, whether its shell
            had a message, and the status.
        sizes: of the streams.
    """
    by, began, ended, _, _, message, status = words
    seconds = max(float(ended) - float(began), 0.0)
    outcome: Outcome
    match by[:1]:
        case "o":
            outcome = Cancelled()
        case "l":
            outcome = TimedOut(float(by[1:]))
        case "k":
            outcome = Lost("its keeper on the node was killed; what was left of it was ended")
            return DetachedEnd(_GONE["u"] if why == "u" else outcome, sizes)
        case _:
            outcome = read_end(f"{message.strip('-')} {status.strip('?')}")
    if why == "u" and isinstance(outcome, Killed | Exited):
        number = outcome.signal if isinstance(outcome, Killed) else 15
        outcome = Killed(number, LOGGED_OUT)
    return DetachedEnd(outcome, sizes, seconds)
