"""One trial of ``kill -9`` of Pegasus: killed at random moments, looked at, retried, ended.

Rule 1: what is random comes from one seed, so that a trial can be made again.
Rule 2: what Pegasus says is held against what the jobs themselves wrote down.
Rule 3: what a crash may cost is counted: a job that ended in the last moment and runs again.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from tests.e2e.leftovers import Traces
from tests.e2e.runner import LIMIT, Done, Pegasus, Running
from tests.faults.trial import Job, jobs_in, obeys_signals, pass_time, read
from tests.nodes import Process, wait_until
from tests.nodes.processes import everything, has_in_environment

Moment: TypeAlias = Literal["any", "taking", "starting", "ending"]
Report: TypeAlias = dict[str, Any]

PLACES = {
    "localhost": "- hostname: localhost\n  place: [a, b, c]\n",
    "ssh": "- hostname: node-1\n  place: [a, b]\n",
    "both": "- localhost\n- hostname: node-1\n  place: [a, b]\n",
}
SUB_NODES = 3
"""The most sub-nodes that a place has; so many jobs are taken at once."""

ROUNDS = 6
"""Runs at most until all is done after the last kill: some jobs fail once on each node."""

PROMISE = 10.0
"""Seconds after which nothing of a killed run may live."""

AGAIN = "ended, not recorded, and so run again"
UNDONE = "killed in the middle of a take, which was undone"
LATE = "killed after it was over"
KILLED = "killed"

QUEUE = """\
# Jobs that write down what they do; comments stay.
- command:
    - |
      echo "start $PEGASUS_RUN $PEGASUS_JOB {{{{ n }}}}/{{{{ pause }}}}" >> {log}
      sleep {{{{ pause }}}}; r=0
      # Some fail, the first time that they come so far.
      [ {{{{ n }}}} != 3 ] || [ -e {log}-{{{{ pause }}}} ] || {{ r=3; : > {log}-{{{{ pause }}}}; }}
      echo "end $PEGASUS_RUN $PEGASUS_JOB {{{{ n }}}}/{{{{ pause }}}} $r" >> {log}; exit $r
  n: [1, 2, 3, 4, 5]
  pause: [0, 0.01, 0.04, 0.2]   # seconds
