"""The setting of a trial on a Slurm cluster, and the ways in which its runs are started.

A way starts a run of the queue and waits for its end. The faults know nothing of it: they look for
the allocations of the trial by the name that all of them have.
"""

from __future__ import annotations

import random
import shlex
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.cluster.daemons import Cluster
from tests.cluster.nodes import PASSED_ON, SlurmNodes
from tests.e2e.runner import Pegasus, Running
from tests.faults.ledger import names_in
from tests.faults.trial import pass_time
from tests.nodes import NodesFault, wait_until

MOMENTS = 2.0
"""Seconds from the first job's start within which a fault may begin; the queue takes longer."""

RUN_PATIENCE = 90.0
"""Seconds for a run to end after the fault; Slurm starts a requeued job after some seconds."""

GLANCE_AT_SLURM = 0.2
"""Seconds between two questions to Slurm, each of which is a process."""


@dataclass(slots=True)
class SlurmTrial:
    """One queue on a cluster, and one fault, in a folder of its own.

    Attributes:
        nodes: of the cluster, which no other trial uses at the same time.
        pegasus: the command.
        rng: the source of what is random.
        name: of all allocations of the trial.
        way: how runs are started.
        notes: the name of the file in which jobs note on their node that they begin and end.
        runs: those that are processes of this one.
        hurt_at: when the fault began.
    """

    nodes: SlurmNodes
    pegasus: Pegasus
    rng: random.Random
    name: str
    way: Way
    notes: str
    runs: list[Running] = field(default_factory=list)
    hurt_at: float = float("inf")

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self.nodes.cluster

    @property
    def folder(self) -> Path:
        """The folder of the queue file."""
        return self.pegasus.folder

    @property
    def hold(self) -> Path:
        """While this file is there, jobs that begin do not end."""
        return self.folder / "hold"

    def allocations(self) -> dict[str, str]:
        """Return the states of the trial's allocations that Slurm has not forgotten, by id."""
        listed = self.cluster.run(
            "squeue", "--noheader", f"--name={self.name}", "--format=%i %T", "--states=all"
        )
        found = dict(line.split() for line in listed.splitlines())
        return {job: state for job, state in found.items() if state in LIVING}

    def allocation(self) -> str:
        """Return the id of the trial's living allocation."""
        (job,) = self.allocations()
        return job

    def wait_for_a_moment(self) -> None:
        """Wait until jobs run, and then for a random time; the fault begins."""
        notes = [node.home / self.notes for node in self.nodes]
        wait_until(lambda: any(map(Path.exists, notes)), limit=RUN_PATIENCE, what="a job")
        pass_time(self.rng.uniform(0, MOMENTS))
        self.hurt_at = time.time()

    def wait_for_slurm(self, job: str) -> None:
        """Wait until an allocation has ended, or is to be started once more."""
        wait_until(
            lambda: self.allocations().get(job) != "RUNNING",
            limit=RUN_PATIENCE,
            what="the end of the allocation",
            glance=GLANCE_AT_SLURM,
        )

    def work_left(self) -> bool:
        """Return whether jobs wait in the queue file."""
        return bool(names_in(self.pegasus.queue_file))

    def arguments(self) -> list[str]:
        """Return the options of a run."""
        return ["q", *self.pegasus.files(), "--retries=0"]

    def release(self) -> None:
        """Cancel the trial's allocations."""
        with suppress(AssertionError):  # it has just ended
            self.cluster.run("scancel", f"--name={self.name}")


