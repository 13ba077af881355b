"""Control sockets as they appear: the only sign that a master gives of having been let in.

Rule 1: one task looks for all: with hundreds that connect at once, as many tasks that look would
take the time that the connections need themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

POLL = 0.01
"""Seconds between two looks at the directory."""


class Arrivals:
    """Sets an event for each file that is waited for in a directory, once it is there.

    Attributes:
        directory: where they appear; whatever else is there is not looked at.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._expected: dict[str, trio.Event] = {}
        self._wanted = trio.Event()

    @contextmanager
    def expected(self, name: str, arrived: trio.Event) -> Iterator[None]:
        """Look for a file during the block.

        Args:
            name: the file's.
            arrived: set when it is there.
        """
        self._expected[name] = arrived
        self._wanted.set()
        try:
            yield
        finally:
            del self._expected[name]

    async def run(self) -> None:
        """Look, for as long as something is waited for, until cancelled."""
        while True:
            await self._wanted.wait()
            with suppress(OSError):  # somebody removed the directory
                for path in self.directory.iterdir():
                    if path.name in self._expected:
                        self._expected[path.name].set()
            if not self._expected:
                self._wanted = trio.Event()
            await trio.sleep(POLL)
