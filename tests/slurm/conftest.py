"""Fixtures: one cluster for all tests, and Pegasus in an allocation of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.daemons import Cluster, start_cluster, why_no_cluster
from tests.e2e.runner import LIMIT, Done, Pegasus, Running, own_environment
from tests.nodes import Nodes, start_nodes
from tests.slurm.requested import Requesting


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of three nodes with four GPUs each."""
    if why := why_no_cluster():
        pytest.exit(f"a Slurm cluster cannot be started: {why}", returncode=4)
    with start_cluster() as started:
        yield started


@pytest.fixture(scope="session")
def ssh_nodes() -> Iterator[Nodes]:
    """One sshd on this machine, for runs that use both."""
    with start_nodes(1, way="local", say=lambda _: None) as started:
        yield started


@dataclass(frozen=True, slots=True)
class Inside:
    """Pegasus in an allocation.

    Attributes:
        pegasus: the command, with a folder of its own.
        variables: the environment of the allocation.
    """

    pegasus: Pegasus
    variables: dict[str, str]

    def start(self, command: str, *arguments: str, hosts: str, queue: str) -> Running:
        """Start a command in the allocation."""
        return self.pegasus.start(
            command, *arguments, hosts=hosts, queue=queue, environment=self.variables
        )

    def run(self, command: str, *arguments: str, hosts: str, queue: str) -> Done:
        """Run a command in the allocation to its end."""
        return self.start(command, *arguments, hosts=hosts, queue=queue).wait(LIMIT)


@pytest.fixture
def pegasus(ssh_nodes: Nodes) -> Iterator[Pegasus]:
    """Pegasus with a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="pegasus-slurm-") as folder:
        made = Pegasus(Path(folder), ssh_nodes, own_environment(Path(folder)))
        yield made
        made.end()


@pytest.fixture
def inside(cluster: Cluster, pegasus: Pegasus) -> Iterator[Inside]:
    """Pegasus in an allocation of two nodes with two GPUs each."""
    with cluster.allocation("--nodes=2", "--gpus-per-node=2") as variables:
        home = {"HOME": pegasus.environment["HOME"]}
        yield Inside(pegasus, {**variables, **home})


@pytest.fixture
def requesting(cluster: Cluster, pegasus: Pegasus) -> Iterator[Requesting]:
    """Pegasus outside an allocation; a test leaves none behind."""
    made = Requesting(pegasus, cluster)
    yield made
    pegasus.end()
    cluster.run("scancel", "--user=root")
    made.wait_for_none()
