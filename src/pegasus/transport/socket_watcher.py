"""Watches for control sockets: a master's socket appears once the node has accepted the login.

Rule 1: one task watches for all of them. With hundreds of connections at once, one task for each
would need as much time as the connections themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

SOCKET_POLL = 0.01
"""Seconds between two checks of the directory."""


class SocketWatcher:
    """Sets an event for each expected file of a directory once the file exists.

    Attributes:
        directory: where the files appear; other files in it are ignored.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._expected: dict[str, trio.Event] = {}
        self._wanted = trio.Event()

    @contextmanager
    def expect(self, name: str, appeared: trio.Event) -> Iterator[None]:
        """Watch for a file during the block.

        Args:
            name: of the file.
            appeared: set once the file exists.
        """
        self._expected[name] = appeared
        self._wanted.set()
        try:
            yield
        finally:
            del self._expected[name]

    async def run(self) -> None:
        """Check the directory while any file is expected; runs until cancelled."""
        while True:
            await self._wanted.wait()
            with suppress(OSError):  # the directory was removed
                for path in self.directory.iterdir():
                    if path.name in self._expected:
                        self._expected[path.name].set()
            if not self._expected:
                self._wanted = trio.Event()
            await trio.sleep(SOCKET_POLL)
