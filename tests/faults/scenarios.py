"""The faults, and a trial of one from its start to its account."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.faults.crash import Crash, CrashPlan
from tests.faults.crash_look import REPORTED, Violation
from tests.faults.detached import make_detached
from tests.faults.hurts import (
    HELD,
    abandon_server,
    consumed_elsewhere,
    cut_node,
    fill_disk,
    freeze_node,
    freeze_pegasus,
    freeze_sshd,
    half_open,
    hold_some,
    kill_all_nodes,
    kill_masters,
    kill_node,
    kill_pegasus,
    kill_pegasus_in_a_take,
    kill_pegasus_twice,
    kill_sessions,
    move_queue,
    nothing,
    reset_connections,
    restart_sshd,
    slow_network,
    small_disk,
    stop_master,
    unreadable,
)
from tests.faults.ledger import Account, queue_text, settle
from tests.faults.stage import (
    JOBS,
    PROXIED,
    RUN_LIMIT,
    RUNS,
    SECONDS,
    SSH_CONFIG,
    Trial,
    left_behind,
    odd,
    room,
)
from tests.nodes import Nodes, WaysToAsk
from tests.nodes.proxy import Proxy

Hurt: TypeAlias = Callable[[Trial], None]
Option: TypeAlias = tuple[str, str | int]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault.

    Attributes:
        name: its name on the command line.
        words: its name in the table.
        hurt: makes the fault during a run. None for trials that do everything themselves.
        prepare: prepares the trial before the run is started.
        docker: whether it needs nodes in Docker.
        local: whether it needs nodes on loopback addresses.
        root: whether it needs root.
        proxies: whether the nodes are behind proxies.
        broadcast: whether each job runs everywhere.
        keeps: whether sshd keeps commands alive, which is counted separately.
        options: of the nodes' sshd_config.
    """

    name: str
    words: str
    hurt: Hurt | None = None
    prepare: Hurt | None = None
    docker: bool = False
    local: bool = False
    root: bool = False
    proxies: bool = False
    broadcast: bool = False
    keeps: bool = False
    options: tuple[Option, ...] = ()

    def why_not(self, nodes: Nodes) -> str:
        """Return why the fault cannot be made here; an empty text if it can."""
        if self.docker and nodes.way != "docker":
            return "needs nodes in Docker"
        return "needs root" if self.root and os.getuid() != 0 else ""

    def way(self, asked: WaysToAsk) -> WaysToAsk:
        """Return the kind of nodes for the fault."""
        return "local" if self.local else asked

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return JOBS // 3 if self.broadcast else JOBS

    @property
    def is_crash(self) -> bool:
        """Whether it is a crash trial, which has an account of its own that is stricter."""
        return self.hurt is None and not self.is_detached

    @property
    def is_detached(self) -> bool:
        """Whether it is a trial of detached commands, which has an account of its own."""
        return self.name.startswith("detached-")


SCENARIOS: Sequence[Scenario] = (
    Scenario("freeze-node", "a node is frozen, and goes on", freeze_node),
    Scenario("freeze-sshd", "only its sshd is frozen", freeze_sshd),
    Scenario("cut-node", "a node is cut off the network", cut_node, docker=True),
    Scenario("kill-node", "a node goes down, and comes up", kill_node),
    Scenario("kill-all-nodes", "all nodes go down, and come up", kill_all_nodes),
    Scenario("broadcast-kill-node", "the same in a broadcast, one node", kill_node, broadcast=True),
    Scenario("kill-sessions", "sshd's processes behind connections are killed", kill_sessions),
    Scenario("kill-masters", "Pegasus's own ssh processes are killed", kill_masters),
    Scenario("stop-master", "one of them is stopped, and goes on", stop_master),
    Scenario("slow-network", "the network is slow", slow_network, proxies=True),
    Scenario("reset", "connections are reset and refused", reset_connections, proxies=True),
    Scenario("half-open", "connections are dead, without notice", half_open, proxies=True),
    Scenario(
        "half-open-server",
        "the same, and only sshd is not told",
        abandon_server,
        prepare=hold_some,
        proxies=True,
        keeps=True,
    ),
    Scenario(
        "half-open-alive",
        "the same, with `ClientAliveInterval`",
        abandon_server,
        prepare=hold_some,
        proxies=True,
        options=(("ClientAliveInterval", 1), ("ClientAliveCountMax", 2)),
    ),
    Scenario("restart-sshd", "sshd is restarted, connections stand", restart_sshd, local=True),
    Scenario("freeze-pegasus", "Pegasus and its ssh are frozen, and go on", freeze_pegasus),
    Scenario("kill-pegasus", "`kill -9` of Pegasus", kill_pegasus),
    Scenario("kill-twice", "`kill -9`, started again, `kill -9`", kill_pegasus_twice),
    Scenario("kill-in-a-take", "`kill -9` in the middle of a take, thrice", kill_pegasus_in_a_take),
    Scenario(
        "full-disk",
        "a full disk under everything",
        lambda trial: fill_disk(trial, at=""),
        prepare=lambda trial: small_disk(trial, at=""),
        root=True,
    ),
    Scenario(
        "full-disk-consumed",
        "a full disk under `consumed.yaml`",
        lambda trial: fill_disk(trial, at="small"),
        prepare=consumed_elsewhere,
        root=True,
    ),
    Scenario(
        "full-disk-record",
        "a full disk under `.pegasus/`",
        lambda trial: fill_disk(trial, at=".pegasus", longest=0.7),
        prepare=lambda trial: small_disk(trial, at=".pegasus"),
        root=True,
    ),
    Scenario(
        "queue-gone",
        "the queue file is gone for a while",
        lambda trial: move_queue(trial, nothing),
    ),
    Scenario(
        "queue-folder", "a folder stands in its place", lambda trial: move_queue(trial, Path.mkdir)
    ),
    Scenario(
        "queue-unreadable",
        "it can't be read for a while",
        lambda trial: move_queue(trial, unreadable),
    ),
)

