"""Faults of a Slurm cluster at random moments of a run, and a trial of one of them.

Each fault waits for its moment, begins, and ends before it returns.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.cluster.daemons import kill_daemon, start_controller, start_node, wait_idle
from tests.cluster.nodes import SlurmNodes
from tests.faults.ledger import Account, Told, journals, settle, told_by
from tests.faults.stage import ORPHAN_LIMIT, left_behind, odd, room
from tests.faults.trial import pass_time, read
from tests.nodes import NodesFault, wait_until
from tests.nodes.run import steps_of
from tests.slurm.requested import SENT_AND_LOST
from tests.slurm.ways import (
    GLANCE_AT_SLURM,
    RUN_PATIENCE,
    InBatch,
    InShell,
    Requested,
    SlurmTrial,
    Way,
)

Harm: TypeAlias = Callable[[SlurmTrial], None]

JOBS_OF_TRIAL = 24
SECONDS_OF_JOB = 0.4
"""A job's length: with four sub-nodes a queue takes about three seconds, in which faults occur."""

MOST_RUNS = 6
"""Runs until the queue is empty."""

CERTAIN = 1.0
"""Seconds between the end of a job and the fault, from which on the end must be in the record."""

COMMAND = (
    "echo '{{ n }} '$PEGASUS_SUB_NODE begin >> ~/NOTES; sleep SECONDS; "
    "while [ -e HOLD ]; do sleep 0.1; done; "
    "date '+{{ n }} %s.%N' >> ~/NOTES-times; echo '{{ n }} '$PEGASUS_SUB_NODE end >> ~/NOTES"
)


# Faults.


def cancel(trial: SlurmTrial) -> None:
    """Cancel the allocation."""
    trial.wait_for_a_moment()
    trial.cluster.run("scancel", trial.allocation())


def kill_controller(trial: SlurmTrial) -> None:
    """Kill slurmctld, and start it again; it knows what it has saved, some seconds ago."""
    trial.wait_for_a_moment()
    wait_saved(trial)
    kill_daemon(trial.cluster, "slurmctld")
    pass_time(trial.rng.uniform(0, 3))
    start_controller(trial.cluster)

    def answers() -> bool:
        with suppress(AssertionError):
            trial.allocations()
            return True
        return False

    wait_until(answers, limit=RUN_PATIENCE, what="slurmctld", glance=GLANCE_AT_SLURM)


def wait_saved(trial: SlurmTrial) -> None:
    """Wait until slurmctld has saved its jobs; the jobs of the trial that begin last until then."""
    trial.hold.touch()
    state, now = trial.cluster.folder / "state" / "job_state", time.time()
    try:
        # It saves what has changed, and so something has to.
        trial.cluster.run("scontrol", "update", f"JobId={trial.allocation()}", "Nice=1")
        wait_until(
            lambda: state.exists() and state.stat().st_mtime > now,
            limit=RUN_PATIENCE,
            what="the state of slurmctld",
        )
    finally:
        trial.hold.unlink()
    trial.hurt_at = time.time()


def kill_slurmd(trial: SlurmTrial) -> None:
    """Kill the slurmd of a node, and start it again; steps live on."""
    trial.wait_for_a_moment()
    name = trial.rng.choice(list(trial.nodes)).name
    kill_daemon(trial.cluster, name)
    pass_time(trial.rng.uniform(0, 3))
    start_node(trial.cluster, name)


def kill_slurm_node(trial: SlurmTrial) -> None:
    """Kill all of a node, as in a power cut, until slurmctld sees it; then start it again."""
    trial.wait_for_a_moment()
    trial.hold.touch()
    job = trial.allocation()
    node = trial.rng.choice(list(trial.nodes))
    node.kill()
    try:
        trial.wait_for_slurm(job)
    finally:
        trial.hold.unlink()
        node.start()


