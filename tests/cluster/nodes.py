"""Nodes of a Slurm cluster in place of sshds, for the end-to-end tests of runs in an allocation.

Each has a home of its own, which the cluster's prolog gives to the steps on it. Pegasus reaches
them with ``slurm: {}``: `SlurmNodes.translate` rewrites the hosts files of the tests, and gives the
variables of an allocation that has the same nodes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cluster.daemons import Cluster, kill_daemon, start_cluster, start_node
from tests.cluster.hosts import translate
from tests.nodes import Node, Nodes, NodesFault, Process
from tests.nodes.node import ANSWERING, Plan
from tests.nodes.processes import end, kill
from tests.nodes.run import marker, processes_of, steps_of

OF_SLURM = frozenset({"slurmd", "slurmstepd"})
PASSED_ON = ("PATH", "SLURM_CONF", "SLURM_JOB_ID", "SLURM_JOB_NODELIST")


class SlurmNode(Node):
    """A node of a cluster, with a home of its own."""

    def __init__(self, plan: Plan, cluster: Cluster, ssh_config: Path) -> None:
        super().__init__(plan, address="127.0.0.1", port=0, user="root", ssh_config=ssh_config)
        self._cluster = cluster
        self.home.mkdir(parents=True)

    def log(self) -> str:
        """Return the log of slurmd."""
        path = self._cluster.folder / f"slurmd-{self.name}.log"
        return path.read_text(encoding="utf-8", errors="replace")

    def connections(self) -> int:
        """Count the steps that were started on the node, which stand for connections."""
        return self.log().count("launch task StepId=")

    def processes(self, among: Sequence[Process] | None = None) -> list[Process]:
        """Return the processes of commands on the node, zombies included."""
        return [process for process in self._everything(among) if process.name not in OF_SLURM]

    def sshds(self) -> list[Process]:
        """Return what stands for an sshd that serves a connection: the slurmstepds."""
        return steps_of(self._cluster.folder / f"slurmd-{self.name}.log")

    def run(self, script: str, *, limit: float = ANSWERING) -> str:
        """Run a script on the node: as it is on this machine, in the home of the node."""
        name, _, value = marker(self._cluster.folder.parent, self.name).partition("=")
        done = subprocess.run(
            ["sh", "-s"],
            input=script,
            cwd=self.home,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.home), name: value},
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise NodesFault(f"{self.name}: exit status {done.returncode}: {done.stderr}")
        return done.stdout

    def kill(self) -> None:
        """Kill slurmd, the steps and every command on the node with SIGKILL."""
        kill_daemon(self._cluster, self.name)
        end(lambda: [*self.sshds(), *self._everything()], kill, what=self.name)

    def start(self) -> None:
        """Start slurmd again."""
        start_node(self._cluster, self.name)

    def stop_listening(self) -> None:
        """End slurmd, as its restart does: steps continue."""
        kill_daemon(self._cluster, self.name)

    def cut(self) -> None:
        """Refuse: the loopback interface cannot be disconnected."""
        raise NotImplementedError

    def heal(self) -> None:
        """Refuse, as `cut` does."""
        raise NotImplementedError

    def _everything(self, among: Sequence[Process] | None = None) -> list[Process]:
        return processes_of(self._cluster.folder.parent, self.name, among)

    def _has_ended(self) -> bool:
        return self._cluster.daemons[self.name].poll() is not None

    def _listener(self) -> int | None:
        return self._cluster.daemons[self.name].pid


class SlurmNodes(Nodes):
    """The nodes of a cluster, with an allocation for each set of them that a test uses.

    Attributes:
        cluster: to which they belong.
    """

    def __init__(self, cluster: Cluster, count: int, stack: ExitStack) -> None:
        folder = cluster.run_of_nodes.folder
        (folder / "ssh_config").touch()
        made: list[Node] = []
        for name in names_of_nodes(count):
            plan = Plan(name, "sh", folder / name, ())
            made.append(SlurmNode(plan, cluster, folder / "ssh_config"))
        super().__init__(made, way="local", why="nodes: those of a Slurm cluster", folder=folder)
        self.cluster = cluster
        self._stack = stack
        self._allocations: dict[tuple[str, ...], dict[str, str]] = {}

    def translate(self, hosts: str) -> tuple[str, dict[str, str]]:
        """Return a hosts file with ``slurm: {}`` for nodes, and the variables of the allocation."""
        text, nodes = translate(hosts, {node.name for node in self})
        if not nodes:
            return text, {}
        if nodes not in self._allocations:
            options = (f"--nodes={len(nodes)}", f"--nodelist={','.join(nodes)}")
            found = self._stack.enter_context(self.cluster.allocation(*options))
            self._allocations[nodes] = {name: found[name] for name in PASSED_ON}
        return text, self._allocations[nodes]


def names_of_nodes(count: int) -> list[str]:
    """Return the names of test nodes."""
    return [f"node-{number}" for number in range(1, count + 1)]


@contextmanager
def start_slurm_nodes(count: int) -> Iterator[SlurmNodes]:
    """Start a cluster with this many nodes; everything is removed afterwards."""
    with start_cluster(names_of_nodes(count)) as cluster, ExitStack() as stack:
        yield SlurmNodes(cluster, count, stack)
