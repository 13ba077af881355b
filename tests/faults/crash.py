"""One trial of ``kill -9`` of Pegasus: kills at random moments, checks and retries.

Rule 1: what is random comes from one seed, so that a trial can be repeated;
its middle part names the kind: ``5d002ab5/crash-pair/7``.
Rule 2: ``crash_look`` checks the results, after all processes that could write have ended.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from tests.e2e.leftovers import Traces
from tests.e2e.runner import LIMIT, Pegasus, Running
from tests.faults.crash_look import Look, Report, SubNodes, Violation, job_of, must, well
from tests.faults.trial import Job, Mode, jobs_in, obeys_signals, pass_time, read
from tests.nodes import NodesFault, Process, wait_until
from tests.nodes.processes import everything, has_in_environment

Kind: TypeAlias = Literal["queue", "broadcast", "pair"]
Moment: TypeAlias = Literal["any", "taking", "within", "starting", "ending"]

PLACES: dict[str, tuple[str, SubNodes]] = {
    "localhost": ("- hostname: localhost\n  place: [a, b, c]\n", (0, 1, 2)),
    "ssh": ("- hostname: node-1\n  place: [a, b]\n", (0, 1)),
    "both": ("- localhost\n- hostname: node-1\n  place: [a, b]\n", (0, 1, 2)),
}

ROUNDS = 6
"""Maximum of runs until all is done after the last kill: some jobs fail once on each node."""

QUICK = 0.0005
"""Seconds between two checks for the moment of a kill: a take
lasts some milliseconds. The pause leaves the processor to the runs."""

PROMISE = 10.0
"""Seconds after which nothing of a killed run may live."""

LATE = "killed after it was over"
KILLED = "killed"
BOTH = "killed, both of them"
TORN = "killed in the middle of a take, whichever way that went"
BESIDE = "put back while the other one went on"

QUEUE = """\
# Jobs that write down what they do; comments stay.
- command:
    - |
      me="$PEGASUS_RUN $PEGASUS_JOB $PEGASUS_SUB_NODE {{{{ n }}}}/{{{{ pause }}}}"
      echo "start $me" >> {log}
      sleep {{{{ pause }}}}; r=0
      # Some fail, the first time that they come so far.
      [ {{{{ n }}}} != 3 ] || [ -e {log}-{{{{ pause }}}} ] || {{ r=3; : > {log}-{{{{ pause }}}}; }}
      echo "end $me $r" >> {log}; exit $r
  n: [1, 2, 3, 4, 5]
  pause: [0, 0.01, 0.04, 0.2]   # seconds
# The end.
"""


@dataclass(frozen=True, slots=True)
class Kill:
    """The moment of a kill: a random time after the start of the work, or after a step.

    Attributes:
        moment: the awaited moment; ``within`` is in the middle of a take.
        step: the number of the step.
        after: seconds from that moment to the kill.
        whom: the runs to kill among those that were started together, in this order.
        between: seconds between two kills.
        beside: whether jobs are put back while the other run goes on.
    """

    moment: Moment
    step: int
    after: float
    whom: tuple[int, ...] = (0,)
    between: float = 0.0
    beside: bool = False


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """The plan of a trial, which follows from the seed.

    Attributes:
        seed: the seed.
        mode: of all runs.
        place: where they run their jobs.
        at_once: how many runs are started together, on one queue.
        kills: one after the other, each of its own runs.
    """

    seed: str
    mode: Mode
    place: str
    at_once: int
    kills: tuple[Kill, ...]

    @classmethod
    def draw(cls, seed: str) -> CrashPlan:
        """Make a random plan of the kind that is in the seed."""
        rng = random.Random(seed)
        kind = kind_in(seed)
        place = rng.choice(["localhost", "localhost", *PLACES])
        modes: dict[Kind, tuple[Mode, ...]] = {"queue": ("q",), "broadcast": ("b",)}
        mode = rng.choice(modes.get(kind, ("q", "q", "b")))
        kills = [
            Kill(
                rng.choice(get_args(Moment)),
                rng.randrange(1, 9),
                rng.choice([0.0, rng.uniform(0, 0.02), rng.uniform(0, 1.2)]),
            )
            for _ in range(2)
        ]
        kills = [replace(k, after=0.0) if k.moment == "within" else k for k in kills]
        if kind == "pair":
            kills = [
                replace(
                    kill,
                    whom=rng.choice([(0,), (1,), (0, 1), (1, 0)]),
                    between=rng.choice([0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.5)]),
                    beside=rng.random() < 0.5,
                )
                for kill in kills
            ]
        return cls(seed, mode, place, 2 if kind == "pair" else 1, tuple(kills))


def kind_in(seed: str) -> Kind:
    """Return the kind of trial of a seed."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    return next((kind for kind in kinds if f"crash-{kind}/" in seed), "queue")