def reach_the_limit(trial: SlurmTrial) -> None:
    """Let the time limit end the allocation; Slurm looks every 30 seconds."""
    trial.wait_for_a_moment()
    trial.hold.touch()
    job = trial.allocation()
    trial.cluster.run("scontrol", "update", f"JobId={job}", "EndTime=now+1")
    try:
        trial.wait_for_slurm(job)
    finally:
        trial.hold.unlink()


def preempt(trial: SlurmTrial) -> None:
    """Let a more urgent job take the nodes."""
    trial.wait_for_a_moment()
    job = trial.allocation()
    wanted = ("--partition=urgent", "--exclusive", f"--nodes={len(trial.nodes)}")
    trial.cluster.run("sbatch", *wanted, "--output=/dev/null", "--wrap=sleep 1")
    trial.wait_for_slurm(job)


def requeue(trial: SlurmTrial) -> None:
    """Requeue the batch job."""
    trial.wait_for_a_moment()
    job = trial.allocation()
    trial.cluster.run("scontrol", "requeue", job)
    trial.wait_for_slurm(job)


def kill_requester(trial: SlurmTrial) -> None:
    """Kill Pegasus; a run that starts afterwards finds the allocation."""
    trial.wait_for_a_moment()
    trial.runs[-1].kill()
    pass_time(trial.rng.uniform(0, 3))
    trial.way.start(trial)


def nothing(trial: SlurmTrial) -> None:
    """Make no fault but that of the way in which the run is started."""
    trial.wait_for_a_moment()


@dataclass(frozen=True, slots=True)
class SlurmScenario:
    """A fault, and how the run is started that it meets.

    Attributes:
        name: its name on the command line.
        words: its name in the table.
        way: how runs are started.
        harm: makes the fault.
    """

    name: str
    words: str
    way: Way
    harm: Harm


SHELL, BATCH = InShell(), InBatch()
REQUEUED = InBatch(("--nodes=2", "--partition=requeued", "--requeue"))

OWN, TOO_LATE = Requested(), Requested(wrapper=SENT_AND_LOST)

ON_A_CLUSTER: Sequence[SlurmScenario] = (
    SlurmScenario("scancel", "`scancel` of the allocation", SHELL, cancel),
    SlurmScenario("scancel-batch", "the same, Pegasus in a batch job", BATCH, cancel),
    SlurmScenario("controller", "slurmctld is killed, and started again", SHELL, kill_controller),
    SlurmScenario("controller-batch", "the same, Pegasus in a batch job", BATCH, kill_controller),
    SlurmScenario("slurmd", "a slurmd is killed, and started again", SHELL, kill_slurmd),
    SlurmScenario("node", "a node goes down, and comes up", SHELL, kill_slurm_node),
    SlurmScenario("limit", "the time limit is reached", SHELL, reach_the_limit),
    SlurmScenario("limit-batch", "the same, Pegasus in a batch job", BATCH, reach_the_limit),
    SlurmScenario("preempt", "preemption, `PreemptMode=CANCEL`", SHELL, preempt),
    SlurmScenario("preempt-batch", "the same, Pegasus in a batch job", BATCH, preempt),
    SlurmScenario("preempt-requeue", "preemption, `PreemptMode=REQUEUE`", REQUEUED, preempt),
    SlurmScenario("requeue", "`scontrol requeue` of the batch job", REQUEUED, requeue),
    SlurmScenario("req-scancel", "requested: `scancel` of the allocation", OWN, cancel),
    SlurmScenario("req-controller", "requested: slurmctld is killed", OWN, kill_controller),
    SlurmScenario("req-slurmd", "requested: a slurmd is killed", OWN, kill_slurmd),
    SlurmScenario("req-node", "requested: a node goes down, and comes up", OWN, kill_slurm_node),
    SlurmScenario("req-limit", "requested: the time limit is reached", OWN, reach_the_limit),
    SlurmScenario("req-preempt", "requested: preemption", OWN, preempt),
    SlurmScenario("req-sbatch", "requested: `sbatch` times out too late", TOO_LATE, nothing),
    SlurmScenario("req-kill", "requested: Pegasus is killed", OWN, kill_requester),
)


# A trial from its start to its account.


