"""What Pegasus says of an event, and what it has said already.

Rule 1: only words; no prefix, no colour, no bytes.
Rule 2: a line of Pegasus's own is one line, whatever texts of others are in it: what stands behind
``[Pegasus]`` at the beginning of a line was written by Pegasus.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from pegasus.events import Connected, Noted, Unreachable
from pegasus.lines import LONGEST_LINE
from pegasus.model import Assignment, Outcome, Stream, SubNode
from pegasus.terminal_text import on_one_line, visible

LONGEST_NOTE = LONGEST_LINE // 8
"""Characters of a line of Pegasus's own. No character takes more than six bytes as it is written,
so that the screen never divides such a line."""

_NAMES = {Stream.STDOUT: "output", Stream.STDERR: "error"}


def started(assignment: Assignment) -> str:
    """Say what is run, as it was written: a command of several lines keeps them."""
    command = assignment.command.rstrip("\n")
    return f"=== run '{command}' ==="


def ended(outcome: Outcome) -> str:
    """Say what became of it; a node's words are put on one line."""
    return f"=== done ({on_one_line(str(outcome))}) ==="


def own_lines(*lines: str) -> str:
    """Make lines of Pegasus's own, each of them one line."""
    return "\n".join(_own_line(line) for line in lines)


def _own_line(line: str) -> str:
    shown = visible(line)
    return shown if len(shown) <= LONGEST_NOTE else f"{shown[:LONGEST_NOTE]} …"


def left_out(lines: int) -> str:
    """Say how many of Pegasus's own lines there was no room for."""
    what = "1 line" if lines == 1 else f"{lines:,} lines"
    return f"{what} of messages left out: the reader of this output was too slow"


def unwritable(stream: Stream, error: OSError) -> str:
    """Say that an output takes nothing, and what that means."""
    why = error.strerror or error
    return f"cannot write to standard {_NAMES[stream]}: {why}; what does not fit there is dropped"


@dataclass
class _Host:
    """What is wrong with a host.

    Attributes:
        reasons: by the numbers of its sub-nodes that can't be reached; each was said once.
        said: whether a person was told that it can't be reached, and not yet that it can.
    """

    reasons: dict[int, str] = field(default_factory=dict)
    said: bool = False


class OwnMessages:
    """What Pegasus says in its own name; remembers what is wrong with which host."""

    def __init__(self) -> None:
        self._hosts: defaultdict[str, _Host] = defaultdict(_Host)

    def about(self, event: Connected | Unreachable | Noted) -> str | None:
        """Give the words for an event, None where a person has read them or needs none."""
        match event:
            case Noted(text):
                return own_lines(text)
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