CRASHES: Sequence[Scenario] = (
    Scenario("crash-queue", "`kill -9` twice, put back, to the end"),
    Scenario("crash-broadcast", "the same in a broadcast"),
    Scenario("crash-pair", "the same with two Pegasus on one queue"),
)
"""The crash trials, by the kinds in their seeds."""

DETACHED: Sequence[Scenario] = (
    Scenario("detached-pegasus", "`--detach`: `kill -9` of Pegasus", local=True),
    Scenario("detached-master", "the same, of its ssh processes and local shells", local=True),
    Scenario("detached-session", "the same, of sshd's processes behind connections", local=True),
    Scenario("detached-keeper", "the same, of the keeper or of its command", local=True),
    Scenario(
        "detached-network",
        "`--detach`: the network is cut",
        local=True,
        options=(("ClientAliveInterval", 1), ("ClientAliveCountMax", 2)),
    ),
    Scenario("detached-node", "`--detach`: a node goes down, and comes up", local=True),
    Scenario("detached-again", "`--detach`: `kill -9`, and of those that take over", local=True),
    Scenario("detached-pair", "`--detach`: two Pegasus on one queue, `kill -9`", local=True),
)
"""The trials of detached commands, by what is killed. Their stops need nodes on this machine."""


# A trial from its start to its account.


def make_trial(scenario: Scenario, nodes: Nodes, home: Path, seed: str) -> Account:
    """Run one trial, and account for its jobs.

    Args:
        scenario: the fault.
        nodes: two; the trial restores them.
        home: a folder for the trial alone, with a short path.
        seed: determines what is random.
    """
    if scenario.is_crash:
        return make_crash(nodes, home, seed)
    if scenario.is_detached:
        return make_detached(nodes, home, seed)
    notes = f"notes-{secrets.token_hex(4)}"
    with room(home, nodes) as (pegasus, traces), ExitStack() as stack:
        trial = Trial(pegasus, nodes, random.Random(seed), stack)
        trial.which = trial.rng.randrange(len(nodes))
        write_files(scenario, trial, notes)
        if scenario.prepare is not None:
            scenario.prepare(trial)
        trial.start()
        if scenario.hurt is not None:
            scenario.hurt(trial)
        stuck = list(wait_for_the_end(trial))
        left = left_behind(traces, home)
        files = [node.home / notes for node in nodes]
        account = settle(trial.folder, scenario.jobs, files, everywhere=scenario.broadcast)
        account.stuck, account.orphans = stuck, left
        account.stuck += [f"a traceback: {run.stderr}" for run in trial.runs if odd(run)]
        if scenario.keeps:
            account.kept = [word for word in left if is_kept(word)]
            account.orphans = [word for word in left if not on_a_node(word)]
        for number, file in enumerate(files):
            if file.exists():
                (home / f"noted-{number}").write_bytes(file.read_bytes())
                file.unlink()
        return account


def on_a_node(word: str) -> bool:
    """Return whether something is left on a node, and not on this machine."""
    return word.startswith("on node-")


def is_kept(word: str) -> bool:
    """Return whether that is the command itself, and not its shell or its guard."""
    return on_a_node(word) and word.endswith(f": sleep {HELD}")


def write_files(scenario: Scenario, trial: Trial, notes: str) -> None:
    """Write the queue, the hosts and the ssh configuration, with proxies if required."""
    first = ""
    if scenario.proxies:
        for node in trial.nodes:
            proxy = trial.stack.enter_context(Proxy(node.address, node.port))
            trial.proxies.append(proxy)
            first += PROXIED.format(name=node.name, port=proxy.port, folder=trial.folder.parent)
    config = SSH_CONFIG.format(first=first, config=trial.nodes.ssh_config)
    (trial.folder.parent / "ssh_config").write_text(config)
    names = ", ".join(node.name for node in trial.nodes)
    trial.pegasus.hosts_file.write_text(f"- hostname: [{names}]\n  place: [a, b]\n")
    trial.pegasus.queue_file.write_text(queue_text(scenario.jobs, SECONDS, notes))
    trial.mode = "b" if scenario.broadcast else "q"


def wait_for_the_end(trial: Trial) -> Iterator[str]:
    """Wait for the run, and start others until the queue is empty; return those that hang."""
    for _ in range(RUNS):
        try:
            trial.running.wait(RUN_LIMIT)
        except AssertionError as error:
            yield str(error)
            trial.running.kill()
        if not trial.work_left():
            return
        trial.start()
    yield f"{RUNS} runs, and the queue is not empty"


def make_crash(nodes: Nodes, home: Path, seed: str) -> Account:
    """Run one crash trial; its first violation ends it, and counts in its column."""
    account = Account()
    with room(home, nodes) as (pegasus, traces):
        crash = Crash.of(pegasus, traces, CrashPlan.draw(seed))
        account.jobs = crash.look.whole.total()
        try:
            crash.make()
        except Violation as violation:
            getattr(account, violation.column).append(violation.words)
        else:
            account.ended = account.jobs
        account.reported, account.counted = crash.counted[REPORTED], crash.counted
        account.stuck += [f"a traceback: {run.stderr}" for run in pegasus.started if odd(run)]
        account.orphans += left_behind(traces, home)
    return account
