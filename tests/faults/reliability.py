"""What Pegasus's word is worth when things break: faults at random moments, and an account.

``python -m tests.faults.reliability [--trials N] [--only NAME] [--table docs/why/reliability.md]``

Each trial is a queue of short jobs on four sub-nodes, a fault at a random moment, the end of the
fault, and an account of every job. A queue that is not empty after that is given to a new run.

Rule 1: what is random comes from the trial's seed.
Rule 2: only processes that were seen to be this trial's are ended, one by one.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from filelock import FileLock

from tests.e2e.leftovers import MARK, Traces
from tests.e2e.runner import Pegasus, Running, own_environment
from tests.faults.ledger import Account, names_in, queue_text, settle
from tests.faults.proxy import Proxy
from tests.faults.trial import pass_time, read
from tests.nodes import Node, Nodes, NodesFault, Process, WaysToAsk, start_nodes, wait_until
from tests.nodes.processes import everything

JOBS = 24
SECONDS = 0.2
"""A job's length: with four sub-nodes a queue takes some two seconds, so that faults meet it."""

MOMENTS = 1.5
"""Seconds from the first job's start within which a fault may come."""

RUN_LIMIT = 60.0
"""Seconds for a run to come back after the fault is over; two is what it takes."""

RUNS = 6
"""Runs that are started, at the most, until the queue is empty."""

ORPHAN_LIMIT = 10.0
"""Seconds for everything to be gone after the last run: what Pegasus promises."""

SSH_CONFIG = """\
{first}
Host *
  ServerAliveInterval 1
  ServerAliveCountMax 2
  ConnectTimeout 3
  Include "{config}"
"""
"""Dead peers are noticed in seconds, so that trials are short; the default takes 45."""

PROXIED = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  UserKnownHostsFile "{folder}/known_hosts"
"""


@dataclass(slots=True)
class Trial:
    """One queue, one fault, in a folder of its own.

    Attributes:
        pegasus: the command.
        nodes: two of them, with two sub-nodes each.
        rng: what is random comes from here.
        stack: what is to be undone in the end.
        proxies: in front of the nodes, where there are any.
        running: the run that is hurt; a new one where another was started.
        runs: all runs.
    """

    pegasus: Pegasus
    nodes: Nodes
    rng: random.Random
    stack: ExitStack
    proxies: list[Proxy] = field(default_factory=list)
    runs: list[Running] = field(default_factory=list)
    mode: str = "q"
    which: int = 0

    @property
    def running(self) -> Running:
        """The last run that was started."""
        return self.runs[-1]

    @property
    def folder(self) -> Path:
        """Where the queue file is."""
        return self.pegasus.folder

    @property
    def node(self) -> Node:
        """One of the nodes, always the same in one trial."""
        return self.nodes[self.which]

    def start(self) -> None:
        """Start a run of the queue."""
        self.runs.append(self.pegasus.start_bare(self.mode, *self.files()))

    def files(self) -> list[str]:
        """Give the options that name the trial's files."""
        config = self.folder.parent / "ssh_config"
        options = self.pegasus.files()[:2]
        return [*options, f"--ssh-config={config}", "--retries=0"]

    def wait_for_a_moment(self, longest: float = MOMENTS) -> None:
        """Wait until jobs run, and then for a moment that is as good as any other."""
        self.running.wait_for("=== run", on="stderr")
        pass_time(self.rng.uniform(0, longest))

    def wait_a_while(self, shortest: float, longest: float) -> None:
        """Let a fault last."""
        pass_time(self.rng.uniform(shortest, longest))

    def own(self, name: str) -> list[Process]:
        """Give the descendants of the run with a certain name."""
        found, processes = {self.running.pid}, everything()
        while more := {p.host_pid for p in processes if p.ppid in found} - found:
            found |= more
        return [p for p in processes if p.host_pid in found and p.name == name and p.alive]

    def locked(self) -> FileLock:
        """Give the queue's lock: whoever moves the file about has to hold it."""
        return FileLock(f"{self.pegasus.queue_file}.lock", thread_local=False)

    def work_left(self) -> bool:
        """Tell whether anything waits in the queue file."""
        return bool(names_in(self.pegasus.queue_file))


