"""hosts.yaml: its sub-nodes, faults and probable mistakes, and its changes during a run."""

from __future__ import annotations

from pegasus.hosts_file.following import follow_hosts, hosts_state
from pegasus.hosts_file.limit import SubNodeLimit
from pegasus.hosts_file.notes import find_notes, looks_like_option, mentions
from pegasus.hosts_file.reading import MOST_SUB_NODES, find_hosts, read_hosts

__all__ = [
    "MOST_SUB_NODES",
    "SubNodeLimit",
    "find_hosts",
    "find_notes",
    "follow_hosts",
    "hosts_state",
    "looks_like_option",
    "mentions",
    "read_hosts",
]
