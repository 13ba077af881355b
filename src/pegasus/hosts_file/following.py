"""hosts.yaml during a run: it is read again when it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from pegasus.errors import PegasusError
from pegasus.hosts_file.choice import NO_CHOICE, HostsChoice
from pegasus.hosts_file.reading import read_hosts
from pegasus.model import SubNode

HOSTS_POLL = 1.0
"""Seconds between two looks at the hosts file. A new node needs longer for its connection."""


async def follow_hosts(
    path: Path,
    seen: tuple[int, ...],
    send: trio.MemorySendChannel[Sequence[SubNode]],
    on_note: Callable[[str], None],
    choice: HostsChoice = NO_CHOICE,
) -> None:
    """Send the sub-nodes whenever the hosts file has changed; runs until it is cancelled.

    Args:
        path: the hosts file.
        seen: its state when it was last read.
        send: gets the sub-nodes.
        on_note: is called with a fault of the file; the sub-nodes stay as they were.
        choice: what the command line says about them; new sub-nodes that it does not choose are
            left out.
    """
    while True:
        await trio.sleep(HOSTS_POLL)
        if (now := hosts_state(path)) != seen:
            seen = now
            try:
                sub_nodes = choice.of(read_hosts(path))
            except PegasusError as error:
                on_note(f"{error} The nodes stay as they were.")
            else:
                await send.send(sub_nodes)


def hosts_state(path: Path) -> tuple[int, ...]:
    """Give what changes when the file changes; empty where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
