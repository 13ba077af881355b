"""The messages of Pegasus about events, each shown once.

Rule 1: only text; no prefix, no colour, no bytes.
Rule 2: a message is one line, whatever foreign text is in it: the text after ``[Pegasus]`` at the
beginning of a line was written by Pegasus.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TypeAlias

from pegasus import duration
from pegasus.events import (
    BarrierPassed,
    Connected,
    Ended,
    Noted,
    RunPaused,
    RunResumed,
    Stalled,
    Unreachable,
)
from pegasus.lines import LONGEST_LINE
from pegasus.model import Assignment, Barrier, Outcome, Stream, SubNode
from pegasus.terminal_text import on_one_line, visible

LONGEST_NOTE = LONGEST_LINE // 8
"""Characters of a message. No character takes more than six bytes when it is written, so that the
screen never divides such a line."""

_PAUSES: dict[type, str] = {
    RunPaused: "Paused: nothing is taken or started until `pegasus resume`; what runs goes on.",
    RunResumed: "Resumed: jobs are taken again.",
}

ToldEvent: TypeAlias = (
    Connected | Unreachable | Noted | Stalled | BarrierPassed | RunPaused | RunResumed
)
"""The events about which there is a message of Pegasus."""

FAILED_COMMAND_LIMIT = 200
"""Characters of a command that failed; the record has all of it."""

_STREAMS = {Stream.STDOUT: "output", Stream.STDERR: "error"}


def started(assignment: Assignment) -> str:
    """Give the run line, with the command as it was written: its line breaks stay."""
    command = assignment.command.rstrip("\n")
    return f"=== run '{command}' ==="


def ended(outcome: Outcome) -> str:
    """Give the done line; text of a node is put on one line."""
    return f"=== done ({on_one_line(str(outcome))}) ==="


def failed(event: Ended) -> str:
    """Report, in one line, a command that did not succeed."""
    given, after = event.assignment, duration.words(event.seconds)
    again = ", is tried again" if event.again else ""
    outcome = on_one_line(str(event.outcome))
    command = on_one_line(given.command, FAILED_COMMAND_LIMIT)
    where = f"job {given.number} on {given.sub_node}"
    return own_lines(f"{where}: {outcome}, after {after}{again}: {command}")


def cut(words: str) -> str:
    """Report that the connection to a detached command broke."""
    return f"=== the connection broke ({on_one_line(words)}); the command goes on ==="


def reconnected(assignment: Assignment) -> str:
    """Report that a detached command is followed again."""
    command = assignment.command.rstrip("\n")
    return f"=== following '{command}' again ==="


def stop_stored(assignment: Assignment) -> str:
    """Report that a detached command is ended later."""
    return f"=== job {assignment.number} will be ended as soon as its node can be reached ==="


def stalled(assignment: Assignment, seconds: float) -> str:
    """Report that a command has printed nothing for long."""
    silence = duration.words(seconds)
    return own_lines(
        f"{assignment.sub_node}: job {assignment.number} has printed nothing for {silence}"
    )


def barrier_passed(barrier: Barrier) -> str:
    """Report that a barrier has opened."""
    done = "has succeeded" if barrier.kind == "succeeded" else "has ended"
    return f"Barrier passed: everything above {done}."


def own_lines(*lines: str) -> str:
    """Make messages of these texts, each of them one line."""
    return "\n".join(_own_line(line) for line in lines)


def _own_line(line: str) -> str:
    shown = visible(line)
    return shown if len(shown) <= LONGEST_NOTE else f"{shown[:LONGEST_NOTE]} …"


def left_out(lines: int) -> str:
    """Report how many lines of messages were left out."""
    what = "1 line" if lines == 1 else f"{lines:,} lines"
    return f"{what} of messages left out: the reader of this output was too slow"


def unwritable(stream: Stream, error: OSError) -> str:
    """Report that an output cannot be written, and the consequence."""
    why = error.strerror or error
    return f"cannot write to standard {_STREAMS[stream]}: {why}; what does not fit there is dropped"


def no_area(error: Exception) -> str:
    """Report a fault of Pegasus in the live screen, and the consequence."""
    why = on_one_line(f"{type(error).__name__}: {error}")
    return f"the live screen stops at a bug of Pegasus ({why}); the run goes on. Please report it"


@dataclass
class _HostTrouble:
    """The trouble with a host.

    Attributes:
        reasons: by the numbers of its sub-nodes that cannot be reached; each was shown once.
        said: whether the trouble was shown, and its end was not shown yet.
    """

    reasons: dict[int, str] = field(default_factory=dict)
    said: bool = False


class OwnMessages:
    """The messages about hosts and nodes; each trouble of a host is shown once."""

    def __init__(self) -> None:
        self._hosts: defaultdict[str, _HostTrouble] = defaultdict(_HostTrouble)

    def about(self, event: ToldEvent) -> str | None:
        """Give the message about an event; None where it was shown before, or is not needed."""
        match event:
            case Noted(text):
                return own_lines(text)
            case Stalled(assignment, seconds):
                return stalled(assignment, seconds)
            case BarrierPassed(barrier):
                return barrier_passed(barrier)
            case RunPaused() | RunResumed():
                return _PAUSES[type(event)]
            case Connected(sub_node):
                return self._connected(sub_node)
            case Unreachable(sub_node, words, again_in):
                return self._unreachable(sub_node, words, again_in)

    def _connected(self, sub_node: SubNode) -> str | None:
        host = self._hosts[sub_node.hostname]
        host.reasons.pop(sub_node.number, None)
        said, host.said = host.said, False
        return own_lines(f"{sub_node.hostname} is connected now") if said else None

    def _unreachable(self, sub_node: SubNode, words: str, again_in: float | None) -> str | None:
        host = self._hosts[sub_node.hostname]
        known = words in host.reasons.values()
        host.reasons[sub_node.number] = words
        if known:
            return None
        host.said = True
        where = f"{sub_node.hostname} cannot be reached, {_when(again_in)}"
        return own_lines(f"{where}: {on_one_line(words)}")


def _when(again_in: float | None) -> str:
    if again_in is None:
        return "giving up"
    return f"trying again in {max(1, math.ceil(again_in))} s"
