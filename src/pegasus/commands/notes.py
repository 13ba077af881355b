"""What is allowed in the files, and yet probably not meant as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pegasus.errors import FileFault
from pegasus.hosts_file import find_notes, looks_like_option, mentions
from pegasus.model import SubNode


def notes_on(
    hosts_file: Path, sub_nodes: Sequence[SubNode], queue_file: Path
) -> tuple[FileFault, ...]:
    """Give notes on parameters of sub-nodes that look like options of ssh, each name once.

    A command that uses such a parameter shows that it is meant; the queue file is looked into as
    it is now, and only where there is such a parameter.
    """
    names = {name for sub_node in sub_nodes for name, _ in sub_node.params}
    if not any(map(looks_like_option, names)):
        return ()
    try:
        queue = queue_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        queue = ""
    return find_notes(hosts_file, lambda name: mentions(queue, name))
