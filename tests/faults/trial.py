"""One trial of the Ctrl-C guarantee: a run in its own folder, interrupted at a random moment.

Rule 1: what is random comes from one seed, so that a trial can be repeated.
Rule 2: the checks use external evidence: files, outputs, and notes of the jobs on their nodes.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import yaml
from filelock import FileLock

from tests.e2e.runner import LIMIT, SLURM, Done, Pegasus, Running
from tests.nodes import wait_until

Mode: TypeAlias = Literal["q", "b"]
Moment: TypeAlias = Literal["connecting", "working", "taking", "lock", "empty", "added"]
Job: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]

NOTICE = "nothing more is taken"
ONE_MORE = "" if SLURM in os.environ else "- node-3\n"
"""``slurm: {}`` gives all nodes the same entry, so this one has no place in it."""

PLACES = {
    "localhost": "- localhost\n- hostname: 127.0.0.1\n  place: [a, b]\n",
    "ssh": f"- hostname: [node-1, node-2]\n  place: [a, b]\n{ONE_MORE}",
    "both": "- localhost\n- hostname: [node-1, node-2]\n",
}
START_SLACK = 1.5
"""Seconds between the start of a command and its first action, on a busy machine."""

QUEUE = """\
# Jobs of every kind; comments stay.
- echo begin job-first; date +"%s.%N job-first" >> {log}; echo end job-first

- command: # two commands by three by four
    - {line_a}
    - {line_b}
  n: [0, 1, 2]
  m: ["0", 01, 1e1, yes]   # the user's own text
- "echo begin job-last; date +'%s.%N job-last' >> {log}; sleep 0.2; echo end job-last"
"""


def queue_text(log: str) -> str:
    """Return a queue of 26 jobs, each of which notes its start in a file on its node."""

    def line(name: str, pause: str) -> str:
        job = f"job-{name}-{{{{ n }}}}-{{{{ m }}}}"
        words = f'echo begin {job}; date +"%s.%N {job}" >> {log}; sleep {pause}; echo end {job}'
        return f"'{words}'"

    return QUEUE.format(log=log, line_a=line("a", "0.0{{ n }}"), line_b=line("b", "0.{{ n }}"))


def jobs_in(text: str) -> Counter[Job]:
    """Expand the grids of a queue file, or of ``consumed.yaml``, into jobs."""
    found: Counter[Job] = Counter()
    for entry in yaml.load(text, yaml.BaseLoader) or []:  # all values as they are written
        grid: dict[str, Any] = {"command": entry} if isinstance(entry, str) else dict(entry)
        lists = {k: v if isinstance(v, list) else [v] for k, v in grid.items()}
        commands = lists.pop("command")
        for command, *values in itertools.product(commands, *lists.values()):
            found[command, tuple(zip(lists, values, strict=True))] += 1
    return found


def name_of(job: Job) -> str:
    """Return the name of a job in its own output."""
    command = job[0]
    for parameter, value in job[1]:
        command = command.replace(f"{{{{ {parameter} }}}}", value)
    return command.partition("begin ")[2].partition(";")[0]


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a trial, which follows from the seed."""

    seed: str
    mode: Mode
    place: str
    moment: Moment
    number: signal.Signals
    after: float
    jobs: int

    @classmethod
    def draw(cls, seed: str) -> Plan:
        """Make a random plan."""
        rng = random.Random(seed)
        mode: Mode = rng.choice(get_args(Mode))
        moment: Moment = rng.choice(get_args(Moment))
        place = rng.choice(list(PLACES))
        number = rng.choice([signal.SIGINT, signal.SIGTERM])
        # A slow connection may be interrupted later.
        longest = {"connecting": 0.6, "lock": 1.5, "empty": 0.5}.get(moment, 0.15)
        return cls(seed, mode, place, moment, number, rng.uniform(0, longest), rng.randrange(1, 12))


