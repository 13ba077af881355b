"""Finds what a test has left behind.

Rule 1: only the test's own objects are examined: processes that carry its mark in their
environment (all children inherit it), folders that were not there before, its own files.
"""

from __future__ import annotations

import fnmatch
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.nodes import Node, NodesFault, Process, wait_until
from tests.nodes.processes import everything, has_in_environment

MARK = "PEGASUS_TEST"  # the environment variable whose value is unique to a test
PATIENCE = 10.0  # seconds; the limit of Pegasus for the end of its commands
SOCKET_FOLDERS = "pgs-*"
TEMPORARY_FILES = (".*.tmp", "*.take*")


@dataclass(frozen=True, slots=True)
class Traces:
    """The places where one test may leave something, and their content before the test.

    Attributes:
        mark: the value of `MARK` in the environment of the test's processes.
        runtime: the test's own ``XDG_RUNTIME_DIR``.
        folder: the test's own folder, where its queue and hosts files are.
        nodes: nodes on which no command of the test may live on.
        shared: another folder to examine; none by default, since other processes
            of Pegasus make such folders in the shared ones.
        before: the socket folders that existed when the test began.
    """

    mark: str
    runtime: Path
    folder: Path
    nodes: tuple[Node, ...] = ()
    shared: Path = Path("/nonexistent")
    before: frozenset[Path] = frozenset()

    def socket_folders(self) -> frozenset[Path]:
        """Return the folders with control sockets that exist now, including those of others."""
        places = {self.runtime, self.shared}
        return frozenset(path for place in places for path in place.glob(SOCKET_FOLDERS))

    def processes(self, among: Sequence[Process] | None = None) -> list[Process]:
        """Return the living processes that the test has started on this machine.

        Args:
            among: what `everything` has returned; None to ask it now.
        """
        mark = f"{MARK}={self.mark}"
        found = everything() if among is None else among
        return [p for p in found if p.alive and has_in_environment(p.host_pid, mark)]

    def left(self) -> list[str]:
        """Return a line for each thing that is left."""
        found = everything()
        words = [f"process {p.pid}: {p.command}" for p in self.processes(found)]
        words += [f"folder {path}" for path in self.abandoned_folders()]
        words += [f"file {path}" for path in temporary_files(self.folder)]
        words += [
            f"on {node.name}, process {p.pid}: {p.command}"
            for node in self.nodes
            for p in node.living(found)
        ]
        return words

    def abandoned_folders(self) -> list[Path]:
        """Return the new folders with control sockets that no other Pegasus uses.

        The ssh processes of a folder in use have its name in
        their command lines; those of this test are found by their mark.
        """
        new = sorted(self.socket_folders() - self.before)
        commands = [process.command for process in everything()] if new else []
        return [
            path
            for path in new
            if path.parent == self.runtime or not any(str(path) in c for c in commands)
        ]

    def wait_until_gone(self, limit: float = PATIENCE) -> list[str]:
        """Wait until nothing is left; return what is left after the limit."""
        try:
            wait_until(lambda: not self.left(), limit=limit, what="nothing to be left")
        except NodesFault:
            return self.left()
        return []

    def clear_away(self) -> None:
        """End what is left, so that it does not disturb the next test."""
        for process in self.processes():
            process.signal(signal.SIGKILL)
        for node in self.nodes:
            node.end_commands()


def temporary_files(folder: Path) -> Iterable[Path]:
    """Find the temporary files in a folder."""
    return sorted(
        path
        for path in folder.rglob("*")
        if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in TEMPORARY_FILES)
    )
