"""Renders the commands of a queue, as far as time allows, to find those that cannot be rendered.

Rule 1: within a limit all renderings that may differ are tried, beyond it each value and each
sub-node at least once.
Rule 2: a command is rendered only for sub-nodes on which its job can run.
"""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pegasus.errors import FileFault, TemplateFault
from pegasus.findings.places import Places
from pegasus.model import Demand, Entry, Job, Position, SubNode
from pegasus.queue_file import QueueReader, Written
from pegasus.rendered import render_with
from pegasus.template import parse
from pegasus.terminal_text import visible
from pegasus.yaml_text import Scalar

MOST_FILLINGS = 20_000
"""Renderings that are tried: about half a second, at 20 microseconds each."""

LEAST_FILLINGS = 100
"""Renderings that are tried of each command, even if the others have used up the limit."""

MOST_RENDER_SECONDS = 20.0
"""Seconds of processor time for renderings; a template may be slow to render."""

MOST_REFUSED = 50
"""Renderings of one command that may fail before the rest of them is skipped."""

_DIGITS = re.compile("[0-9]+")

_VALUE_LIMIT = 40
"""Characters of a value in a fault: enough to find the value in the file."""


@dataclass(slots=True)
class _RenderFault:
    """A fault of a command, the first rendering that had it, and how many had it."""

    fault: FileFault
    circumstances: str
    count: int = 0

    def narrowed(self) -> FileFault:
        """Give the fault with the rendering that has it: others do not."""
        what = f"{self.circumstances}: {self.fault.what}"
        return FileFault(self.fault.position, what, self.fault.instead)


class Trial:
    """Tries the commands of one entry after the other.

    Args:
        places: where jobs can run.

    Attributes:
        faults: those that were found.
        tried: how many renderings of a command for a sub-node were tried.
        fillings: how many renderings may differ.
    """

    def __init__(self, places: Places) -> None:
        self.faults: list[FileFault] = []
        self.tried = self.fillings = 0
        self._until = time.thread_time() + MOST_RENDER_SECONDS
        self._places = places

    def try_entry(self, reader: QueueReader, written: Written) -> None:
        """Render the commands of an entry."""
        names = [name for name, _ in written.entry.params]
        demand = written.entry.demand
        for scalar in written.commands:
            try:
                parse(scalar.text)
            except TemplateFault as fault:
                self.faults.append(reader.fault_at(scalar, fault))
                continue
            axes = self._axes(scalar.text, written.entry)
            self.faults += self._refused(reader, scalar, names, axes, demand)

    def _axes(self, template: str, entry: Entry) -> list[Sequence[str | SubNode]]:
        """Give what a command is rendered with: the values of each parameter, and the sub-nodes.

        A parameter that the template does not name cannot matter: one value represents all.
        """
        sub_nodes = self._places.of(entry.demand)
        named = any(name in template for name in self._places.differing(entry.demand))
        return [
            *(values if name in template else values[:1] for name, values in entry.params),
            sub_nodes if named else sub_nodes[:1],
        ]

    def _refused(
        self,
        reader: QueueReader,
        scalar: Scalar,
        names: Sequence[str],
        axes: Sequence[Sequence[str | SubNode]],
        demand: Demand,
    ) -> Iterable[FileFault]:
        """Render one command; give each of its faults once."""
        found: dict[tuple[Position, str], _RenderFault] = {}
        refused = tried = 0
        total = math.prod(map(len, axes))
        every = total <= MOST_FILLINGS - self.tried
        for *values, sub_node in self._choose(axes, every=every):
            if time.thread_time() > self._until:
                every = False
                break
            assert isinstance(sub_node, SubNode)  # noqa: S101 -- it is the last axis
            tried += 1
            params = tuple(zip(names, map(str, values), strict=True))
            job = Job(scalar.text, params, None, demand)
            fault = self._fault_of(reader, scalar, job, sub_node)
            if fault is not None:
                refused += 1
                first = _RenderFault(fault, _circumstances(axes, params, sub_node))
                found.setdefault((fault.position, _DIGITS.sub("", fault.what)), first).count += 1
            if refused == MOST_REFUSED:
                break
        # After so many failures the rest is not tried: the user has to repair the command first.
        self.tried += total if every or refused == MOST_REFUSED else tried
        self.fillings += total
        return [each.fault if each.count == tried else each.narrowed() for each in found.values()]

    def _fault_of(
        self, reader: QueueReader, scalar: Scalar, job: Job, sub_node: SubNode
    ) -> FileFault | None:
        try:
            render_with(scalar.text, self._places.values(job, sub_node))
        except TemplateFault as fault:
            return reader.fault_at(scalar, fault)
        return None

    def _choose(
        self, axes: Sequence[Sequence[str | SubNode]], *, every: bool
    ) -> Iterator[tuple[str | SubNode, ...]]:
        """Give combinations: first some that together have every value, then, if wanted, all."""
        longest = max(map(len, axes))
        if every and math.prod(map(len, axes)) == longest:
            return itertools.product(*axes)
        enough = min(longest, max(MOST_FILLINGS - self.tried, LEAST_FILLINGS))
        some = itertools.islice(zip(*map(itertools.cycle, axes), strict=False), enough)
        return itertools.chain(some, itertools.product(*axes)) if every else some


def _circumstances(
    axes: Sequence[Sequence[object]], params: Sequence[tuple[str, str]], sub_node: SubNode
) -> str:
    """Describe a rendering: the sub-node, and the values that have alternatives."""
    parts = [f"on {visible(str(sub_node))}"] if len(axes[-1]) > 1 else []
    given = [
        f"{name}={_short(value)}"
        for (name, value), axis in zip(params, axes, strict=False)
        if len(axis) > 1
    ]
    return " ".join(parts + ([f"with {', '.join(given)}"] if given else []))


def _short(value: str) -> str:
    shown = visible(value) if value.strip() else repr(value)
    return shown if len(shown) <= _VALUE_LIMIT else shown[:_VALUE_LIMIT] + "…"
