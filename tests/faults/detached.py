"""One trial of detached commands: a fault, and then runs that follow until nothing is left.

Rule 1: what is random comes from the seed; its last part chooses the line of the launch in turn.
Rule 2: only processes that were identified as this trial's are ended, one by one.
"""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from tests.e2e.leftovers import Traces
from tests.e2e.runner import Pegasus, Running
from tests.faults import detached_program
from tests.faults.detached_look import DetachedLook, left_folders, queue_text, stories
from tests.faults.detached_program import all_stops
from tests.faults.ledger import Account, names_in
from tests.faults.stage import PROXIED, RUN_LIMIT, SSH_CONFIG, left_behind, odd, room
from tests.faults.trial import Mode, pass_time
from tests.nodes import Nodes, NodesFault, Process, wait_until
from tests.nodes.processes import everything
from tests.nodes.proxy import Proxy

Victim: TypeAlias = Literal[
    "pegasus", "master", "session", "keeper", "network", "node", "again", "pair"
]
When: TypeAlias = Literal["line", "time", "call"]

PLACES = (
    "- localhost\n- hostname: [node-1, node-2]\n",
    "- hostname: [node-1, node-2]\n  place: [a, b]\n",
    "- hostname: localhost\n  place: [a, b]\n",
    "- localhost\n- node-1\n",
)

JOBS: dict[Mode, int] = {"q": 8, "b": 3}

REACH_LIMIT = 4.0
"""Seconds for a run to come to the line of a stop: it connects in less than one."""

MOMENTS = 1.6
"""Seconds from the start of a run within which a fault at a random moment begins."""

CALLS = 6000
"""Calls of functions until a run is over, about: one of them is the last one of a run."""

FOLLOWS = 8
"""Maximum of runs until nothing is left; the first half of them may take nothing (``attach``)."""


@dataclass(frozen=True, slots=True)
class DetachedPlan:
    """The plan of a trial, which follows from the seed.

    Attributes:
        seed: the seed.
        victim: what is killed or cut.
        mode: of the first run.
        place: where the commands run.
        when: whether the fault is at a line of a script, at a call, or at a random time.
        stop: the script and its line.
        calls: the number of the call.
        after: seconds before a fault at a random time.
        late: seconds after the start of the next run until what was stopped goes on; None: it
            goes on as soon as the fault is over.
    """

    seed: str
    victim: Victim
    mode: Mode
    place: str
    when: When
    stop: tuple[str, int]
    calls: int
    after: float
    late: float | None

    @classmethod
    def draw(cls, seed: str) -> DetachedPlan:
        """Make the plan of a seed, which is like ``5d002ab5/detached-keeper/7``."""
        rng = random.Random(seed)
        name, number = seed.split("/")[-2:]
        victims: tuple[Victim, ...] = get_args(Victim)
        victim = next(each for each in victims if name.endswith(each))
        stops = all_stops()
        places = PLACES[:2] if victim in {"master", "session", "network", "node"} else PLACES
        when: When = rng.choice(("line", "line", "time"))
        if victim in {"pegasus", "again"} and rng.random() < 0.4:
            when = "call"
        return cls(
            seed=seed,
            victim=victim,
            mode=rng.choice(["q", "q", "b"]),
            place=rng.choice(places),
            when=when,
            stop=stops[int(number) * 7 % len(stops)],
            calls=rng.randrange(1, CALLS),
            after=rng.uniform(0, MOMENTS),
            late=rng.choice([None, rng.uniform(0, 1.5)]),
        )


