"""A step of a broadcast: one job, its outputs and its outcomes on all sub-nodes.

Rule 1: pure. The order of groups is that of ``clush -b``: first those with the lowest exit status,
then the largest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pegasus.gather.kept import KeptOutput, OutputKey
from pegasus.gather.naming import first_of
from pegasus.model import Exited, Outcome, Stream, SubNode, succeeded

_AFTER_ALL = 256
"""Where an outcome that is no exit status stands among them."""


@dataclass(slots=True)
class GatheredTry:
    """The last try of a step on a sub-node.

    Attributes:
        outcome: None while it runs, and while it waits for another try.
    """

    sub_node: SubNode
    outputs: dict[Stream, KeptOutput] = field(
        default_factory=lambda: {stream: KeptOutput() for stream in Stream}
    )
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class OutputGroup:
    """Sub-nodes whose output is equal."""

    sub_nodes: list[SubNode]
    output: KeptOutput


@dataclass(slots=True)
class Step:
    """A step.

    Attributes:
        number: of the job in the run.
        command: of the job, as it was written.
        expected: the numbers of the sub-nodes on which it will run; None where that is unknown.
        tries: by the numbers of the sub-nodes.
    """

    number: int
    command: str
    expected: Collection[int] | None
    tries: dict[int, GatheredTry] = field(default_factory=dict)

    def is_over(self, missing: Collection[int]) -> bool:
        """Return whether it has ended on all sub-nodes, but those that are missing."""
        if self.expected is None:
            return False
        return all(
            number in missing
            or ((found := self.tries.get(number)) is not None and found.outcome is not None)
            for number in self.expected
        )

    def groups(self, stream: Stream) -> list[OutputGroup]:
        """Give the groups of sub-nodes with equal output, in the order in which they are shown."""
        found: defaultdict[OutputKey, list[GatheredTry]] = defaultdict(list)
        for each in self.tries.values():
            found[each.outputs[stream].key].append(each)
        ordered = sorted(found.values(), key=_place_of)
        return [
            OutputGroup([each.sub_node for each in tries], tries[0].outputs[stream])
            for tries in ordered
        ]

    def failures(self) -> list[tuple[Outcome | None, list[SubNode]]]:
        """Give the sub-nodes that did not succeed, by outcome; None for those that did not end."""
        found: defaultdict[Outcome | None, list[SubNode]] = defaultdict(list)
        for each in self.tries.values():
            if each.outcome is None or not succeeded(each.outcome):
                found[each.outcome].append(each.sub_node)
        return sorted(found.items(), key=lambda item: _status_of(item[0]))


def _place_of(tries: Sequence[GatheredTry]) -> tuple[int, int, str]:
    """Give the place of a group among the others."""
    status = min(_status_of(each.outcome) for each in tries)
    return status, -len(tries), first_of(each.sub_node.hostname for each in tries)


def _status_of(outcome: Outcome | None) -> int:
    return outcome.status if isinstance(outcome, Exited) else _AFTER_ALL