def make_slurm_trial(scenario: SlurmScenario, nodes: SlurmNodes, home: Path, seed: str) -> Account:
    """Run one trial, and account for its jobs.

    Args:
        scenario: the fault.
        nodes: two; the trial restores them.
        home: a folder for the trial alone.
        seed: determines what is random.
    """
    token = secrets.token_hex(4)
    with room(home, nodes) as (pegasus, traces):
        rng, name = random.Random(seed), f"trial-{token}"
        trial = SlurmTrial(nodes, pegasus, rng, name, scenario.way, f"notes-{token}")
        numbers = ", ".join(map(str, range(JOBS_OF_TRIAL)))
        command = COMMAND.replace("NOTES", trial.notes).replace("HOLD", str(trial.hold))
        command = command.replace("SECONDS", str(SECONDS_OF_JOB))
        pegasus.hosts_file.write_text(trial.way.hosts)
        pegasus.queue_file.write_text(f"- command: |\n    {command}\n  n: [{numbers}]\n")
        trial.way.start(trial)
        try:
            scenario.harm(trial)
            stuck = list(run_to_the_end(trial))
            left = left_behind(traces, home) + left_on_cluster(trial)
            account = account_of(trial)
            account.stuck = stuck + [f"a traceback: {r.stderr}" for r in trial.runs if odd(r)]
            account.orphans = left
        finally:
            trial.release()
            keep_notes(trial, home)
        wait_idle(trial.cluster, [node.name for node in nodes])
        return account


def run_to_the_end(trial: SlurmTrial) -> Iterator[str]:
    """Wait for the run, and start others until the queue is empty; return those that hang."""
    for _ in range(MOST_RUNS):
        if words := trial.way.wait(trial):
            yield words
        if not trial.work_left():
            return
        trial.way.start(trial)
    yield f"{MOST_RUNS} runs, and the queue is not empty"


def left_on_cluster(trial: SlurmTrial) -> list[str]:
    """Return the allocations and the slurmstepds that are left."""

    def left() -> list[str]:
        steps = steps_of(trial.cluster.folder)
        return [f"allocation {job}: {state}" for job, state in trial.allocations().items()] + [
            f"{process.command}" for process in steps
        ]

    with suppress(NodesFault):
        wait_until(lambda: not left(), limit=ORPHAN_LIMIT, what="nothing", glance=GLANCE_AT_SLURM)
    return left()


def account_of(trial: SlurmTrial) -> Account:
    """Account for each job, as for runs over SSH; in addition, no certain end may be lost."""
    files = [node.home / trial.notes for node in trial.nodes]
    account = settle(trial.folder, JOBS_OF_TRIAL, files, everywhere=False)
    told: dict[str, Told] = defaultdict(Told)
    for events in journals(trial.folder):
        told_by(events, told)
    ends = dict(end_times(files))
    for name, about in told.items():
        unknown = {"lost", "died", "not_started"}.intersection(about.outcomes)
        before = trial.hurt_at - ends.get(name, float("inf"))
        if unknown and before > CERTAIN:
            words = f"{name} ended {before:.1f} s before the fault, and is told {about.outcomes}"
            account.wrong.append(words)
        account.counted["lost that had ended"] += bool(unknown) and name in ends
        account.counted["told as killed"] += "killed" in about.outcomes
    return account


def end_times(files: Sequence[Path]) -> Iterator[tuple[str, float]]:
    """Yield when jobs ended, by their own clocks."""
    for path in files:
        times = path.with_name(f"{path.name}-times")
        for line in (read(times) or b"").decode().splitlines():
            name, at = line.split()
            yield name, float(at)


def keep_notes(trial: SlurmTrial, home: Path) -> None:
    """Move the notes of the jobs into the folder of the trial."""
    for node, suffix in ((node, suffix) for node in trial.nodes for suffix in ("", "-times")):
        file = node.home / f"{trial.notes}{suffix}"
        with suppress(FileNotFoundError):
            (home / f"{node.name}{suffix}").write_bytes(file.read_bytes())
            file.unlink()
