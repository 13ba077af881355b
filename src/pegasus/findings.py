"""The sub-nodes and jobs of the two files together, and every fault in them.

Rule 1: nothing is taken, locked or written: the files are read as they are.
Rule 2: every fault is found in one pass; a run stops at the first.
Rule 3: jobs are counted by arithmetic. Rendering them takes time, so it has a limit: within the
limit all renderings that may differ are tried, beyond it each value and each sub-node at least
once.
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
from pegasus.errors import FileFault, TemplateFault
from pegasus.hosts_file import SubNodeLimit, find_hosts, find_notes, looks_like_option, mentions
from pegasus.model import Entry, Job, Position, SubNode
from pegasus.queue_file import QueueFile, QueueReader, Written
from pegasus.rendered import Values, render
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


@dataclass(frozen=True, slots=True)
class Findings:
    """The content of the two files.

    Attributes:
        sub_nodes: the sub-nodes of the hosts file that have no fault.
        entries: the entries of the queue file that have no fault.
        hosts_faults: the faults of the hosts file.
        queue_faults: the faults of the queue file, in its order.
        tried: how many renderings of a command for a sub-node were tried.
        fillings: how many renderings may differ.
        notes: what is allowed, and probably a mistake.
        unlimited: how many sub-nodes there are without ``--limit``.
    """

    sub_nodes: tuple[SubNode, ...]
    entries: tuple[Written, ...]
    hosts_faults: tuple[FileFault, ...]
    queue_faults: tuple[FileFault, ...]
    tried: int = 0
    fillings: int = 0
    notes: tuple[FileFault | str, ...] = ()
    unlimited: int = 0

    @property
    def faults(self) -> tuple[FileFault, ...]:
        """All faults of both files."""
        return self.hosts_faults + self.queue_faults

    @property
    def count(self) -> int:
        """The number of jobs."""
        return sum(grid.count(written.entry) for written in self.entries)

    def jobs(self) -> Iterator[Job]:
        """Give the jobs in the order in which they are taken."""
        return itertools.chain.from_iterable(grid.jobs(each.entry) for each in self.entries)


def find(hosts_file: Path, queue_file: Path, limit: Sequence[str] = ()) -> Findings:
    """Read both files, and find the faults of each and of both together.

    Args:
        hosts_file: as the user gave it.
        queue_file: as the user gave it.
        limit: the values of ``--limit``.

    Raises:
        PegasusError: ``limit`` chooses nothing, or cannot be read.
    """
    every, hosts_faults = find_hosts(hosts_file)
    chosen = SubNodeLimit(limit)
    # Where the hosts file has faults, what is missing may be there.
    limit_notes = () if hosts_faults else chosen.find_notes(str(hosts_file), every)
    sub_nodes = chosen.choose(every) if every else ()
    queue = QueueFile(queue_file)
    notes = (*limit_notes, *notes_on(hosts_file, sub_nodes, queue_file))
    trial = _Trial(sub_nodes)
    try:
        reader = queue.reader()
    except FileFault as fault:
        return Findings(sub_nodes, (), hosts_faults, (fault,), notes=notes, unlimited=len(every))
    entries = []
    for written in reader:
        if isinstance(written, FileFault):
            trial.faults.append(written)
        else:
            entries.append(written)
            trial.try_entry(reader, written)
    try:
        queue.refuse_lockless()
    except FileFault as fault:
        trial.faults.append(fault)
    faults = tuple(trial.faults)
    counts = trial.tried, trial.fillings
    return Findings(
        sub_nodes, tuple(entries), hosts_faults, faults, *counts, notes, unlimited=len(every)
    )


def notes_on(
    hosts_file: Path, sub_nodes: Sequence[SubNode], queue_file: Path
) -> tuple[FileFault, ...]:
    """Give notes on parameters of sub-nodes that look like options of ssh, each name once.

    A parameter that a command uses is meant as a parameter. The queue file is only read where
    there is such a name.
    """
    names = {name for sub_node in sub_nodes for name, _ in sub_node.params}
    if not any(map(looks_like_option, names)):
        return ()
    try:
        queue = queue_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        queue = ""
    return find_notes(hosts_file, lambda name: mentions(queue, name))


def differing(sub_nodes: Sequence[SubNode]) -> frozenset[str]:
    """Give the names whose values differ among the sub-nodes."""
    every = [Values(Job(""), sub_node) for sub_node in sub_nodes]
    names = {name for values in every for name in values}
    return frozenset(name for name in names if len({values.get(name) for values in every}) > 1)


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


class _Trial:
    """Renders commands, as far as time allows, to find those that cannot be rendered."""

    def __init__(self, sub_nodes: Sequence[SubNode]) -> None:
        self.faults: list[FileFault] = []
        self.tried = self.fillings = 0
        self._until = time.thread_time() + MOST_RENDER_SECONDS
        self._sub_nodes = sub_nodes
        self._differing = differing(sub_nodes)

    def try_entry(self, reader: QueueReader, written: Written) -> None:
        """Render the commands of an entry."""
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
        """Give what a command is rendered with: the values of each parameter, and the sub-nodes.

        A parameter that the template does not name cannot matter: one value represents all.
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
            fault = _fault_of(reader, scalar, params, sub_node)
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
