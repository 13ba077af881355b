"""A step of a broadcast: one job, its outputs and its outcomes on all sub-nodes.

Rule 1: pure. The order of groups is that of ``clush -b``: first those with the lowest exit status,
then the largest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
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


@dataclass(frozen=True, slots=True)
class StepResult:
    """What is to be shown of a step.

    Attributes:
        number: of the job in the run.
        outputs: for each stream with any output the groups of sub-nodes with equal output, in
            the order in which they are shown.
        failures: the sub-nodes that did not succeed, by outcome; None for those that did not end.
    """

    number: int
    outputs: dict[Stream, list[OutputGroup]]
    failures: list[tuple[Outcome | None, list[SubNode]]]


@dataclass(slots=True)
class Step:
    """A step that has not ended.

    Attributes:
        number: of the job in the run.
        expected: the numbers of the sub-nodes on which it will run; None where that is unknown.
        tries: by the numbers of the sub-nodes.
    """

    number: int
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

    def finish(self, forget: Callable[[KeptOutput], None]) -> StepResult:
        """Give what is to be shown.

        Args:
            forget: called with each output that is not: equal to another one, or empty.
        """
        tries = [self.tries[number] for number in sorted(self.tries)]
        groups = {stream: _groups_of(tries, stream) for stream in Stream}
        outputs = {
            stream: found
            for stream, found in groups.items()
            if any(group.output.size for group in found)
        }
        shown = {id(group.output) for found in outputs.values() for group in found}
        for each in tries:
            for output in each.outputs.values():
                if id(output) not in shown:
                    forget(output)
        return StepResult(self.number, outputs, _failures_of(tries))


def _groups_of(tries: Sequence[GatheredTry], stream: Stream) -> list[OutputGroup]:
    found: defaultdict[OutputKey, list[GatheredTry]] = defaultdict(list)
    for each in tries:
        found[each.outputs[stream].key].append(each)
    return [
        OutputGroup([each.sub_node for each in equal], equal[0].outputs[stream])
        for equal in sorted(found.values(), key=_place_of)
    ]


def _failures_of(tries: Sequence[GatheredTry]) -> list[tuple[Outcome | None, list[SubNode]]]:
    found: defaultdict[Outcome | None, list[SubNode]] = defaultdict(list)
    for each in tries:
        if each.outcome is None or not succeeded(each.outcome):
            found[each.outcome].append(each.sub_node)
    return sorted(found.items(), key=lambda item: _status_of(item[0]))


def _place_of(tries: Sequence[GatheredTry]) -> tuple[int, int, str]:
    """Give the place of a group among the others."""
    status = min(_status_of(each.outcome) for each in tries)
    return status, -len(tries), first_of(each.sub_node.hostname for each in tries)


def _status_of(outcome: Outcome | None) -> int:
    return outcome.status if isinstance(outcome, Exited) else _AFTER_ALL
