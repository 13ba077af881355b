"""hosts.yaml while a run goes on: read again when it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from pegasus.errors import PegasusError
from pegasus.hosts_file import read_hosts
from pegasus.model import SubNode

HOSTS_POLL = 1.0
"""Seconds between two looks at the hosts file: a node joins after a connection anyway."""


async def follow_hosts(
    path: Path,
    seen: tuple[int, ...],
    send: trio.MemorySendChannel[Sequence[SubNode]],
    say: Callable[[str], None],
) -> None:
    """Send the sub-nodes anew whenever the hosts file has changed; never ends.

    Args:
        path: the hosts file.
        seen: its state when it was last read.
        send: gets the sub-nodes.
        say: is told what is wrong with the file; the nodes stay as they were then.
    """
    while True:
        await trio.sleep(HOSTS_POLL)
        if (now := hosts_state(path)) != seen:
            seen = now
            try:
                sub_nodes = read_hosts(path)
            except PegasusError as error:
                say(f"{error} The nodes stay as they were.")
            else:
                await send.send(sub_nodes)


def hosts_state(path: Path) -> tuple[int, ...]:
    """Tell one state of the file from another; empty where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