Hurt = Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault.

    Attributes:
        name: what it is called on the command line.
        words: what it is called in the table.
        hurt: does it; the run has been started.
        prepare: does what has to be done before the run is started.
        docker: whether it needs nodes in Docker.
        root: whether it needs root.
        proxies: whether the nodes are behind proxies.
        broadcast: whether each job runs everywhere.
    """

    name: str
    words: str
    hurt: Hurt
    prepare: Hurt | None = None
    docker: bool = False
    root: bool = False
    proxies: bool = False
    broadcast: bool = False

    def why_not(self, nodes: Nodes) -> str:
        """Say why it can't be done here; nothing if it can."""
        if self.docker and nodes.way != "docker":
            return "needs nodes in Docker"
        return "needs root" if self.root and os.getuid() != 0 else ""

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return JOBS // 3 if self.broadcast else JOBS


# The network and the nodes.


def freeze_node(trial: Trial) -> None:
    """Freeze a node, and let it go on: for so short that nothing breaks, or longer."""
    trial.wait_for_a_moment()
    trial.node.pause()
    trial.wait_a_while(0.2, 6)
    trial.node.resume()


def freeze_sshd(trial: Trial) -> None:
    """Freeze the sshds that serve connections, while the jobs on the node go on."""
    trial.wait_for_a_moment()
    frozen = trial.node.sshds()
    for process in frozen:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 6)
    for process in frozen:
        process.signal(signal.SIGCONT)


def cut_node(trial: Trial) -> None:
    """Cut a node off the network, and connect it again."""
    trial.wait_for_a_moment()
    trial.node.cut()
    trial.wait_a_while(0.2, 6)
    trial.node.heal()


def kill_node(trial: Trial) -> None:
    """Let a node go down at once, and come up again."""
    trial.wait_for_a_moment()
    trial.node.kill()
    trial.wait_a_while(0, 3)
    trial.node.start()


def kill_all_nodes(trial: Trial) -> None:
    """Let all nodes go down at once, and come up again."""
    trial.wait_for_a_moment()
    for node in trial.nodes:
        node.kill()
    trial.wait_a_while(0, 2)
    for node in trial.nodes:
        node.start()


def kill_sessions(trial: Trial) -> None:
    """SIGKILL the sshd processes behind a node's connections, twice."""
    for _ in range(2):
        trial.wait_for_a_moment(MOMENTS / 2)
        trial.node.kill_sessions()


def kill_masters(trial: Trial) -> None:
    """SIGKILL Pegasus's own ssh processes, one at a time."""
    for _ in range(3):
        trial.wait_for_a_moment(MOMENTS / 3)
        for process in trial.own("ssh")[:1]:
            process.signal(signal.SIGKILL)


def stop_master(trial: Trial) -> None:
    """Stop one of Pegasus's own ssh processes for a while; it answers nobody meanwhile."""
    trial.wait_for_a_moment()
    stopped = trial.own("ssh")[:1]
    for process in stopped:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 4)
    for process in stopped:
        process.signal(signal.SIGCONT)


def slow_network(trial: Trial) -> None:
    """Delay everything, for longer than a keep-alive waits or not."""
    trial.wait_for_a_moment()
    for proxy in trial.proxies:
        proxy.delay(trial.rng.uniform(0.05, 1.0))
    trial.wait_a_while(1, 4)
    for proxy in trial.proxies:
        proxy.pass_on()


def reset_connections(trial: Trial) -> None:
    """Reset connections, again and again, and refuse new ones for a while."""
    for _ in range(3):
        trial.wait_for_a_moment(MOMENTS / 3)
        trial.rng.choice(trial.proxies).reset()
    trial.proxies[0].refuse()
    trial.wait_a_while(0.2, 2)
    trial.proxies[0].pass_on()


def half_open(trial: Trial) -> None:
    """Let nothing pass, and tell neither side; then reset what is left of it."""
    trial.wait_for_a_moment()
    proxy = trial.rng.choice(trial.proxies)
    proxy.hold()
    trial.wait_a_while(0.2, 6)
    proxy.reset()
    proxy.pass_on()


# Pegasus itself.


def kill_pegasus(trial: Trial) -> None:
    """SIGKILL Pegasus while it connects, deals or waits."""
    wait_until(lambda: trial.own("ssh") or trial.work_left(), what="the run to begin")
    pass_time(trial.rng.uniform(0, 2))
    trial.running.kill()


def kill_pegasus_twice(trial: Trial) -> None:
    """SIGKILL Pegasus, start it again at once, and SIGKILL that one too."""
    trial.wait_for_a_moment(0.8)
    trial.running.kill()
    trial.start()
    pass_time(trial.rng.uniform(0, 1.5))
    trial.running.kill()


