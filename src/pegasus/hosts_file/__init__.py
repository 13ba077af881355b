"""hosts.yaml: its sub-nodes, faults and probable mistakes, and its changes during a run."""

from __future__ import annotations

from pegasus.hosts_file.choice import HostsChoice
from pegasus.hosts_file.following import follow_hosts, hosts_state
from pegasus.hosts_file.limit import SubNodeLimit
from pegasus.hosts_file.notes import find_notes, may_have_notes, mentions
from pegasus.hosts_file.reading import MOST_SUB_NODES, find_hosts, read_hosts
from pegasus.hosts_file.slurm import request_options

__all__ = [
    "MOST_SUB_NODES",
    "HostsChoice",
    "SubNodeLimit",
    "find_hosts",
    "find_notes",
    "follow_hosts",
    "hosts_state",
    "may_have_notes",
    "mentions",
    "read_hosts",
    "request_options",
]
