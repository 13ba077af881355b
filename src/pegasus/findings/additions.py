"""Whether jobs that are added to a queue could run on the sub-nodes of a hosts file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
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


def find_misfits(hosts_file: Path, queue_file: Path, entries: Iterable[Entry]) -> list[str]:
    """Find jobs that no sub-node of a hosts file could run, or for which it has not all names.

    Args:
        hosts_file: as the user gave it. Where it is missing, or has a fault of its own, there is
            nothing to compare with.
        queue_file: likewise. For a queue elsewhere, the usual hosts file here need not be meant.
        entries: what is to be added.

    Returns:
        For each entry at most one message: the fault and the next step, as sentences.
    """
    is_usual = str(hosts_file) == "hosts.yaml"
    if not hosts_file.is_file() or (is_usual and queue_file.parent != Path()):
        return []
    sub_nodes, faults = find_hosts(hosts_file)
    if faults or not sub_nodes:
        return []
    places = Places(sub_nodes)
    found = (_misfit(entry, places) for entry in entries)
    return [words for words in found if words]


def _misfit(entry: Entry, places: Places) -> str:
    sub_nodes = places.of(entry.demand)
    for job in itertools.islice(grid.jobs(entry), MOST_JOBS_TRIED):
        if reason := nowhere(job, places.sub_nodes):
            return _sentences(reason.what, reason.instead)
        if fault := _unrendered(job, sub_nodes, places):
            return _sentences(fault.what, fault.instead)
    return ""


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


def _sentences(what: str, instead: str) -> str:
    words = f"{what}. {instead}." if instead else f"{what}."
    return words[:1].upper() + words[1:]
