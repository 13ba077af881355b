"""``python -m benchmarks.slurm``: jobs over srun's shells, compared with other ways on one machine.

In each round the same number of jobs ``true`` runs over shells on three nodes of a Slurm cluster,
over ssh on three sshds, with ``srun`` for each job, three at once, and as a job array. The cluster
and the sshds are on this machine; as root. Only the ratios mean anything. With ``--only-ssh`` the
two that are to be equal have their turns directly one after the other.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import say
from benchmarks.rounds import Contestant, Values, play
from benchmarks.running import Failed, wait_until
from tests.cluster.daemons import Cluster, start_cluster
from tests.nodes import Nodes, start_nodes, use_default_exchange

WIDTH = 3
SHELLS, SSH, SRUN, ARRAY = "shells on Slurm", "ssh", "`srun` per job", "job array"
LIMIT = 600.0  # seconds for the slowest of them
SETTLED = 0.2
ARRAY_NAME = "bench-array"


@dataclass(frozen=True, slots=True)
class Work:
    """The work.

    Attributes:
        cluster: the Slurm cluster.
        inside: the environment of an allocation of all of its nodes.
        nodes: as many sshds.
        jobs: how many jobs.
    """

    cluster: Cluster
    inside: Mapping[str, str]
    nodes: Nodes
    jobs: int

    def shells(self) -> Values:
        """Run the queue in the allocation."""
        return self._queue("- slurm: {}\n", [], self.inside)

    def ssh(self) -> Values:
        """Run the queue on the sshds."""
        hosts = "".join(f"- {node.name}\n" for node in self.nodes)
        return self._queue(hosts, ["--ssh-config", str(self.nodes.ssh_config)], {})

    def _queue(self, hosts: str, options: list[str], env: Mapping[str, str]) -> Values:
        """Measure from the moment at which all are connected to the end of the last job."""
        folder = Path(tempfile.mkdtemp(prefix="pgb-"))
        try:
            (folder / "hosts.yaml").write_text(hosts, encoding="ascii")
            subject.write_queue(folder, self.jobs)
            _, journal = subject.run_queue_connected(folder, None, WIDTH, env, options)
        finally:
            shutil.rmtree(folder)
        subject.must_have(journal, self.jobs + WIDTH)
        began = journal.ended[WIDTH - 1]
        counted = sum(at > began for at in journal.ended)
        return {"jobs/s": counted / (journal.ended[-1] - began)}

    def srun(self) -> Values:
        """Start a step for each job in the same allocation, as many at once as there are nodes."""
        step = ["srun", f"--jobid={self.inside['SLURM_JOB_ID']}", "--overlap", "-N1", "-n1"]
        argv = ["xargs", "-P", str(WIDTH), "-I{}", *step, "--mem=0", "--cpu-bind=none", "true"]
        began = time.monotonic()
        done = subprocess.run(
            argv,
            input="\n".join(map(str, range(self.jobs))),
            env={**os.environ, **self.inside},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(f"srun: {done.stderr[-200:]}")
        return {"jobs/s": self.jobs / (time.monotonic() - began)}

    def array(self) -> Values:
        """Submit a job array, and wait until none of its jobs is left."""
        began = time.monotonic()
        options = (f"--array=1-{self.jobs}", "--output=/dev/null", f"--job-name={ARRAY_NAME}")
        self.cluster.run("sbatch", *options, "--wrap=true")

        def is_over() -> bool:
            with suppress(AssertionError):
                return not self.cluster.run("squeue", "--noheader", f"--name={ARRAY_NAME}").strip()
            return False

        try:
            wait_until(is_over, limit=LIMIT, what="the job array", glance=SETTLED)
        except Failed:
            self.cluster.run("scancel", f"--name={ARRAY_NAME}")  # the next round would wait for it
            raise
        return {"jobs/s": self.jobs / (time.monotonic() - began)}


def main() -> None:
    """Measure, and print the ratios: the median, the lowest and the highest."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm", description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only-ssh", action="store_true", help="compare with ssh alone")
    given = parser.parse_args()
    with (
        start_cluster() as cluster,
        start_nodes(WIDTH, way="local", say=lambda _: None) as nodes,
        # Overlapping, so that the job array has its processors at the same time.
        cluster.allocation(f"--nodes={WIDTH}", "--ntasks-per-node=1") as inside,
    ):
        use_default_exchange(nodes.ssh_config)
        work = Work(cluster, inside, nodes, given.jobs)
        contestants = [
            Contestant(SHELLS, work.shells),
            Contestant(SSH, work.ssh),
        ]
        if not given.only_ssh:
            contestants += [Contestant(SRUN, work.srun), Contestant(ARRAY, work.array)]
        played = play(contestants, given.rounds, say)
        for other in contestants[1:]:
            ratio = played.ratio((SHELLS, "jobs/s"), (other.who, "jobs/s"))
            sys.stdout.write(f"jobs/s, {SHELLS} / {other.who}: {ratio or 'not measured'}\n")


if __name__ == "__main__":
    main()