LIVING = frozenset({"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "SUSPENDED"})
"""The states of allocations that have not ended."""


class Way(Protocol):
    """How the runs of a trial are started."""

    @property
    def hosts(self) -> str:
        """The hosts file."""

    def start(self, trial: SlurmTrial) -> None:
        """Start a run of the queue."""

    def wait(self, trial: SlurmTrial) -> str:
        """Wait until the run has ended, once the fault is over; return why it has not."""


ON_ALLOCATION = "- slurm: {}\n  place: [a, b]\n"


@dataclass(frozen=True, slots=True)
class InShell:
    """As from the shell of an ``salloc``: Pegasus is no process of the allocation."""

    options: Sequence[str] = ("--nodes=2",)
    hosts: str = ON_ALLOCATION

    def start(self, trial: SlurmTrial) -> None:
        """Have an allocation, and start Pegasus in it."""
        cluster = trial.cluster
        cluster.run("salloc", "--no-shell", f"--job-name={trial.name}", *self.options)
        job = trial.allocation()
        nodes = cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
        variables = {"SLURM_JOB_ID": job, "SLURM_JOB_NODELIST": nodes}
        ours = {name: cluster.environment[name] for name in PASSED_ON if name not in variables}
        running = trial.pegasus.start_bare(*trial.arguments(), environment={**ours, **variables})
        trial.runs.append(running)

    def wait(self, trial: SlurmTrial) -> str:
        """Wait for the run; where it has no allocation any more, end it as a user does."""
        running = trial.runs[-1]

        def over() -> bool:
            return running.status is not None or "RUNNING" not in trial.allocations().values()

        try:
            wait_until(over, limit=RUN_PATIENCE, what="the run", glance=GLANCE_AT_SLURM)
            if running.status is None:
                running.signal(signal.SIGINT)
            running.wait(RUN_PATIENCE)
        except (AssertionError, NodesFault) as error:
            running.kill()
            return f"{error}\n{running.stderr}"
        finally:
            trial.release()
        return ""


@dataclass(frozen=True, slots=True)
class InBatch:
    """As the script of an ``sbatch``: Pegasus ends with the allocation."""

    options: Sequence[str] = ("--nodes=2",)
    hosts: str = ON_ALLOCATION

    def start(self, trial: SlurmTrial) -> None:
        """Submit a script that becomes Pegasus."""
        argv = [*trial.pegasus.program, *trial.arguments()]
        script = trial.folder.parent / "script"
        exports = "".join(
            f"export {name}={shlex.quote(value)}\n"
            for name, value in trial.pegasus.environment.items()
            if name != "PATH"
        )
        script.write_text(f"#!/bin/sh\n{exports}exec {shlex.join(argv)}\n")
        said = trial.folder.parent / "said-by-batch"
        options = (f"--job-name={trial.name}", f"--chdir={trial.folder}", f"--output={said}")
        more = ("--open-mode=append", "--export=ALL", *self.options, str(script))
        trial.cluster.run("sbatch", *options, *more)

    def wait(self, trial: SlurmTrial) -> str:
        """Wait for the end of the batch job; let one that was requeued start at once."""

        def over() -> bool:
            found = trial.allocations()
            for job, state in found.items():
                if state == "PENDING":
                    with suppress(AssertionError):  # it is being started
                        trial.cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")
            return not found

        try:
            wait_until(over, limit=RUN_PATIENCE, what="the batch job", glance=GLANCE_AT_SLURM)
        except NodesFault as error:
            trial.release()
            return str(error)
        return ""


@dataclass(frozen=True, slots=True)
class Requested:
    """Pegasus requests the allocation itself.

    Attributes:
        options: of the entry in the hosts file.
        wrapper: a program before the ``sbatch`` of Slurm; empty for none.
    """

    options: str = "nodes: 2, time: 20m"
    wrapper: str = ""

    @property
    def hosts(self) -> str:
        """The hosts file."""
        return f"- slurm: {{{self.options}}}\n  place: [a, b]\n"

    def start(self, trial: SlurmTrial) -> None:
        """Start Pegasus; the allocation gets the name that it has chosen."""
        ours = {name: trial.cluster.environment[name] for name in ("PATH", "SLURM_CONF")}
        if self.wrapper:
            ours["PATH"] = f"{put_sbatch(trial.folder.parent, self.wrapper)}:{ours['PATH']}"
        running = trial.pegasus.start_bare(*trial.arguments(), environment=ours)
        trial.runs.append(running)
        wait_until(lambda: name_of_request(trial.folder), limit=RUN_PATIENCE, what="a request")
        trial.name = name_of_request(trial.folder)

    def wait(self, trial: SlurmTrial) -> str:
        """Wait for the run, which ends when the queue is empty; return why it has not."""
        running = trial.runs[-1]
        try:
            running.wait(RUN_PATIENCE)
        except AssertionError as error:
            running.kill()
            return str(error)
        return ""


def name_of_request(folder: Path) -> str:
    """Return the name of the allocation that a run on this queue requests; empty before that."""
    for lock in folder.glob(".pegasus/slurm-*.lock"):
        if words := lock.read_text().split():
            return words[0]
    return ""


def put_sbatch(folder: Path, text: str) -> Path:
    """Write a program that takes the place of ``sbatch``; return the folder for the PATH.

    Args:
        folder: of the trial.
        text: the program; ``@SBATCH@`` is the one of Slurm, ``@FOLDER@`` the folder.
    """
    real = shutil.which("sbatch") or "sbatch"
    path = folder / "bin" / "sbatch"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace("@FOLDER@", str(folder)).replace("@SBATCH@", real))
    path.chmod(0o755)
    return path.parent