@dataclass(slots=True)
class Seen:
    """The state at the time of the notice, and at the end."""

    at: float
    state: tuple[int, int, int] | None
    data: bytes | None
    said: str
    done: Done = field(default_factory=lambda: Done(0, b"", b""))


class Trial:
    """A run that is interrupted, in a folder of its own."""

    def __init__(self, pegasus: Pegasus, plan: Plan) -> None:
        self.plan = plan
        folder = pegasus.folder / "trial"
        folder.mkdir()
        self.pegasus = replace(pegasus, folder=folder)
        self.log_name = f"log-{folder.parent.name}-{plan.seed.replace('/', '-')}"
        homes = [node.home for node in pegasus.nodes] + [Path(pegasus.environment["HOME"])]
        self.logs = [home / self.log_name for home in homes]
        self.all = queue_text(f"~/{self.log_name}")
        self.added = ""

    def make(self) -> list[str]:
        """Run the trial, and return every violation of the guarantee."""
        with ExitStack() as stack:
            for log in self.logs:
                stack.callback(log.unlink, missing_ok=True)
            lock = FileLock(f"{self.pegasus.queue_file}.lock", thread_local=False)
            stack.callback(lock.release)
            running = self._start(lock)
            self._wait_for_the_moment(running, lock)
            running.signal(self.plan.number)
            seen = self._wait_for_the_notice(running)
            if self.plan.moment == "lock":
                lock.release()  # a process that waited for the lock has it now
            seen.done = running.wait(LIMIT)
            return list(self._violations(seen))

    def _start(self, lock: FileLock) -> Running:
        daemon = self.plan.moment in {"empty", "added"}
        text = self.all
        if daemon:
            head, _, tail = self.all.partition("\n- command:")
            text, self.added = head + "\n", "- command:" + tail
        if self.plan.moment == "lock" and self.plan.jobs % 2:
            lock.acquire()
        return self.pegasus.start(
            self.plan.mode, *["--daemon"] * daemon, hosts=PLACES[self.plan.place], queue=text
        )

    def _wait_for_the_moment(self, running: Running, lock: FileLock) -> None:
        wait_until(lambda: obeys_signals(running), what="pegasus to listen")
        match self.plan.moment:
            case "connecting":
                pass
            case "working":
                running.wait_for("=== run", times=self.plan.jobs)
            case "lock":
                if not lock.is_locked:
                    running.wait_for("=== run", times=self.plan.jobs)
                    lock.acquire()
            case "taking":
                # consumed.yaml grows in the middle of a take, which allows no delay.
                wait_at_once(lambda: self._consumed() >= min(self.plan.jobs, 5))
                return
            case "empty":
                running.wait_for("=== done")
            case "added":
                running.wait_for("=== done")
                self._add()
        pass_time(self.plan.after)

    def _consumed(self) -> int:
        try:
            return self.pegasus.consumed_file.read_bytes().count(b"\n- ") + 1
        except OSError:
            return 0

    def _add(self) -> None:
        queue = self.pegasus.queue_file
        with FileLock(f"{queue}.lock", thread_local=False):
            new = queue.with_name("new.yaml")
            new.write_text(queue.read_text() + self.added)
            new.replace(queue)

    def _wait_for_the_notice(self, running: Running) -> Seen:
        running.wait_for(NOTICE, on="stderr")
        state, at = state_of(self.pegasus.queue_file), time.time()
        return Seen(at, state, read(self.pegasus.queue_file), running.stderr)

    # Guarantees.

    def _violations(self, seen: Seen) -> Iterator[str]:
        done, plan = seen.done, self.plan
        if done.status != 130:
            yield f"exit status {done.status}"
        now = state_of(self.pegasus.queue_file), read(self.pegasus.queue_file)
        if now != (seen.state, seen.data):
            yield "the queue file changed after the notice"
        announced = runs(seen.said.partition(NOTICE)[0])
        if runs(done.stderr) != announced:
            yield f"announced after the notice: {runs(done.stderr) - announced}"
        started = list(self._started())
        if Counter(name for _, name in started) != names(announced):
            yield f"ran: {started}, announced before the notice: {announced}"
        late = [(at - seen.at, name) for at, name in started if at > seen.at + START_SLACK]
        if late:
            yield f"began after the notice, by these seconds: {late}"
        yield from self._incomplete(done, announced)
        yield from self._lost_or_doubled(plan, announced)

    def _started(self) -> Iterator[tuple[float, str]]:
        for log in self.logs:
            if log.exists():
                for line in log.read_text().splitlines():
                    at, name = line.split()
                    yield float(at), name

    def _incomplete(self, done: Done, announced: Counter[tuple[str, str]]) -> Iterator[str]:
        for word in ("begin", "end"):
            if (said := outputs(done.stdout, word)) != announced:
                yield f"output that is not complete: {said} {word}, but ran: {announced}"
        ends = re.findall(r"=== done \((.*)\) ===", done.stderr)
        if ends != ["exit status: 0"] * announced.total():
            yield f"ends: {ends}"

    def _lost_or_doubled(self, plan: Plan, announced: Counter[tuple[str, str]]) -> Iterator[str]:
        consumed = jobs_in((read(self.pegasus.consumed_file) or b"").decode())
        left = jobs_in((read(self.pegasus.queue_file) or b"").decode())
        whole = jobs_in(self.all)
        if plan.moment == "empty":
            whole -= jobs_in(self.added)
        if consumed + left != whole:
            yield f"lost: {whole - consumed - left}, doubled: {consumed + left - whole}"
        times = len(expand(PLACES[plan.place])) if plan.mode == "b" else 1
        taken = Counter({name_of(job): times * count for job, count in consumed.items()})
        if taken != names(announced):
            yield f"taken: {taken}, run: {names(announced)}"