def kill_pegasus_in_a_take(trial: Trial) -> None:
    """SIGKILL Pegasus within milliseconds of a take, which ``consumed.yaml`` gives away."""
    consumed = trial.pegasus.consumed_file
    for size in (1, 400, 1200):
        deadline = time.monotonic() + RUN_LIMIT
        while trial.running.status is None and time.monotonic() < deadline:
            if consumed.exists() and consumed.stat().st_size >= size:
                break
        deadline = time.perf_counter() + trial.rng.uniform(0, 0.004)
        while time.perf_counter() < deadline:
            pass
        trial.running.kill()
        trial.start()


# The disk and the queue file.


def small_disk(trial: Trial, *, at: str) -> None:
    """Put a tiny file system under the trial's folder, or under a part of it."""
    place = trial.folder / at
    kept = {path.name: path.read_bytes() for path in place.iterdir()} if place.exists() else {}
    place.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=192k,mode=700", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    trial.stack.callback(subprocess.run, ["umount", "-l", str(place)], check=False)
    for name, data in kept.items():
        (place / name).write_bytes(data)


def fill_disk(trial: Trial, *, at: str, longest: float = 3) -> None:
    """Fill the file system to the last byte for a while, and make room again."""
    trial.wait_for_a_moment(0.8)
    ballast = trial.folder / at / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    trial.wait_a_while(0.1, longest)
    ballast.unlink()


def consumed_elsewhere(trial: Trial) -> None:
    """Let ``consumed.yaml`` be a symbolic link to a tiny file system."""
    small_disk(trial, at="small")
    trial.pegasus.consumed_file.symlink_to(trial.folder / "small" / "consumed.yaml")


def move_queue(trial: Trial, put: Callable[[Path], None]) -> None:
    """Let the queue file be away for a while, with something in its place."""
    trial.wait_for_a_moment(0.8)
    queue, away = trial.pegasus.queue_file, trial.folder / "away"
    with trial.locked():
        queue.rename(away)
        put(queue)
    trial.wait_a_while(0.2, 2)
    with trial.locked():
        if queue.is_dir():
            queue.rmdir()
        away.rename(queue)


def unreadable(queue: Path) -> None:
    """Put something there that nobody can read, whoever they are: not even root reads this."""
    queue.write_bytes(b"- \xff\xfe not text\n")


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
    Scenario("half-open", "connections are dead, and nobody is told", half_open, proxies=True),
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
        lambda trial: move_queue(trial, _nothing),
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


def _nothing(queue: Path) -> None:
    """Put nothing there."""


# A trial from its beginning to its account.


def make_trial(scenario: Scenario, nodes: Nodes, home: Path, seed: str) -> Account:
    """Make one trial, and account for its jobs.

    Args:
        scenario: the fault.
        nodes: two; they are as they were afterwards.
        home: a folder for the trial alone, with a short path.
        seed: what is random follows from it.
    """
    mark, folder, notes = secrets.token_hex(8), home / "files", f"notes-{secrets.token_hex(4)}"
    folder.mkdir()
    runtime = home / "run"
    runtime.mkdir()
    environment = {**own_environment(runtime), MARK: mark, "XDG_RUNTIME_DIR": str(runtime)}
    pegasus = Pegasus(folder=folder, nodes=nodes, environment=environment)
    traces = Traces(mark=mark, runtime=runtime, folder=folder, nodes=tuple(nodes))
    traces = replace(traces, before=traces.socket_folders())
    with ExitStack() as stack:
        stack.callback(pegasus.end)
        trial = Trial(pegasus, nodes, random.Random(seed), stack)
        trial.which = trial.rng.randrange(len(nodes))
        write_files(scenario, trial, notes)
        if scenario.prepare is not None:
            scenario.prepare(trial)
        trial.start()
        scenario.hurt(trial)
        stuck = list(wait_for_the_end(trial))
        orphans = [word for word in traces.wait_until_gone(ORPHAN_LIMIT) if is_ours(word, home)]
        traces.clear_away()
        files = [node.home / notes for node in nodes]
        account = settle(folder, scenario.jobs, files, everywhere=scenario.broadcast)
        account.stuck, account.orphans = stuck, orphans
        account.stuck += [f"a traceback: {run.stderr}" for run in trial.runs if odd(run)]
        return account


def is_ours(word: str, home: Path) -> bool:
    """Tell whether what was left can be this trial's: not so another's folder of sockets."""
    folder = Path(word.removeprefix("folder "))
    if not word.startswith("folder ") or not folder.is_dir():
        return not word.startswith("folder ")
    return str(home) in (read(folder / "config") or str(home).encode()).decode()