# The end.
"""


@dataclass(frozen=True, slots=True)
class Kill:
    """When a run is killed: a random time after it is at work, or just after its n-th step."""

    moment: Moment
    step: int
    after: float


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """What a trial does; all of it follows from the seed."""

    seed: str
    place: str
    kills: tuple[Kill, ...]

    @classmethod
    def draw(cls, seed: str) -> CrashPlan:
        """Draw a plan."""
        rng = random.Random(seed)
        place = rng.choice(["localhost", "localhost", *PLACES])
        kills = [
            Kill(
                rng.choice(get_args(Moment)),
                rng.randrange(1, 9),
                rng.choice([0.0, rng.uniform(0, 0.02), rng.uniform(0, 1.2)]),
            )
            for _ in range(2)
        ]
        return cls(seed, place, tuple(kills))


@dataclass(frozen=True, slots=True)
class Written:
    """What a job wrote down: what happened (``start`` or ``end``), in which run, with what."""

    what: str
    run: str
    number: int
    name: str
    status: int | None


@dataclass(slots=True)
class Crash:
    """A trial, in a folder of its own.

    Attributes:
        counted: what the crashes cost, by what it was.
    """

    pegasus: Pegasus
    traces: Traces
    plan: CrashPlan
    counted: Counter[str] = field(default_factory=Counter)
    reports: dict[str, Report] = field(default_factory=dict)
    put_back: Counter[Job] = field(default_factory=Counter)
    whole: Counter[Job] = field(default_factory=Counter)
    killed_at: float = 0.0

    @classmethod
    def of(cls, pegasus: Pegasus, traces: Traces, plan: CrashPlan) -> Crash:
        """Make the folder and the queue."""
        folder = pegasus.folder / "trial"
        folder.mkdir()
        crash = cls(replace(pegasus, folder=folder), traces, plan)
        text = QUEUE.format(log=f"~/{crash.log_name}")
        crash.pegasus.queue_file.write_text(text)
        crash.whole = jobs_in(text)
        return crash

    @property
    def log_name(self) -> str:
        """The name of the file in which jobs write down what they do, in each home."""
        return f"crash-{self.pegasus.folder.parent.name}-{self.plan.seed.replace('/', '-')}"

    def logs(self) -> list[Path]:
        """Give these files."""
        homes = [node.home for node in self.pegasus.nodes] + [
            Path(self.pegasus.environment["HOME"])
        ]
        return [home / self.log_name for home in homes]

    def make(self) -> Counter[str]:
        """Make the trial; give what was counted."""
        try:
            for kill in self.plan.kills:
                self._run_and_kill(kill)
            self._run_to_the_end()
            self._look_at_the_whole()
            self._look_for_processes()
        finally:
            for log in self.logs():
                for path in log.parent.glob(f"{log.name}*"):
                    path.unlink()
        return self.counted

    # Killing.

    def _run_and_kill(self, kill: Kill) -> None:
        before = jobs_in(self._text(self.pegasus.consumed_file))
        running = self.pegasus.start("q", hosts=PLACES[self.plan.place])
        self._wait_for_the_moment(running, kill, before.total())
        running.kill()
        self.killed_at = time.monotonic()
        self.counted[KILLED if running.status == -signal.SIGKILL else LATE] += 1
        self._look_at_the_journals()
        report = self._report(running)  # at once, while commands may still be dying
        self._wait_for_its_jobs(running)
        if report is None:
            assert jobs_in(self._text(self.pegasus.consumed_file)) == before
            assert not [each for each in self._written() if each.run not in self.reports]
        else:
            # It may be killed when all is recorded, on its way out.
            states = {"died", "ended"} if running.status == -signal.SIGKILL else {"ended"}
            assert report["state"] in states, report
            self.reports[report["run"]] = report
            self._look_at(report)
        self._look_at_the_files()
        self._retry(report)

    def _wait_for_the_moment(self, running: Running, kill: Kill, taken: int) -> None:
        """Wait for it, or for the end of a run that has no such moment."""
        wait_until(lambda: running.status is not None or obeys_signals(running), limit=LIMIT)
        written = len(self._written())
        steps: dict[Moment, Callable[[], bool]] = {
            "any": lambda: True,
            "taking": lambda: self._consumed() >= taken + kill.step,
            "starting": lambda: len(self._written()) >= written + kill.step,
            "ending": lambda: self._ends(running.pid) >= kill.step,
        }
        deadline = time.monotonic() + LIMIT
        while running.status is None and not steps[kill.moment]():  # as quick as can be
            assert time.monotonic() < deadline
        pass_time(kill.after)

    def _consumed(self) -> int:
        return (read(self.pegasus.consumed_file) or b"").count(b"- command")

    def _ends(self, pid: int) -> int:
        ours = [each for each in self._written() if each.run.endswith(f"-{pid}")]
        return sum(each.what == "end" for each in ours)

    def _wait_for_its_jobs(self, running: Running) -> None:
        """Wait until nobody can write anything down any more; who stands guard takes longer."""
        folders = [each.name for each in self._folders() if each.name.endswith(f"-{running.pid}")]

        def alive() -> list[str]:
            return [
                process.command
                for process in everything()
                if process.alive
                and any(has_in_environment(process.host_pid, f"PEGASUS_RUN={f}") for f in folders)
                and not process.command.startswith("sleep 5")
            ]

        wait_until(lambda: not alive(), what="the jobs to end")

    # Looking.

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.pegasus.folder.glob(".pegasus/*") if path.is_dir())

    def _text(self, path: Path) -> str:
        return (read(path) or b"").decode()

    def _written(self) -> list[Written]:
        found = []
        for log in self.logs():
            for line in self._text(log).splitlines():
                what, run, number, name, *status = line.split()
                one = Written(what, run, int(number), name, int(status[0]) if status else None)
                found.append(one)
        return found

    def _look_at_the_journals(self) -> None:
        """Each can be read to its last whole line, and only the last may be torn."""
        for folder in self._folders():
            *lines, _ = (read(folder / "journal.jsonl") or b"").split(b"\n")
            events = [json.loads(line)["event"] for line in lines]
            assert events[:1] in ([], ["run_started"])
            assert set(events) <= {
                *("run_started", "connected", "unreachable", "noted", "gap", "run_ended"),
                *("taken", "started", "returned", "ended"),
            }

    def _tell(self, *arguments: str) -> Done:
        queue = f"--queue-file={self.pegasus.queue_file}"
        return self.pegasus.start_bare(*arguments, queue).wait()

    def _report(self, running: Running) -> Report | None:
        """Ask for what is known of a run; None where it died before it wrote its first line."""
        done = self._tell("status", "--json")
        assert done.status == 0, done.stderr
        data = json.loads(done.out)
        assert data["waiting"] == jobs_in(self._text(self.pegasus.queue_file)).total()
        fitting: list[Report] = [run for run in data["runs"] if run["pid"] == running.pid]
        return fitting[0] if fitting else None

    def _look_at(self, report: Report) -> None:
        """What a run's record says is what its jobs wrote down."""
        assert report["warnings"] == []
        ours = [each for each in self._written() if each.run == report["run"]]
        starts = Counter(each.number for each in ours if each.what == "start")
        ends = {each.number: each.status for each in ours if each.what == "end"}
        assert len(ends) == sum(each.what == "end" for each in ours)
        assert set(starts) <= {job["job"] for job in report["jobs"] if job["executions"]}
        assert not starts or max(starts.values()) == 1
        for job in report["jobs"]:
            number, outcome = job["job"], outcome_of(job)
            match outcome["kind"]:
                case "exited":
                    assert (starts[number], ends.get(number)) == (1, outcome["status"])
                case "killed":  # by nobody but a Pegasus that died, which does not record it
                    raise AssertionError(job)
                case "lost" if not job["executions"]:
                    assert starts[number] == 0
                case "lost":
                    self.counted[AGAIN] += ends.get(number) == 0
                case other:
                    assert other is None, job

    def _look_at_the_files(self) -> None:
        """Each job is in the queue or consumed exactly once, and the journals say which."""
        consumed = jobs_in(self._text(self.pegasus.consumed_file))
        queue = jobs_in(self._text(self.pegasus.queue_file))
        doubled = consumed + queue - self.whole - self.put_back
        assert self.whole + self.put_back - consumed - queue == Counter()
        if doubled:
            names = [f".queue.yaml.pegasus-{kind}" for kind in ("take", "new")]
            assert all((self.pegasus.folder / name).exists() for name in names)
            assert doubled.total() <= SUB_NODES
            self.counted[UNDONE] += 1
        known = Counter(job_of(job) for report in self.reports.values() for job in report["jobs"])
        assert known - consumed == Counter()
        assert consumed - doubled - known == Counter(), "taken, and in no journal"

    # Going on.

    def _retry(self, report: Report | None) -> Counter[Job]:
        """Put back what did not end well: exactly that, and each once, however often one asks."""
        bad = [job for job in report["jobs"] if not well(job)] if report else []
        expected = Counter(job_of(job) for job in bad)
        before = jobs_in(self._text(self.pegasus.queue_file))
        if not self.reports:
            assert self._tell("retry").status == 2
            return expected
        assert self._tell("retry").status == 0
        data = self._text(self.pegasus.queue_file)
        assert jobs_in(data) - before == expected
        assert before - jobs_in(data) == Counter()
        again = self._tell("retry")
        assert again.status == 0
        assert "is put back" in again.stderr
        assert self._text(self.pegasus.queue_file) == data
        self.put_back += expected
        return expected

    def _run_to_the_end(self) -> None:
        for _ in range(ROUNDS):
            running = self.pegasus.start("q")
            done = running.wait()
            report = self._report(running)
            assert report is not None
            self.reports[report["run"]] = report
            self._look_at(report)
            self._look_at_the_files()
            back = self._retry(report)
            assert done.status == (1 if back else 0)
            if not back:
                return
        raise AssertionError("there is no end of it")

    def _look_at_the_whole(self) -> None:
        """Each job was reported as well ended once, and then ran to its end once."""
        ended = [
            (run, job)
            for run, report in self.reports.items()
            for job in report["jobs"]
            if well(job)
        ]
        times = Counter(job_of(job) for _, job in ended)
        assert times == self.whole
        written = [each for each in self._written() if each.status == 0]
        by_run = Counter((each.run, each.number) for each in written)
        assert all(by_run[run, job["job"]] == 1 for run, job in ended)
        assert len(written) == len(ended) + self.counted[AGAIN]

    def _look_for_processes(self) -> None:
        """Nothing of a killed run lives ten seconds later."""
        left = self.killed_at + PROMISE - time.monotonic()
        wait_until(
            lambda: not self._living(), limit=max(0.1, left), what=f"{self._living()} to end"
        )

    def _living(self) -> list[Process]:
        return self.traces.processes() + [p for node in self.traces.nodes for p in node.living()]


def job_of(job: Report) -> Job:
    """Give a job of a report as the files have it."""
    return job["command"], tuple(job["params"].items())


def outcome_of(job: Report) -> Report:
    """Give what became of a job of a run that is over, in queue mode."""
    (outcome,) = job["outcomes"]
    found: Report = outcome
    return found


def well(job: Report) -> bool:
    """Tell whether a job ended well."""
    return outcome_of(job) == {"kind": "exited", "status": 0}


@contextmanager
def plan_said(plan: CrashPlan) -> Iterator[None]:
    """Say with a failure how to make the same trial again."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{plan}\nto make it again: PEGASUS_TRIAL_SEED={plan.seed}")
        raise