def expand(hosts: str) -> list[str]:
    """Return a name for each sub-node of a hosts file."""
    found: list[str] = []
    for item in yaml.safe_load(hosts):
        lists = [item] if isinstance(item, str) else list(item.values())
        values = [v if isinstance(v, list) else [v] for v in lists]
        found += [" ".join(words) for words in itertools.product(*values)]
    return found


def runs(stderr: str) -> Counter[tuple[str, str]]:
    """Count what ``=== run`` lines say: sub-node and name."""
    return Counter(re.findall(r"^(\[.*?\]) === run .*?begin (job-[\w-]+)", stderr, re.MULTILINE))


def outputs(stdout: str, word: str) -> Counter[tuple[str, str]]:
    """Count the lines of jobs: sub-node and name."""
    return Counter(re.findall(rf"^(\[.*?\]) {word} (job-[\w-]+)$", stdout, re.MULTILINE))


def names(counts: Counter[tuple[str, str]]) -> Counter[str]:
    """Count by name alone."""
    found: Counter[str] = Counter()
    for (_, name), count in counts.items():
        found[name] += count
    return found


def read(path: Path) -> bytes | None:
    """Return a file's bytes, None if it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def state_of(path: Path) -> tuple[int, int, int] | None:
    """Return a value that identifies one state of a file, also among states of the same bytes."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def obeys_signals(running: Running) -> bool:
    """Return whether a process has a handler for SIGTERM, which it sets when it starts to work."""
    status = Path(f"/proc/{running.pid}/status").read_text(encoding="utf-8")
    caught = int(status.partition("\nSigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def wait_at_once(condition: Callable[[], bool]) -> None:
    """Wait without a pause between two checks, for moments of a millisecond."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline


def pass_time(seconds: float) -> None:
    """Wait for a random time; there is no condition, any moment is valid."""
    deadline = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= deadline, limit=seconds + LIMIT, glance=0.001)


@contextmanager
def seed_said(plan: Plan) -> Iterator[None]:
    """Add the seed to the message of a failure, to repeat the trial."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{plan}\nto make it again: PEGASUS_TRIAL_SEED={plan.seed}")
        raise