@dataclass(slots=True)
class Crash:
    """A trial, in a folder of its own.

    Attributes:
        counted: the cost of the crashes, by kind.
        killed_at: when the last run was killed.
        suspects: the processes before the first run that is not killed: by pid and start time.
    """

    pegasus: Pegasus
    traces: Traces
    plan: CrashPlan
    look: Look
    counted: Counter[str] = field(default_factory=Counter)
    killed_at: float = 0.0
    suspects: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def of(cls, pegasus: Pegasus, traces: Traces, plan: CrashPlan) -> Crash:
        """Make the folder and the queue."""
        folder = pegasus.folder / "trial"
        folder.mkdir()
        pegasus = replace(pegasus, folder=folder)
        name = f"crash-{folder.parent.parent.name}-{folder.parent.name}"
        name += f"-{plan.seed.replace('/', '-')}"
        text = QUEUE.format(log=f"~/{name}")
        pegasus.queue_file.write_text(text)
        homes = [node.home for node in pegasus.nodes] + [Path(pegasus.environment["HOME"])]
        counted: Counter[str] = Counter()
        look = Look(
            pegasus=pegasus,
            mode=plan.mode,
            sub_nodes=PLACES[plan.place][1],
            logs=[home / name for home in homes],
            whole=jobs_in(text),
            counted=counted,
        )
        return cls(pegasus, traces, plan, look, counted)

    def make(self) -> Counter[str]:
        """Run the trial; return the counts."""
        try:
            for kill in self.plan.kills:
                self._run_and_kill(kill)
            self._run_to_the_end()
            self.look.at_the_whole()
            self._look_for_processes()
        except Exception:
            self._keep_logs()
            raise
        finally:
            for log in self.look.logs:
                for path in log.parent.glob(f"{log.name}*"):
                    path.unlink()
        return self.counted

    def _keep_logs(self) -> None:
        """Write the notes of the jobs beside the queue, for the analysis of a failure."""
        for number, log in enumerate(self.look.logs):
            if log.exists():
                shutil.copy(log, self.pegasus.folder / f"noted-{number}")

    # Killing.

    def _run_and_kill(self, kill: Kill) -> None:
        before = jobs_in((read(self.pegasus.consumed_file) or b"").decode())
        runs = self._start()
        victims = [runs[number] for number in kill.whom]
        self._wait_for_the_moment(victims[0], kill, before.total())
        for number, victim in enumerate(victims):
            pass_time(kill.between if number else 0.0)
            victim.kill()
        self.killed_at = time.monotonic()
        died = [victim for victim in victims if victim.status == -signal.SIGKILL]
        self.counted[KILLED] += len(died)
        self.counted[TORN] += self._takes()
        self.counted[LATE] += len(victims) - len(died)
        self.counted[BOTH] += len(died) > 1
        if kill.beside and len(victims) < len(runs):
            for victim in victims:
                self._put_back_beside(victim)
        for run in runs:
            if run not in victims:
                run.wait()
        self._look_at_those(runs, before)
        self._retry(runs)

    def _start(self) -> list[Running]:
        hosts = PLACES[self.plan.place][0]
        return [self.pegasus.start(self.plan.mode, hosts=hosts) for _ in range(self.plan.at_once)]

    def _wait_for_the_moment(self, running: Running, kill: Kill, taken: int) -> None:
        """Wait for the moment, or for the end of a run without such a moment."""
        wait_until(lambda: running.status is not None or obeys_signals(running), limit=LIMIT)
        written = len(self.look.written())
        steps: dict[Moment, Callable[[], bool]] = {
            "any": lambda: True,
            "taking": lambda: self._consumed() >= taken + kill.step,
            "within": lambda: self._consumed() >= taken + kill.step and self._takes(),
            "starting": lambda: len(self.look.written()) >= written + kill.step,
            "ending": lambda: self._ends(running.pid) >= kill.step,
        }
        wait_until(
            lambda: running.status is not None or steps[kill.moment](),
            limit=LIMIT,
            what=f"the moment of {kill}",
            glance=QUICK,
        )
        pass_time(kill.after)

    def _consumed(self) -> int:
        return (read(self.pegasus.consumed_file) or b"").count(b"- command")

    def _takes(self) -> bool:
        """Return whether a take is in progress."""
        return (self.pegasus.folder / ".queue.yaml.pegasus-take").exists()

    def _ends(self, pid: int) -> int:
        ours = [each for each in self.look.written() if each.run.endswith(f"-{pid}")]
        return sum(each.what == "end" for each in ours)

    def _wait_for_its_jobs(self, running: Running) -> None:
        """Wait until no process can write notes any more; guards take longer."""
        names = [path.name for path in self.look.folders(running)]

        def alive() -> list[str]:
            return [
                process.command
                for process in everything()
                if process.alive
                and any(has_in_environment(process.host_pid, f"PEGASUS_RUN={f}") for f in names)
                and not process.command.startswith("sleep 5")
            ]

        wait_until(lambda: not alive(), what="the jobs to end")

    # Checks.

    def _look_at_those(self, runs: list[Running], before: Counter[Job]) -> None:
        """Check runs that are over, however they ended."""
        self.look.at_the_journals()
        found = [
            self.look.report(run) for run in runs
        ]  # at once, while commands may still be ending
        for running in runs:
            self._wait_for_its_jobs(running)
        if not any(found):
            consumed = jobs_in((read(self.pegasus.consumed_file) or b"").decode())
            must(consumed == before, "lost", "taken by a run that has no record")
        for running, report in zip(runs, found, strict=True):
            if report is not None:
                # It may be killed after everything is recorded, during its exit.
                killed = running.status == -signal.SIGKILL
                states = {"died", "ended"} if killed else {"ended"}
                must(report["state"] in states, "wrong", f"the state of {report}")
                self.look.at_a_report(report)
        self.look.at_the_files()

    # Continuation.

    def _put_back_beside(self, victim: Running) -> None:
        """Put back the jobs of a killed run that did not succeed, while another run continues."""
        self._wait_for_its_jobs(victim)
        folders = self.look.folders(victim)
        if not folders:
            return
        done = self.look.tell("retry", f"--run={folders[0].name}")
        report = self.look.report(victim, alone=False)
        if report is None:
            must(done.status == 2, "wrong", f"retry of a run without a record: {done}")
            return
        must(done.status == 0, "wrong", f"retry beside a run: {done}")
        self.look.reports[report["run"]] = report
        expected = self._put_back_of(report)
        self.counted[BESIDE] += expected.total()

    def _put_back_of(self, report: Report) -> Counter[Job]:
        """Record what a retry puts back of a run, the first time."""
        if report["run"] in self.look.retried:
            return Counter()
        self.look.retried.add(report["run"])
        expected = Counter(job_of(job) for job in report["jobs"] if not well(job))
        self.look.put_back += expected
        return expected

    def _retry(self, runs: list[Running]) -> list[Counter[Job]]:
        """Put back what did not succeed: exactly that, each job once, however often retry runs."""
        if self.plan.at_once == 1:
            found = self.look.folders(runs[0])
            mine = found[0].name if found else ""
            return [self._retry_one(self.look.reports.get(mine), newest=True)]
        names = [path.name for run in runs for path in self.look.folders(run)]
        reports = [self.look.reports[name] for name in names if name in self.look.reports]
        return [self._retry_one(report, newest=False) for report in reports]

    def _retry_one(self, report: Report | None, *, newest: bool) -> Counter[Job]:
        expected = self._put_back_of(report) if report is not None else Counter[Job]()
        before = jobs_in((read(self.pegasus.queue_file) or b"").decode())
        which = [] if newest or report is None else [f"--run={report['run']}"]
        done = self.look.tell("retry", *which)
        if not self.look.reports:
            must(done.status == 2, "wrong", f"retry without a run: {done}")
            return expected
        must(done.status == 0, "wrong", f"retry: {done}")
        data = read(self.pegasus.queue_file)
        after = jobs_in((data or b"").decode())
        must(after - before == expected, "twice", f"put back: {after - before}, not {expected}")
        must(before - after == Counter(), "lost", f"by putting back: {before - after}")
        if expected:
            again = self.look.tell("retry", *which)
            must(again.status == 0, "wrong", f"retry once more: {again}")
            must("is put back" in again.stderr, "wrong", f"retry once more: {again}")
            must(read(self.pegasus.queue_file) == data, "twice", "put back twice")
        return expected

    def _run_to_the_end(self) -> None:
        self.suspects = {(process.host_pid, process.born) for process in self._living()}
        for _ in range(ROUNDS):
            before = jobs_in((read(self.pegasus.consumed_file) or b"").decode())
            runs = self._start()
            done = [running.wait() for running in runs]
            self._look_at_those(runs, before)
            back = self._retry(runs)
            for each, what in zip(done, back, strict=True):
                must(each.status == (1 if what else 0), "wrong", f"{each}, put back: {what}")
            if not any(back):
                return
        raise Violation("stuck", "there is no end of it")

    def _look_for_processes(self) -> None:
        """Nothing of a killed run lives ten seconds later; ``Traces`` checks the others."""

        def living() -> list[Process]:
            return [p for p in self._living() if (p.host_pid, p.born) in self.suspects]

        left = self.killed_at + PROMISE - time.monotonic()
        try:
            wait_until(lambda: not living(), limit=max(0.1, left))
        except NodesFault:
            must(not (found := living()), "orphans", f"{found}")

    def _living(self) -> list[Process]:
        return self.traces.processes() + [p for node in self.traces.nodes for p in node.living()]


@contextmanager
def plan_said(plan: CrashPlan) -> Iterator[None]:
    """Add the seed to the message of a failure, to repeat the trial."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{plan}\nto make it again: PEGASUS_TRIAL_SEED={plan.seed}")
        raise
