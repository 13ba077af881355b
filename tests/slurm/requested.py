"""Pegasus outside an allocation, on a cluster from which it requests one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.daemons import Cluster
from tests.e2e.runner import Done, Pegasus, Running
from tests.nodes import wait_until
from tests.nodes.processes import everything
from tests.slurm.ways import put_sbatch

REQUEST = "- slurm: {nodes: 2, time: 10m}\n"

LIMIT_OF_RUN = 60.0

COUNTING = """#!/bin/sh
echo "$@" >> '@FOLDER@/submitted'
exec @SBATCH@ "$@"
"""

SENT_AND_LOST = """#!/bin/sh
echo "$@" >> '@FOLDER@/submitted'
@SBATCH@ "$@" >/dev/null
[ -e '@FOLDER@/answers' ] || { touch '@FOLDER@/answers'
  echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
  exit 1; }
"""


@dataclass(frozen=True, slots=True)
class Requesting:
    """Pegasus on a machine from which jobs can be submitted.

    Attributes:
        pegasus: the command, with a folder of its own.
        cluster: the cluster.
    """

    pegasus: Pegasus
    cluster: Cluster

    @property
    def folder(self) -> Path:
        """The folder of the queue; jobs write into it."""
        return self.pegasus.folder

    def variables(self) -> dict[str, str]:
        """Return the environment: an ``sbatch`` of the test comes first in the PATH."""
        kept = {**self.cluster.environment, "HOME": self.pegasus.environment["HOME"]}
        kept["PATH"] = f"{self.folder}/bin:{kept['PATH']}"
        return kept

    def wrap_sbatch(self, text: str) -> None:
        """Put a program of this name before the one of Slurm."""
        put_sbatch(self.folder, text)

    def start(self, command: str, *arguments: str, hosts: str, queue: str | None = None) -> Running:
        """Start a command; what it submits is counted."""
        if not (self.folder / "bin").exists():
            self.wrap_sbatch(COUNTING)
        return self.pegasus.start(
            command, *arguments, hosts=hosts, queue=queue, environment=self.variables()
        )

    def run(self, command: str, *arguments: str, hosts: str, queue: str | None = None) -> Done:
        """Run a command to its end."""
        return self.start(command, *arguments, hosts=hosts, queue=queue).wait(LIMIT_OF_RUN)

    def submitted(self) -> int:
        """Count the requests that reached ``sbatch``."""
        path = self.folder / "submitted"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def allocations(self) -> list[str]:
        """Return the ids of the living allocations that Pegasus has requested."""
        names = self.cluster.run("squeue", "--noheader", "--format=%i %j")
        return [line.split()[0] for line in names.splitlines() if " pegasus-" in line]

    def wait_for_none(self) -> None:
        """Wait until no allocation is left."""
        wait_until(lambda: not self.allocations(), what="the end of the allocations", glance=0.2)

    def noted(self) -> list[str]:
        """Return what the jobs have noted: a line for each start."""
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def wait_noted(self, count: int) -> None:
        """Wait until so many jobs have begun."""
        wait_until(lambda: len(self.noted()) >= count, limit=LIMIT_OF_RUN, what=f"{count} jobs")

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Have another allocation that occupies all nodes."""
        self.cluster.run("salloc", "--no-shell", "--nodes=3", "--exclusive", "--job-name=busy")
        try:
            yield
        finally:
            self.cluster.run("scancel", "--name=busy")


def noting(seconds: float | str, count: int, folder: Path) -> str:
    """Return a queue of jobs that note their start, and sleep."""
    numbers = ", ".join(map(str, range(count)))
    return f'- command: "echo {{{{ i }}}} >> {folder}/notes; sleep {seconds}"\n  i: [{numbers}]\n'


def alive(name: int) -> list[str]:
    """Return the command lines of living processes of ``sleep NAME``."""
    return [p.command for p in everything() if p.alive and p.command == f"sleep {name}"]
