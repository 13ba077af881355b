"""Both files -> their content, and every fault in them and between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pegasus import grid
from pegasus.demand import nowhere
from pegasus.errors import FileFault
from pegasus.findings.notes import notes_on, notes_on_entries
from pegasus.findings.places import Places
from pegasus.findings.trial import Trial
from pegasus.hosts_file import SubNodeLimit, find_hosts
from pegasus.launch import NO_LAUNCH
from pegasus.model import NO_DEMAND, Barrier, Job, SubNode
from pegasus.queue_file import QueueFile, QueueReader, Written, WrittenBarrier


@dataclass(frozen=True, slots=True)
class Findings:
    """The content of the two files.

    Attributes:
        sub_nodes: the sub-nodes of the hosts file that have no fault.
        entries: the entries and barriers of the queue file that have no fault.
        hosts_faults: the faults of the hosts file.
        queue_faults: the faults of the queue file, in its order.
        tried: how many renderings of a command for a sub-node were tried.
        fillings: how many renderings may differ.
        notes: what is allowed, and probably a mistake.
        unlimited: how many sub-nodes there are without ``--limit``.
    """

    sub_nodes: tuple[SubNode, ...]
    entries: tuple[Written | WrittenBarrier, ...]
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
        return sum(grid.count(each.entry) for each in self.entries if isinstance(each, Written))

    @property
    def is_placed(self) -> bool:
        """Whether slots or demands are used, so that not every job can run on every sub-node."""
        return any(each.pools for each in self.sub_nodes) or any(
            isinstance(each, Written) and replace(each.entry.demand, launch=NO_LAUNCH) != NO_DEMAND
            for each in self.entries
        )

    def jobs(self) -> Iterator[Job | Barrier]:
        """Give the jobs in the order in which they are taken, and the barriers between them."""
        for each in self.entries:
            if isinstance(each, Written):
                yield from grid.jobs(each.entry)
            else:
                yield each.barrier


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
    places = Places(sub_nodes)
    trial = Trial(places)
    try:
        reader = queue.reader()
    except FileFault as fault:
        return Findings(sub_nodes, (), hosts_faults, (fault,), notes=notes, unlimited=len(every))
    entries: list[Written | WrittenBarrier] = []
    for written in reader:
        if isinstance(written, FileFault):
            trial.faults.append(written)
            continue
        entries.append(written)
        if isinstance(written, WrittenBarrier):
            continue
        trial.try_entry(reader, written)
        if not hosts_faults and (impossible := _nowhere(reader, written, places)):
            trial.faults.append(impossible)
    try:
        queue.refuse_lockless()
    except FileFault as fault:
        trial.faults.append(fault)
    notes = (*notes, *notes_on_entries(reader, entries))
    faults = tuple(trial.faults)
    counts = trial.tried, trial.fillings
    return Findings(
        sub_nodes, tuple(entries), hosts_faults, faults, *counts, notes, unlimited=len(every)
    )


def _nowhere(reader: QueueReader, written: Written, places: Places) -> FileFault | None:
    """Give the fault of an entry whose jobs can run on no sub-node."""
    if places.of(written.entry.demand):
        return None
    reason = nowhere(next(grid.jobs(written.entry)), places.sub_nodes)
    if reason is None:
        return None
    position = reader.source.position(written.demand_start(reason.about))
    return FileFault(position, reason.what, reason.instead)
