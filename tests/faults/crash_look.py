"""Checks the results of runs that were killed.

Rule 1: the reports of Pegasus are compared with the notes of the jobs themselves.
Rule 2: the permitted cost of a crash is counted: a job that ended in the last moment and runs
again; in a broadcast also its commands that succeeded on other sub-nodes, since it runs again on
all.
Rule 3: each check names the column of the table in which its violation counts.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.e2e.runner import Done, Pegasus, Running
from tests.faults.trial import Job, Mode, jobs_in, read

Report: TypeAlias = dict[str, Any]
Column: TypeAlias = Literal["lost", "twice", "wrong", "orphans", "stuck"]
SubNodes: TypeAlias = tuple[int, ...]
Place: TypeAlias = tuple[int, int]
"""A job's number in its run, and a sub-node's."""

AGAIN = "ended, not recorded, and so run again"
PARTLY = "ended well, and run again with its broadcast"
UNDONE = "killed in the middle of a take, which was undone"
REPORTED = "reported as lost"


class Violation(AssertionError):
    """A violation of a guarantee.

    Attributes:
        column: the column of the table in which it counts.
    """

    def __init__(self, column: Column, words: str) -> None:
        super().__init__(f"{column}: {words}")
        self.column = column
        self.words = words


def must(holds: object, column: Column, words: str) -> None:
    """Raise a violation if a condition does not hold."""
    if not holds:
        raise Violation(column, words)


@dataclass(frozen=True, slots=True)
class Written:
    """The note of a job: its event (``start`` or ``end``), its run, its sub-node."""

    what: str
    run: str
    place: Place
    name: str
    status: int | None


@dataclass(slots=True)
class Look:
    """The checks of a trial, with the results so far.

    Attributes:
        pegasus: the command, in the trial's folder.
        mode: of all runs.
        sub_nodes: the numbers of a run's sub-nodes.
        logs: the files of the jobs' notes.
        whole: all jobs of the queue.
        counted: the cost of the crashes, by kind.
        reports: the report of each run that is over, by its name.
        put_back: the jobs that retries put back.
        retried: the runs of those jobs.
    """

    pegasus: Pegasus
    mode: Mode
    sub_nodes: SubNodes
    logs: list[Path]
    whole: Counter[Job]
    counted: Counter[str]
    reports: dict[str, Report] = field(default_factory=dict)
    put_back: Counter[Job] = field(default_factory=Counter)
    retried: set[str] = field(default_factory=set)

    def folders(self, running: Running | None = None) -> list[Path]:
        """Return the folders of all runs; those of one run are none or one."""
        which = f"*-{running.pid}" if running else "*"
        return sorted(p for p in self.pegasus.folder.glob(f".pegasus/{which}") if p.is_dir())

    def tell(self, *arguments: str) -> Done:
        """Run a command about the queue."""
        queue = f"--queue-file={self.pegasus.queue_file}"
        return self.pegasus.start_bare(*arguments, queue).wait()

    def jobs_of(self, path: Path) -> Counter[Job]:
        """Return the jobs in a file."""
        return jobs_in((read(path) or b"").decode())

    def written(self) -> list[Written]:
        """Read the notes of the jobs."""
        found = []
        for log in self.logs:
            for line in (read(log) or b"").decode().splitlines():
                what, run, number, sub_node, name, *status = line.split()
                place = int(number), int(sub_node)
                found.append(Written(what, run, place, name, int(status[0]) if status else None))
        return found

    def report(self, running: Running, *, alone: bool = True) -> Report | None:
        """Return the report of a run; None if it died before it wrote its first line.

        Args:
            running: the run.
            alone: whether no process changes the queue meanwhile.
        """
        folders = self.folders(running)
        if not folders or b"\n" not in (read(folders[0] / "journal.jsonl") or b""):
            return None
        done = self.tell("status", "--json", f"--run={folders[0].name}")
        must(done.status == 0, "wrong", f"status: {done}")
        data = json.loads(done.out)
        waiting = self.jobs_of(self.pegasus.queue_file).total()
        must(not alone or data["waiting"] == waiting, "wrong", f"{data['waiting']} wait")
        (found,) = data["runs"]
        must(found["pid"] == running.pid, "wrong", f"another run's status: {found}")
        report: Report = found
        return report

    # Guarantees.

    def at_the_journals(self) -> None:
        """Each journal can be read to its last whole line, and only the last may be torn."""
        for folder in self.folders():
            *lines, _ = (read(folder / "journal.jsonl") or b"").split(b"\n")
            try:
                events = [json.loads(line)["event"] for line in lines]
            except ValueError:
                raise Violation("wrong", f"a broken line in {folder.name}") from None
            must(events[:1] in ([], ["run_started"]), "wrong", f"{folder.name} begins {events[:1]}")
            known = {
                *("run_started", "connected", "unreachable", "noted", "gap", "run_ended"),
                *("taken", "started", "returned", "ended"),
            }
            must(set(events) <= known, "wrong", f"{folder.name} says {set(events) - known}")

    def at_a_report(self, report: Report) -> None:
        """A run's record equals the notes of its jobs."""
        must(report["warnings"] == [], "wrong", f"{report['warnings']}")
        self.reports[report["run"]] = report
        ours = [each for each in self.written() if each.run == report["run"]]
        starts = Counter(each.place for each in ours if each.what == "start")
        ends = {each.place: each.status for each in ours if each.what == "end"}
        must(len(ends) == sum(each.what == "end" for each in ours), "twice", f"{ours}")
        must(not starts or max(starts.values()) == 1, "twice", f"{starts}")
        told = {
            (job["job"], each["sub_node"]) for job in report["jobs"] for each in executions(job)
        }
        must(set(starts) <= told, "wrong", f"began and is not told: {set(starts) - told}")
        for job in report["jobs"]:
            for execution in executions(job):
                self._at_an_execution(job, execution, starts, ends)
            if not job["executions"]:
                kinds = [outcome["kind"] for outcome in job["outcomes"]]
                must(kinds == ["lost"], "wrong", f"{job}")
            self.counted[REPORTED] += is_lost(job)
        if self.mode == "b":
            self._at_a_broadcast(report)
        else:
            many = [job for job in report["jobs"] if len(job["outcomes"]) != 1]
            must(not many, "wrong", f"{many}")

    def _at_an_execution(
        self, job: Report, execution: Report, starts: Counter[Place], ends: dict[Place, int | None]
    ) -> None:
        place, outcome = (job["job"], execution["sub_node"]), execution["outcome"]
        match outcome["kind"]:
            case "exited":
                seen = (starts[place], ends.get(place))
                must(seen == (1, outcome["status"]), "wrong", f"{execution}, but {seen}")
                self.counted[PARTLY] += outcome["status"] == 0 and not well(job)
            case "lost":
                self.counted[AGAIN] += ends.get(place) == 0
            case _:  # killed only by a Pegasus that died, which does not record it
                raise Violation("wrong", f"{execution}")

    def _at_a_broadcast(self, report: Report) -> None:
        """A job that succeeded ran everywhere; the next was taken when it had ended everywhere."""
        for number, job in enumerate(report["jobs"], start=1):
            places = [each["sub_node"] for each in executions(job)]
            must(len(set(places)) == len(places), "twice", f"on {places}: {job}")
            everywhere = set(places) == set(self.sub_nodes)
            must(everywhere or not well(job), "wrong", f"on {places} alone: {job}")
            over = everywhere and not is_lost(job)
            last = number == len(report["jobs"])
            must(over or last, "wrong", f"another one was taken before the end of {job}")

    def at_the_files(self) -> None:
        """Each job is in the queue or consumed exactly once, and the journals state which."""
        consumed = self.jobs_of(self.pegasus.consumed_file)
        queue = self.jobs_of(self.pegasus.queue_file)
        doubled = consumed + queue - self.whole - self.put_back
        missing = self.whole + self.put_back - consumed - queue
        must(missing == Counter(), "lost", f"in neither file: {missing}")
        if doubled:
            names = [f".queue.yaml.pegasus-{kind}" for kind in ("take", "new")]
            undone = all((self.pegasus.folder / name).exists() for name in names)
            must(undone, "twice", f"in both files: {doubled}")
            must(doubled.total() <= len(self.sub_nodes), "twice", f"too many: {doubled}")
            self.counted[UNDONE] += 1
        known = Counter(job_of(job) for report in self.reports.values() for job in report["jobs"])
        must(known - consumed == Counter(), "wrong", f"known, not taken: {known - consumed}")
        silent = consumed - doubled - known
        must(silent == Counter(), "lost", f"taken, and in no journal: {silent}")
        strangers = {each.run for each in self.written()} - set(self.reports)
        must(not strangers, "wrong", f"jobs of runs without a record: {strangers}")

    def at_the_whole(self) -> None:
        """Each job was reported as successful once, and then ran to its end once."""
        ended = [
            (run, job)
            for run, report in self.reports.items()
            for job in report["jobs"]
            if well(job)
        ]
        times = Counter(job_of(job) for _, job in ended)
        must(self.whole - times == Counter(), "lost", f"never ended: {self.whole - times}")
        must(times == self.whole, "twice", f"ended more than once: {times - self.whole}")
        written = [each for each in self.written() if each.status == 0]
        by_run = Counter((each.run, each.place) for each in written)
        places = [
            (run, (job["job"], each["sub_node"])) for run, job in ended for each in executions(job)
        ]
        must(all(by_run[place] == 1 for place in places), "wrong", "well without an end")
        cost = self.counted[AGAIN] + self.counted[PARTLY]
        must(len(written) == len(places) + cost, "twice", f"{len(written)} ends, cost {cost}")


def executions(job: Report) -> list[Report]:
    """Return the commands of a job."""
    found: list[Report] = job["executions"]
    return found


def job_of(job: Report) -> Job:
    """Return a job of a report as the files have it."""
    return job["command"], tuple(job["params"].items())


def well(job: Report) -> bool:
    """Return whether a job succeeded wherever it ran."""
    outcomes = job["outcomes"]
    return bool(outcomes) and all(o == {"kind": "exited", "status": 0} for o in outcomes)


def is_lost(job: Report) -> bool:
    """Return whether a job is reported as lost anywhere."""
    return any(outcome["kind"] == "lost" for outcome in job["outcomes"])
