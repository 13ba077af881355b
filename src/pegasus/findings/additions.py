"""Whether jobs that are added to a queue could run on the sub-nodes of a hosts file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegasus import grid
from pegasus.demand import nowhere
from pegasus.errors import TemplateFault
from pegasus.findings.places import Places
from pegasus.hosts_file import find_hosts
from pegasus.model import Entry, Job, SubNode
from pegasus.rendered import render_with

MOST_JOBS_TRIED = 100
"""Jobs of one entry: names are the same in all of them, and `pegasus check` tries more."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why an entry could run nowhere.

    Attributes:
        number: of the entry, counted from 0.
        what: what is wrong, as a sentence without its full stop.
        instead: the next step, likewise; may be empty.
        unknown: the name that is unknown, if that is the fault; else empty.
    """

    number: int
    what: str
    instead: str
    unknown: str = ""

    @property
    def words(self) -> str:
        """The fault and the next step, to follow a place and a colon."""
        return f"{self.what}. {self.instead}." if self.instead else f"{self.what}."


def find_misfits(hosts_file: Path, queue_file: Path, entries: Iterable[Entry]) -> list[Misfit]:
    """Find jobs that no sub-node of a hosts file could run, or for which it has not all names.

    Args:
        hosts_file: as the user gave it. Where it is missing, or has a fault of its own, there is
            nothing to compare with.
        queue_file: likewise. For a queue elsewhere, the usual hosts file here need not be meant.
        entries: what is to be added.

    Returns:
        For each entry at most one.
    """
    is_usual = str(hosts_file) == "hosts.yaml"
    if not hosts_file.is_file() or (is_usual and queue_file.parent != Path()):
        return []
    sub_nodes, faults = find_hosts(hosts_file)
    if faults or not sub_nodes:
        return []
    places = Places(sub_nodes)
    found = (_misfit(number, entry, places) for number, entry in enumerate(entries))
    return [misfit for misfit in found if misfit]


def _misfit(number: int, entry: Entry, places: Places) -> Misfit | None:
    sub_nodes = places.of(entry.demand)
    for job in itertools.islice(grid.jobs(entry), MOST_JOBS_TRIED):
        if reason := nowhere(job, places.sub_nodes):
            return Misfit(number, reason.what, reason.instead)
        if fault := _unrendered(job, sub_nodes, places):
            return Misfit(number, fault.what, fault.instead, fault.unknown)
    return None


def _unrendered(job: Job, sub_nodes: Sequence[SubNode], places: Places) -> TemplateFault | None:
    """Give why a job can be rendered for none of the sub-nodes; None if it can for one."""
    first: TemplateFault | None = None
    for sub_node in sub_nodes:
        try:
            render_with(job.command, places.values(job, sub_node))
        except TemplateFault as fault:
            first = first or fault
        else:
            return None
    return first
