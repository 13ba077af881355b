"""What the hosts file and the queue file stand for together, and everything that is wrong.

Rule 1: nothing is taken, locked or written: the files are read as they are.
Rule 2: every fault is found in one go, where a run would stop at the first.
Rule 3: counting is arithmetic. Filling in is not, so there is a limit to it: up to there every
filling that may differ is tried, and beyond it every value and every sub-node at least once.
"""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus import grid
from pegasus.commands.notes import notes_on
from pegasus.errors import FileFault, TemplateFault
from pegasus.hosts_file import find_hosts
from pegasus.model import Entry, Job, Position, SubNode
from pegasus.queue_file import QueueFile, content, left, lock
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.rendered import Values, render
from pegasus.template import parse
from pegasus.terminal_text import visible
from pegasus.yaml_text import Scalar

MOST_FILLINGS = 20_000
"""Fillings of commands that are tried: half a second's worth, at some twenty microseconds each."""

LEAST_FILLINGS = 100
"""Fillings that are tried of each command, also where the others have used up the limit."""

MOST_SECONDS = 20.0
"""Seconds of processor time that are spent on fillings; a command may be slow to fill in."""

MOST_REFUSED = 50
"""Fillings of one command that may fail before no more of it are tried."""

_DIGITS = re.compile("[0-9]+")

_VALUE_LIMIT = 40
"""Characters of a value in a fault: enough to find it by."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What two files stand for.

    Attributes:
        sub_nodes: those of the hosts file that are without fault.
        entries: those of the queue file that are without fault.
        hosts_faults: what is wrong with the hosts file.
        queue_faults: what is wrong with the queue file, in its order.
        tried: how many fillings of a command for a sub-node were tried.
        fillings: how many there are that may differ.
        notes: what is allowed, and probably not meant as it is written.
    """

    sub_nodes: tuple[SubNode, ...]
    entries: tuple[Written, ...]
    hosts_faults: tuple[FileFault, ...]
    queue_faults: tuple[FileFault, ...]
    tried: int = 0
    fillings: int = 0
    notes: tuple[FileFault, ...] = ()

    @property
    def faults(self) -> tuple[FileFault, ...]:
        """Everything that is wrong."""
        return self.hosts_faults + self.queue_faults

    @property
    def count(self) -> int:
        """How many jobs wait."""
        return sum(grid.count(written.entry) for written in self.entries)

    def jobs(self) -> Iterator[Job]:
        """Give the jobs in the order in which they are taken."""
        return itertools.chain.from_iterable(grid.jobs(each.entry) for each in self.entries)


def find(hosts_file: Path, queue_file: Path) -> Findings:
    """Read both files, and find everything that is wrong with either and with both together."""
    sub_nodes, hosts_faults = find_hosts(hosts_file)
    queue = QueueFile(queue_file)
    notes = notes_on(hosts_file, sub_nodes, queue_file)
    trial = _Trial(sub_nodes)
    try:
        data, _ = content.read(queue.path, queue.real)
    except FileFault as fault:
        return Findings(sub_nodes, (), hosts_faults, (fault,), notes=notes)
    reader = QueueReader(queue.path, left.with_tails(queue.real, data))
    entries = []
    for written in reader:
        if isinstance(written, FileFault):
            trial.faults.append(written)
        else:
            entries.append(written)
            trial.try_entry(reader, written)
    try:
        lock.refuse_lockless(queue.real, queue.path)
    except FileFault as fault:
        trial.faults.append(fault)
    faults = tuple(trial.faults)
    counts = trial.tried, trial.fillings
    return Findings(sub_nodes, tuple(entries), hosts_faults, faults, *counts, notes)


def differing(sub_nodes: Sequence[SubNode]) -> frozenset[str]:
    """Give the names that do not mean the same on all sub-nodes."""
    every = [Values(Job(""), sub_node) for sub_node in sub_nodes]
    names = {name for values in every for name in values}
    return frozenset(name for name in names if len({values.get(name) for values in every}) > 1)


@dataclass(slots=True)
class _Found:
    """A fault of a command, the filling in which it was met first, and in how many it was met."""

    fault: FileFault
    circumstances: str
    count: int = 0

    def narrowed(self) -> FileFault:
        """Give the fault with the filling: others are without it."""
        what = f"{self.circumstances}: {self.fault.what}"
        return FileFault(self.fault.position, what, self.fault.instead)


class _Trial:
    """Fills commands in, as far as there is time for it, to see what cannot be."""

    def __init__(self, sub_nodes: Sequence[SubNode]) -> None:
        self.faults: list[FileFault] = []
        self.tried = self.fillings = 0
        self._until = time.thread_time() + MOST_SECONDS
        self._sub_nodes = sub_nodes
        self._differing = differing(sub_nodes)

    def try_entry(self, reader: QueueReader, written: Written) -> None:
        """Fill an entry's commands in."""
        names = [name for name, _ in written.entry.params]
        for scalar in written.commands:
            try:
                parse(scalar.text)
            except TemplateFault as fault:
                self.faults.append(reader.fault_at(scalar, fault))
                continue
            axes = self._axes(scalar.text, written.entry)
            self.faults += self._refused(reader, scalar, names, axes)

    def _axes(self, template: str, entry: Entry) -> list[Sequence[str | SubNode]]:
        """Give what a command is filled in with: each parameter's values, and the sub-nodes.

        Of what the template does not name, one stands for all: a name is always written out.
        """
        named = any(name in template for name in self._differing)
        return [
            *(values if name in template else values[:1] for name, values in entry.params),
            self._sub_nodes if named else self._sub_nodes[:1],
        ]

    def _refused(
        self,
        reader: QueueReader,
        scalar: Scalar,
        names: Sequence[str],
        axes: Sequence[Sequence[str | SubNode]],
    ) -> Iterable[FileFault]:
        """Fill one command in; give each thing that is wrong once."""
        found: dict[tuple[Position, str], _Found] = {}
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
            fault = _fault_of(reader, scalar, params, sub_node)
            if fault is not None:
                refused += 1
                first = _Found(fault, _circumstances(axes, params, sub_node))
                found.setdefault((fault.position, _DIGITS.sub("", fault.what)), first).count += 1
            if refused == MOST_REFUSED:
                break
        # What is refused so often is mended before anyone asks about the rest.
        self.tried += total if every or refused == MOST_REFUSED else tried
        self.fillings += total
        return [each.fault if each.count == tried else each.narrowed() for each in found.values()]

    def _choose(
        self, axes: Sequence[Sequence[str | SubNode]], *, every: bool
    ) -> Iterator[tuple[str | SubNode, ...]]:
        """Give combinations: first some that have every value in them, then if asked to all."""
        longest = max(map(len, axes))
        if every and math.prod(map(len, axes)) == longest:
            return itertools.product(*axes)
        enough = min(longest, max(MOST_FILLINGS - self.tried, LEAST_FILLINGS))
        some = itertools.islice(zip(*map(itertools.cycle, axes), strict=False), enough)
        return itertools.chain(some, itertools.product(*axes)) if every else some


def _fault_of(
    reader: QueueReader, scalar: Scalar, params: tuple[tuple[str, str], ...], sub_node: SubNode
) -> FileFault | None:
    try:
        render(Job(scalar.text, params), sub_node)
    except TemplateFault as fault:
        return reader.fault_at(scalar, fault)
    return None


def _circumstances(
    axes: Sequence[Sequence[object]], params: Sequence[tuple[str, str]], sub_node: SubNode
) -> str:
    """Say what is special about a filling: the sub-node, and the values that have alternatives."""
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