@dataclass(slots=True)
class DetachedTrial:
    """A trial, in a folder of its own.

    Attributes:
        pegasus: the command, with the hook.
        plan: what is done.
        rng: the source of what is random besides the plan.
        home: the folder of the trial.
        proxies: in front of the nodes.
        lost: the keys of commands whose keeper was killed; None: all of them may be lost.
        ended: the runs that are to be waited for.
    """

    pegasus: Pegasus
    plan: DetachedPlan
    rng: random.Random
    home: Path
    proxies: list[Proxy] = field(default_factory=list)
    lost: set[str] | None = field(default_factory=set)

    @property
    def base(self) -> Path:
        """The folder that stands for /var/tmp."""
        return self.home / "var"

    @property
    def gate(self) -> Path:
        """The folder of a stop."""
        return self.home / "gate"

    @property
    def nodes(self) -> Nodes:
        """The nodes."""
        return self.pegasus.nodes

    # Runs.

    def start(self, *command: str, **hook: Any) -> Running:
        """Start Pegasus."""
        options = [f"--queue-file={self.pegasus.queue_file}"]
        options.append(f"--ssh-config={self.home / 'ssh_config'}")
        if command[0] in {"q", "b"}:
            options += [f"--hosts-file={self.pegasus.hosts_file}", "--retries=0"]
        content = json.dumps({"base": str(self.base), **hook})
        environment = {detached_program.VARIABLE: content}
        return self.pegasus.start_bare(*command, *options, environment=environment)

    def hook(self) -> dict[str, Any]:
        """Return what is changed in the run with the fault."""
        match self.plan.when:
            case "line":
                script, line = self.plan.stop
                return {"script": script, "line": line, "gate": str(self.gate)}
            case "call" if self.plan.victim != "again":
                return {"calls": self.plan.calls}
        return {}

    def make(self) -> list[str]:
        """Run the trial; return what did not end."""
        running = self.start(self.plan.mode, "--detach", **self.hook())
        self.wait_for_the_moment(running)
        FAULTS[self.plan.victim](self, running)
        if running.status is None:
            pass_time(self.plan.late or 0)
        if running.status is None or self.plan.late is None:
            self.go_on()
        stuck = list(self.wait_for(running))
        for number in range(FOLLOWS):
            stuck += self.follow(number)
            if stuck or self.is_over():
                return stuck
        return [f"{FOLLOWS} runs, and something is left"]

    def wait_for_the_moment(self, running: Running) -> None:
        """Wait until the run is where the fault is to be."""
        match self.plan.when:
            case "line":
                try:
                    here = self.gate / "here"
                    wait_until(
                        lambda: here.exists() or running.status is not None, limit=REACH_LIMIT
                    )
                except NodesFault:
                    return
                pass_time(self.rng.choice([0, 0, self.rng.uniform(0, 0.5)]))
            case "time":
                pass_time(self.plan.after)
            case "call":
                if self.plan.victim == "pegasus":
                    self.wait_for(running)

    def go_on(self) -> None:
        """Let what was stopped go on."""
        (self.gate / "go").touch()

    def wait_for(self, running: Running) -> list[str]:
        """Wait for a run; return why it does not end."""
        try:
            running.wait(RUN_LIMIT)
        except AssertionError as error:
            running.kill()
            return [str(error)]
        return []

    def follow(self, number: int) -> list[str]:
        """Run Pegasus once more, to its end."""
        choices = [("q",), ("q", "--detach"), (self.plan.mode, "--detach"), ("attach",)]
        command = self.rng.choice(choices[: 4 if number < FOLLOWS / 2 else 3])
        running = self.start(*command)
        if number == 0 and self.plan.late is not None:
            pass_time(self.plan.late)
            self.go_on()
        return self.wait_for(running)

    def is_over(self) -> bool:
        """Return whether no job waits, and each start has an end."""
        waits = names_in(self.pegasus.queue_file)
        found = stories(self.pegasus.folder)
        return not waits and all(story.is_settled() for story in found)

    # Processes.

    def keepers(self) -> list[Process]:
        """Return the processes of the keepers, without the commands themselves."""
        return [p for p in everything() if p.alive and f" keeper {self.base}/" in p.command]

    def children(self, running: Running) -> list[Process]:
        """Return the masters and the local shells of a run, without what removes its sockets."""
        children = [p for p in everything() if p.alive and p.ppid == running.pid]
        return [p for p in children if f" pegasus {self.home}/run" not in p.command]


# Faults.


def kill_pegasus(trial: DetachedTrial, running: Running) -> None:
    """Kill Pegasus."""
    running.kill()


def kill_master(trial: DetachedTrial, running: Running) -> None:
    """Kill the control masters, or one of the local shells."""
    for process in trial.children(running):
        if trial.rng.random() < 0.7:
            process.signal(signal.SIGKILL)


def kill_session(trial: DetachedTrial, running: Running) -> None:
    """Kill the processes of sshd behind connections."""
    for node in trial.nodes:
        if trial.rng.random() < 0.7:
            node.kill_sessions()
    if trial.rng.random() < 0.3:
        running.kill()


def kill_keeper(trial: DetachedTrial, running: Running) -> None:
    """Kill one process of a keeper, or all that is in its session; perhaps Pegasus as well."""
    keepers = trial.keepers()
    if not keepers:
        return
    chosen = trial.rng.choice(keepers)
    key = chosen.command.rpartition("/")[2]
    (trial.lost if trial.lost is not None else set()).add(key)
    victims = [chosen]
    if trial.rng.random() < 0.5:
        victims = [p for p in everything() if p.alive and p.session == chosen.session]
        victims = victims if chosen.session == chosen.host_pid or len(victims) < 9 else [chosen]
    for process in victims:
        process.signal(signal.SIGKILL)
    if trial.rng.random() < 0.3:
        running.kill()


