"""The tries of detached commands whose folders may still be on their nodes.

Rule 1: a try is known by its key, since a newer try of its job may run on the same sub-node.
"""

from __future__ import annotations

from collections.abc import Iterator

from pegasus.model import SubNode
from pegasus.run_state.jobs import Execution, JobState


class FoldersLeft:
    """The tries that have a folder, in the order of their starts.

    Attributes:
        strays: the sub-nodes of folders in which no command has started, by key.
    """

    def __init__(self) -> None:
        self.strays: dict[str, SubNode] = {}
        self._tries: dict[str, tuple[JobState, Execution]] = {}

    def __iter__(self) -> Iterator[tuple[JobState, Execution]]:
        return iter(list(self._tries.values()))

    def keys(self) -> list[str]:
        """Give the names of all folders."""
        return [*self.strays, *self._tries]

    def add(self, job: JobState, execution: Execution) -> None:
        """Add a try that has started; one that is not detached has no folder."""
        key = execution.assignment.key
        if key is not None:
            self.remove(key)
            self.strays.pop(key, None)
            self._tries[key] = job, execution
            job.unreleased += 1

    def add_stray(self, key: str | None, sub_node: SubNode) -> None:
        """Add a folder in which no command has started."""
        if key is not None:
            self.strays[key] = sub_node

    def remove_stray(self, key: str) -> None:
        """Count such a folder as removed."""
        self.strays.pop(key, None)

    def find(self, key: str | None) -> Execution | None:
        """Give the try with a key."""
        if key is None or key not in self._tries:
            return None
        return self._tries[key][1]

    def remove(self, key: str | None) -> None:
        """Count the folder of a try as removed, if it was not."""
        if key is not None and (known := self._tries.pop(key, None)):
            job, execution = known
            execution.released = True
            job.unreleased -= 1
