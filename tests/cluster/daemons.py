"""A Slurm cluster on loopback: munged, slurmctld, and a slurmd for each node.

All of it is in the folder of a run of test nodes, and carries the run's mark in its environment:
the run's guardian removes it, also where the tests are killed.

Rule 1: only root can have one: slurmd starts processes as the user of the job.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.nodes.processes import ENDING
from tests.nodes.run import MARKER, Run, id_of, marker
from tests.nodes.waiting import wait_until

NODES = ("c1", "c2", "c3")
UP = 30.0  # seconds for all nodes to be idle; it took 3
ANSWER = 120.0  # seconds for a command of Slurm; salloc waits for nodes, once for 65

CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={munge}/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=1
SlurmdTimeout=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes={names} Default=YES PreemptMode=CANCEL State=UP
PartitionName=requeued Nodes={names} PreemptMode=REQUEUE State=UP
PartitionName=urgent Nodes={names} PriorityTier=10 PreemptMode=OFF State=UP
"""

PROLOG = """\
#!/bin/sh
# The guardian finds what is left by its mark.
echo "export {marker}"
# A node with a home has it as in a cluster without shared homes, and its programs come first.
home={runs}/$SLURMD_NODENAME/home
[ -d "$home" ] || exit 0
echo "export HOME=$home"
echo "export PATH=$home/bin:$PATH"
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster.

    Attributes:
        folder: contains its files.
        run_of_nodes: the run of test nodes to which it belongs.
        environment: for the programs of Slurm, and for what is started in an allocation.
        daemons: its daemons by name: ``slurmctld``, ``c1`` and so on.
    """

    run_of_nodes: Run
    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *words: str) -> str:
        """Run a program of Slurm, and return what it printed."""
        done = subprocess.run(
            words,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{words[0]} failed: {done.stderr}")
        return done.stdout

    @contextmanager
    def allocation(self, *options: str) -> Iterator[dict[str, str]]:
        """Have an allocation; give the environment of what runs in it."""
        name = f"test-{secrets.token_hex(4)}"
        self.run("salloc", "--no-shell", f"--job-name={name}", *options)
        job = self.run("squeue", "--noheader", f"--name={name}", "--format=%i").strip()
        try:
            nodes = self.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
            yield {**self.environment, "SLURM_JOB_ID": job, "SLURM_JOB_NODELIST": nodes}
        finally:
            with suppress(AssertionError):  # a test may have ended it
                self.run("scancel", job)


def why_no_cluster() -> str:
    """Return why there can be no cluster here; empty if there can be one."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "srun") if not _program(name)]
    if missing:
        return f"not installed here: {', '.join(missing)}"
    return "" if os.getuid() == 0 else "slurmd needs root"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


@contextmanager
def start_cluster(nodes: Sequence[str] = NODES) -> Iterator[Cluster]:
    """Start a cluster; everything is removed afterwards."""
    with Run.begin() as run:
        folder = run.folder / "slurm"
        environment = {
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "HOME": str(run.folder),
            MARKER: f"{id_of(run.folder)}/slurm/",
            "SLURM_CONF": f"{folder}/slurm.conf",
        }
        run.folder.chmod(0o711)  # munged is another user
        _write_configuration(folder, nodes)
        cluster = Cluster(run, folder, environment)
        _start_all(cluster, nodes)
        yield cluster


def _write_configuration(folder: Path, nodes: Sequence[str]) -> None:
    for name in ("", "state", "spool", "munge"):
        (folder / name).mkdir(mode=0o711)
    port, *ports = _free_ports(1 + len(nodes))
    lines = [
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={each} CPUs=8 Gres=gpu:4 "
        f"Feature={('odd', 'even')[index % 2]},all"
        for index, (name, each) in enumerate(zip(nodes, ports, strict=True))
    ]
    text = CONFIGURATION.format(
        port=port,
        folder=folder,
        munge=folder / "munge",
        nodes="\n".join(lines),
        names=",".join(nodes),
    )
    (folder / "slurm.conf").write_text(text)
    prolog = folder / "prolog"
    mark = marker(folder.parent, "$SLURMD_NODENAME")
    prolog.write_text(PROLOG.format(runs=folder.parent, marker=mark))
    prolog.chmod(0o755)
    devices = "/dev/null,/dev/zero,/dev/full,/dev/random"
    gres = f"NodeName={','.join(nodes)} Name=gpu File={devices}\n"
    (folder / "gres.conf").write_text(gres)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    for path in (folder / "munge", key):
        shutil.chown(path, "munge", "munge")


def _free_ports(count: int) -> list[int]:
    """Return ports that are unused at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _start_all(cluster: Cluster, nodes: Sequence[str]) -> None:
    munge = cluster.folder / "munge"
    files = [
        f"--{name}-file={munge}/{file}"
        for name, file in (("key", "key"), ("pid", "pid"), ("log", "log"), ("seed", "seed"))
    ]
    as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    _start(cluster, "munged", [*as_munge, "munged", "-F", f"--socket={munge}/socket", *files])
    wait_until((munge / "socket").exists, what="munged")
    start_controller(cluster)
    for name in nodes:
        start_node(cluster, name)
    wait_idle(cluster, nodes)


def wait_idle(cluster: Cluster, nodes: Sequence[str]) -> None:
    """Wait until nodes are idle, as Slurm sees them."""

    def all_idle() -> bool:
        with suppress(AssertionError):
            listed = cluster.run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
            return {f"{name} idle" for name in nodes} <= set(map(str.strip, listed))
        return False

    wait_until(all_idle, limit=UP, what="the nodes of the Slurm cluster", glance=0.1)


def start_controller(cluster: Cluster) -> None:
    """Start slurmctld."""
    _start(cluster, "slurmctld", ["slurmctld", "-D"])


def start_node(cluster: Cluster, name: str) -> None:
    """Start the slurmd of a node."""
    _start(cluster, name, ["slurmd", "-D", "-N", name])


def _start(cluster: Cluster, name: str, argv: Sequence[str]) -> None:
    with (cluster.folder / f"{name}.out").open("ab") as out:
        daemon = subprocess.Popen(
            argv,
            env=cluster.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    cluster.run_of_nodes.children.append(daemon)
    cluster.daemons[name] = daemon


def kill_daemon(cluster: Cluster, name: str) -> None:
    """Kill a daemon with SIGKILL."""
    cluster.daemons[name].kill()
    cluster.daemons[name].wait(ENDING)