def odd(run: Running) -> bool:
    """Tell whether a run ended with a bug of its own."""
    return run.status == 3 or "Traceback" in run.stderr


def write_files(scenario: Scenario, trial: Trial, notes: str) -> None:
    """Write the queue, the hosts and ssh's configuration, with proxies where they are wanted."""
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
    """Wait for the run, and start others until the queue is empty; name those that hang."""
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


@contextmanager
def trial_folder() -> Iterator[Path]:
    """Make a folder for a trial, and remove it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="pgr-", dir="/tmp"))
    yield home
    shutil.rmtree(home)


# The command.


@dataclass(slots=True)
class Row:
    """A line of the table."""

    scenario: Scenario
    trials: int = 0
    account: Account = field(default_factory=Account)

    def cells(self) -> list[str]:
        """Give what stands in the table."""
        a = self.account
        counts = [len(x) for x in (a.lost, a.twice, a.wrong, a.orphans, a.stuck)]
        told = (self.trials, a.jobs, a.reported, a.unrecorded)
        return [self.scenario.words, *map(str, (*told, *counts))]


HEAD = ["fault", "trials", "jobs", "reported lost", "unrecorded"]
HEAD += ["lost", "twice", "told wrong", "orphans", "stuck"]
BEGIN, END = "<!-- the table begins -->", "<!-- the table ends -->"


def table(rows: Sequence[Row]) -> str:
    """Give the table as Markdown."""
    lines = [HEAD, ["---", *["--:"] * (len(HEAD) - 1)], *(row.cells() for row in rows)]
    whole = Row(Scenario("", "**all**", lambda _: None))
    for row in rows:
        whole.trials += row.trials
        whole.account += row.account
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [*lines, whole.cells()])


def write_table(path: Path, text: str) -> None:
    """Put the table between the two marks of a file."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def run_scenario(row: Row, trials: int, way: WaysToAsk, seed: str) -> None:
    """Make the trials of one scenario, on nodes of its own; say what goes wrong with them."""
    try:
        fill_row(row, trials, way, seed)
    except (NodesFault, OSError, AssertionError) as fault:
        row.account.stuck.append(f"the trial itself: {fault}")
        say(f"{row.scenario.name}: {fault}")


def fill_row(row: Row, trials: int, way: WaysToAsk, seed: str) -> None:
    """Make the trials of one scenario, on nodes of its own."""
    scenario = row.scenario
    with start_nodes(2, way=way, say=lambda _: None) as nodes:
        if why := scenario.why_not(nodes):
            say(f"{scenario.name}: left out, it {why}")
            return
        for number in range(trials):
            began = time.monotonic()
            with trial_folder() as home:
                account = make_trial(scenario, nodes, home, f"{seed}/{scenario.name}/{number}")
            row.trials += 1
            row.account += account
            say(
                f"{scenario.name} {number + 1}/{trials}: {time.monotonic() - began:.1f} s, "
                f"{account.ended} ended, {account.reported} reported, "
                f"{account.unrecorded} unrecorded"
            )
            for fault in account.faults:
                say(f"  {fault}")


def say(words: str) -> None:
    """Say something on standard error."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def main() -> int:
    """Make trials, print the table, and write it where it is wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.reliability", description=__doc__)
    parser.add_argument("--trials", type=int, default=3, help="of each fault")
    parser.add_argument("--at-once", type=int, default=3, help="how many are made side by side")
    parser.add_argument("--only", action="append", help="a fault, or the beginning of its name")
    parser.add_argument("--way", choices=["auto", "docker", "local"], default="auto")
    parser.add_argument(
        "--seed", default=secrets.token_hex(4), help="to make the same trials again"
    )
    parser.add_argument("--table", type=Path, help="a file to write the table into")
    asked = parser.parse_args()
    chosen = [s for s in SCENARIOS if not asked.only or s.name.startswith(tuple(asked.only))]
    say(f"seed {asked.seed}")
    rows = [Row(scenario) for scenario in chosen]
    with ThreadPoolExecutor(asked.at_once) as pool:
        way = cast("WaysToAsk", asked.way)
        for row in rows:
            pool.submit(run_scenario, row, asked.trials, way, asked.seed)
    done = [row for row in rows if row.trials]
    sys.stdout.write(table(done))
    if asked.table is not None:
        write_table(asked.table, table(done))
    return 1 if any(row.account.faults for row in done) else 0


if __name__ == "__main__":
    sys.exit(main())
