"""What a run came to: outcomes by count, and each that nobody hoped for.

Rule 1: a listener like any other; it only counts, and leaves the printing to whoever asks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from pegasus import duration
from pegasus.events import Connected, Ended, Event, Printed, Returned, Started
from pegasus.model import (
    Cancelled,
    Exited,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    SubNode,
    TimedOut,
    succeeded,
)
from pegasus.terminal_text import on_one_line, visible

_COMMAND_LIMIT = 200
"""Characters of a command in the summary: enough to know it by; all of it stands above."""

_NAMED_SUB_NODES = 8
"""Sub-nodes that are named each; of more, the least and the most busy."""

_KINDS = {
    "succeeded": Exited,
    "failed": Exited,
    "killed": Killed,
    "timed out": TimedOut,
    "lost": Lost,
    "cancelled": Cancelled,
    "not started": NotStarted,
}
"""The words by which outcomes are counted, in the order in which they are said."""


def kind(outcome: Outcome) -> str:
    """Give the word by which an outcome is counted."""
    if succeeded(outcome):
        return "succeeded"
    words = {outcome_type: word for word, outcome_type in _KINDS.items()}
    return words[type(outcome)]


class Summary:
    """Counts the commands of a run by outcome."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._bad: list[Ended] = []
        self._busy: defaultdict[SubNode, float] = defaultdict(float)
        self._running: set[tuple[int, int]] = set()

    @property
    def empty(self) -> bool:
        """Tell whether nothing was run."""
        return not self._counts

    @property
    def all_succeeded(self) -> bool:
        """Tell whether every command that ended succeeded."""
        return not self._bad

    def tell(self, event: Event) -> None:
        """Count an end that is final, and the time that a sub-node was busy."""
        if isinstance(event, Connected):
            self._busy[event.sub_node] += 0.0
        if isinstance(event, Started):
            self._running.add(_key(event))
        if isinstance(event, Ended) and _key(event) in self._running:
            # An end without a start repeats what became of the last try: that time is counted.
            self._running.remove(_key(event))
            self._busy[event.assignment.sub_node] += event.seconds
        if isinstance(event, Returned):
            self._running.discard(_key(event))
        if isinstance(event, Ended) and not event.again:
            self._counts[kind(event.outcome)] += 1
            if not succeeded(event.outcome):
                self._bad.append(event)

    async def show(self, printed: Printed) -> None:
        """Let output pass."""

    def lines(self, log_of: Callable[[Ended], str | None]) -> list[str]:
        """Say it: a line of counts, and one for each command that did not succeed.

        Args:
            log_of: says how to look at a command's output; None where there is no way.
        """
        total = sum(self._counts.values())
        counts = ", ".join(f"{self._counts[word]} {word}" for word in _KINDS if self._counts[word])
        lines = [f"{total} command{'s' if total > 1 else ''}: {counts}."]
        for ended in self._bad:
            log = log_of(ended)
            lines.append(_line(ended) + (f"  [{log}]" if log else ""))
        return lines

    def utilisation(self, wall: float) -> str:
        """Say how busy the sub-nodes were: the time that commands ran, over all the time.

        Args:
            wall: seconds that the run took.
        """
        shares = [(busy / wall if wall else 0.0, str(node)) for node, busy in self._busy.items()]
        mean = sum(share for share, _ in shares) / max(1, len(shares))
        words = f"The sub-nodes were busy {mean:.0%} of {duration.words(wall)}"
        if len(shares) == 1:
            return f"{words}."
        if len(shares) > _NAMED_SUB_NODES:
            (least, idle), (most, busy) = min(shares), max(shares)
            return f"{words}: from {least:.0%} ({idle}) to {most:.0%} ({busy})."
        return f"{words}: {', '.join(f'{name} {share:.0%}' for share, name in shares)}."


def _key(event: Started | Returned | Ended) -> tuple[int, int]:
    return event.assignment.number, event.assignment.sub_node.number


def _line(ended: Ended) -> str:
    assignment = ended.assignment
    command = assignment.command
    shown = command if len(command) <= _COMMAND_LIMIT else command[:_COMMAND_LIMIT] + " …"
    where = f"job {assignment.number} on {assignment.sub_node}"
    outcome = on_one_line(str(ended.outcome))
    took = duration.words(ended.seconds)
    return visible(f"  {where}: {outcome}, after {took}: {shown}")