def cut_network(trial: DetachedTrial, running: Running) -> None:
    """Reset connections, or lose all data for a while, or tell only one side."""
    proxies = [proxy for proxy in trial.proxies if trial.rng.random() < 0.7] or trial.proxies
    how = trial.rng.choice(["reset", "hold", "abandon", "refuse"])
    for proxy in proxies:
        {
            "reset": proxy.reset,
            "hold": proxy.hold,
            "abandon": proxy.abandon,
            "refuse": proxy.refuse,
        }[how]()
    pass_time(trial.rng.uniform(0, 5 if how == "hold" else 1.5))
    if trial.rng.random() < 0.3:
        running.kill()
    for proxy in proxies:
        if how == "hold":
            proxy.reset()
        proxy.pass_on()


def restart_node(trial: DetachedTrial, running: Running) -> None:
    """Take a node down with all that runs on it, and start it again."""
    trial.lost = None
    node = trial.rng.choice(list(trial.nodes))
    node.kill()
    pass_time(trial.rng.uniform(0, 1.5))
    if trial.rng.random() < 0.3:
        running.kill()
    node.start()


def kill_again(trial: DetachedTrial, running: Running) -> None:
    """Kill Pegasus, and each one that takes over, several times."""
    running.kill()
    for _ in range(trial.rng.randrange(1, 5)):
        hook = {"calls": trial.rng.randrange(1, CALLS)} if trial.plan.when == "call" else {}
        running = trial.start(trial.rng.choice(["q", trial.plan.mode]), "--detach", **hook)
        if hook:
            trial.wait_for(running)
        else:
            pass_time(trial.rng.uniform(0.1, MOMENTS))
            running.kill()


def kill_of_pair(trial: DetachedTrial, running: Running) -> None:
    """Kill Pegasus while another one works on the same queue, and start two at the same time."""
    beside = trial.start(trial.plan.mode, "--detach")
    pass_time(trial.rng.uniform(0, 0.8))
    running.kill()
    two = [trial.start("q", *trial.rng.choice([[], ["--detach"]])) for _ in range(2)]
    if trial.rng.random() < 0.5:
        pass_time(trial.rng.uniform(0, MOMENTS))
        two[0].kill()
    trial.go_on()
    for each in (beside, *two):
        trial.wait_for(each)


FAULTS: dict[Victim, Callable[[DetachedTrial, Running], None]] = {
    "pegasus": kill_pegasus,
    "master": kill_master,
    "session": kill_session,
    "keeper": kill_keeper,
    "network": cut_network,
    "node": restart_node,
    "again": kill_again,
    "pair": kill_of_pair,
}


# A trial from its start to its account.


def make_detached(nodes: Nodes, home: Path, seed: str) -> Account:
    """Run one trial, and account for its jobs."""
    plan = DetachedPlan.draw(seed)
    with room(home, nodes) as (pegasus, traces), ExitStack() as stack:
        program = (sys.executable, detached_program.__file__)
        hooked = replace(pegasus, program=program)
        trial = DetachedTrial(hooked, plan, random.Random(f"{seed}/faults"), home)
        write_files(trial, stack)
        (home / "plan").write_text(f"{plan}\n")
        stack.callback(trial.go_on)
        return account_for(trial, traces, trial.make())


def write_files(trial: DetachedTrial, stack: ExitStack) -> None:
    """Write the queue, the hosts and the ssh configuration."""
    first = ""
    if trial.plan.victim == "network":
        for node in trial.nodes:
            proxy = stack.enter_context(Proxy(node.address, node.port))
            trial.proxies.append(proxy)
            first += PROXIED.format(name=node.name, port=proxy.port, folder=trial.home)
    config = SSH_CONFIG.format(first=first, config=trial.nodes.ssh_config)
    (trial.home / "ssh_config").write_text(config)
    trial.gate.mkdir()
    trial.base.mkdir()
    trial.pegasus.hosts_file.write_text(trial.plan.place)
    text = queue_text(JOBS[trial.plan.mode], trial.home / "notes")
    trial.pegasus.queue_file.write_text(text)


def account_for(trial: DetachedTrial, traces: Traces, stuck: Sequence[str]) -> Account:
    """Account for the jobs of a trial, and for what is left."""
    jobs = JOBS[trial.plan.mode]
    look = DetachedLook(trial.pegasus.folder, trial.home / "notes", jobs, trial.lost)
    account = look.settle()
    account.stuck += stuck
    account.stuck += [f"a traceback: {run.stderr}" for run in trial.pegasus.started if odd(run)]
    account.orphans += left_behind(traces, trial.home)
    known = {key: story.folder.name for story in stories(look.folder) for key in story.keys}
    for key in left_folders(trial.base):
        there = sorted(path.name for path in trial.base.glob(f"pegasus-*/{key}/*"))
        account.orphans.append(f"folder {key} of {known.get(key, 'no run')}: {there}")
    return account
