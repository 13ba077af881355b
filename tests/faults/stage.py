"""The setting of a trial: a queue, two nodes with two sub-nodes each, and runs.

Rule 1: what is random comes from the trial's seed.
Rule 2: only processes that were identified as this trial's are ended, one by one.
"""

from __future__ import annotations

import random
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from tests.e2e.leftovers import MARK, Traces
from tests.e2e.runner import Pegasus, Running, own_environment
from tests.faults.ledger import names_in
from tests.faults.trial import pass_time, read
from tests.nodes import Node, Nodes, Process
from tests.nodes.processes import everything
from tests.nodes.proxy import Proxy

JOBS = 24
SECONDS = 0.2
"""A job's length: with four sub-nodes a queue takes about two seconds, in which faults occur."""

MOMENTS = 1.5
"""Seconds from the first job's start within which a fault may begin."""

RUN_LIMIT = 60.0
"""Seconds for a run to end after the fault is over; it takes two."""

RUNS = 6
"""Maximum of runs until the queue is empty."""

ORPHAN_LIMIT = 10.0
"""Seconds for everything to end after the last run: the guarantee of Pegasus."""

SSH_CONFIG = """\
{first}
Host *
  ServerAliveInterval 1
  ServerAliveCountMax 2
  ConnectTimeout 3
  Include "{config}"
"""
"""Dead peers are detected in seconds, so that trials are short; the default takes 45."""

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
        rng: the source of what is random.
        stack: what is undone in the end.
        proxies: in front of the nodes, if there are any.
        running: the run with the fault; the newer one if another was started.
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
        """The queue file."""
        return self.pegasus.folder

    @property
    def node(self) -> Node:
        """One of the nodes, always the same in one trial."""
        return self.nodes[self.which]

    def start(self) -> None:
        """Start a run of the queue."""
        self.runs.append(self.pegasus.start_bare(self.mode, *self.files()))

    def files(self) -> list[str]:
        """Return the options that name the trial's files."""
        config = self.folder.parent / "ssh_config"
        options = self.pegasus.files()[:2]
        return [*options, f"--ssh-config={config}", "--retries=0"]

    def wait_for_a_moment(self, longest: float = MOMENTS) -> None:
        """Wait until jobs run, and then for a random time."""
        self.running.wait_for("=== run", on="stderr")
        pass_time(self.rng.uniform(0, longest))

    def wait_a_while(self, shortest: float, longest: float) -> None:
        """Keep a fault up for a while."""
        pass_time(self.rng.uniform(shortest, longest))

    def own(self, name: str) -> list[Process]:
        """Return the descendants of the run with a certain name."""
        return [process for process in self.own_tree() if process.name == name]

    def own_tree(self) -> list[Process]:
        """Return the run and all its descendants on this machine, also jobs on localhost."""
        found, processes = {self.running.pid}, everything()
        while more := {p.host_pid for p in processes if p.ppid in found} - found:
            found |= more
        return [p for p in processes if p.host_pid in found and p.alive]

    def locked(self) -> FileLock:
        """Return the queue's lock, which a test has to hold to move the file."""
        return FileLock(f"{self.pegasus.queue_file}.lock", thread_local=False)

    def work_left(self) -> bool:
        """Return whether jobs wait in the queue file."""
        return bool(names_in(self.pegasus.queue_file))


@contextmanager
def room(home: Path, nodes: Nodes) -> Iterator[tuple[Pegasus, Traces]]:
    """Make a folder for a trial; all its processes are ended at the end of the block."""
    mark, folder, runtime = secrets.token_hex(8), home / "files", home / "run"
    folder.mkdir()
    runtime.mkdir()
    environment = {**own_environment(runtime), MARK: mark, "XDG_RUNTIME_DIR": str(runtime)}
    pegasus = Pegasus(folder=folder, nodes=nodes, environment=environment)
    traces = Traces(mark=mark, runtime=runtime, folder=folder, nodes=tuple(nodes))
    traces = replace(traces, before=traces.socket_folders())
    try:
        yield pegasus, traces
    finally:
        pegasus.end()
        traces.clear_away()
        for number, running in enumerate(pegasus.started):
            said = f"{running.stdout}\n--- stderr\n{running.stderr}\n--- {running.status}\n"
            (home / f"said-{number}").write_text(said, encoding="utf-8")


def left_behind(traces: Traces, home: Path) -> list[str]:
    """Return what is left of a trial after the time that Pegasus guarantees."""
    return [word for word in traces.wait_until_gone(ORPHAN_LIMIT) if _is_ours(word, home)]


def _is_ours(word: str, home: Path) -> bool:
    """Return whether something can be this trial's: another Pegasus's folder of sockets cannot."""
    folder = Path(word.removeprefix("folder "))
    if not word.startswith("folder ") or not folder.is_dir():
        return not word.startswith("folder ")
    return str(home) in (read(folder / "config") or str(home).encode()).decode()


def odd(run: Running) -> bool:
    """Return whether a run ended with a bug of its own."""
    return run.status == 3 or "Traceback" in run.stderr


@contextmanager
def trial_folder() -> Iterator[Path]:
    """Make a folder for a trial, and remove it afterwards, if it still exists."""
    home = Path(tempfile.mkdtemp(prefix="pgr-", dir="/tmp"))
    try:
        yield home
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(home)
