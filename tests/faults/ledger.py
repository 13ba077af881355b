"""The account of a trial: the result of each job, from all files.

Rule 1: there are four sources: the queue file, ``consumed.yaml``, the journals of all runs, and the
notes of the jobs on their nodes. The output of Pegasus does not count.
Rule 2: a job is *lost* if no file shows that it did not end: it was taken, and no journal
says that it ended, nor that it was lost or not started, nor, of a run that died, that it was taken.
One that never began, and that only ``consumed.yaml`` has, is counted separately.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.faults.trial import jobs_in, read

NOTE = 'echo "{{ n }} $PEGASUS_SUB_NODE %s" >> ~/%s'


def queue_text(jobs: int, seconds: float, notes: str) -> str:
    """Return a queue of jobs that write notes on their node when they begin and when they end."""
    command = f"{NOTE % ('begin', notes)}; sleep {seconds:g}; {NOTE % ('end', notes)}"
    numbers = ", ".join(str(number) for number in range(jobs))
    return f"# a comment\n- command: '{command}'\n  n: [{numbers}]\n# another\n"


@dataclass(slots=True)
class Told:
    """What the journals contain of a job.

    Attributes:
        taken: how often it was taken.
        open: how many of these have no end although their run has ended.
        outcomes: how it ended, each time; ``died`` where its run did before.
    """

    taken: int = 0
    open: int = 0
    outcomes: list[str] = field(default_factory=list)


def journals(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Read the journals beside a queue file."""
    for path in sorted(folder.glob(".pegasus/*/journal.jsonl")):
        yield list(whole_lines(path.read_bytes()))


def whole_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """Read the lines of a journal, without those that a crash or a full disk tore."""
    for line in data.splitlines():
        with suppress(ValueError):
            yield json.loads(line)


def told_by(events: Iterable[dict[str, Any]], told: dict[str, Told]) -> None:
    """Add the content of one journal to the results of each job, by the job's ``n``."""
    names: dict[int, str] = {}
    ends: dict[int, dict[int, str]] = defaultdict(dict)
    under_way: dict[int, set[int]] = defaultdict(set)
    over = False
    for event in events:
        match event["event"]:
            case "taken":
                names[event["job"]] = event["params"]["n"]
            case "started":
                under_way[event["job"]].add(event["sub_node"])
            case "returned":
                under_way[event["job"]].discard(event["sub_node"])
            case "ended":
                under_way[event["job"]].discard(event["sub_node"])
                ends[event["job"]][event["sub_node"]] = kind_of(event["outcome"])
            case "run_ended":
                over = True
    for job, name in names.items():
        about = told[name]
        about.taken += 1
        about.outcomes += ends[job].values()
        if under_way[job] or not ends[job]:
            about.outcomes += [] if over else ["died"]
            about.open += over


def kind_of(outcome: dict[str, Any]) -> str:
    """Return the name of an outcome: its kind, and ``succeeded`` for exit status 0."""
    return "succeeded" if outcome.get("status") == 0 else str(outcome["kind"])


@dataclass(slots=True)
class Account:
    """The results of the jobs of a trial, or of several.

    Attributes:
        jobs: how many there were.
        ended: how many ended by themselves, according to the journals.
        reported: how many were reported as lost, not started, or under way when Pegasus died.
        unrecorded: how many were taken by a run that died before it could write that into its
            journal: they never began, and are in ``consumed.yaml``.
        lost: those that were lost without a report.
        twice: those that ran more than once.
        wrong: those whose report differs from their own notes.
        orphans: processes that lived on for more than ten seconds.
        stuck: runs that did not end.
        kept: commands that sshd keeps alive, as it gets no notice
            that their connection is dead; in trials of that fault.
        counted: effects and costs of crashes, by kind.
    """

    jobs: int = 0
    ended: int = 0
    reported: int = 0
    unrecorded: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Account) -> Self:
        """Add the account of another trial."""
        self.jobs += other.jobs
        self.ended += other.ended
        self.reported += other.reported
        self.unrecorded += other.unrecorded
        for name in ("lost", "twice", "wrong", "orphans", "stuck", "kept"):
            getattr(self, name).extend(getattr(other, name))
        self.counted.update(other.counted)
        return self

    @property
    def faults(self) -> list[str]:
        """Return a line for each violation."""
        return [
            f"{name}: {word}"
            for name in ("lost", "twice", "wrong", "orphans", "stuck")
            for word in getattr(self, name)
        ]


def settle(folder: Path, jobs: int, notes: Iterable[Path], *, everywhere: bool) -> Account:
    """Account for every job of a trial that is over.

    Args:
        folder: where the queue file is.
        jobs: how many there were.
        notes: the files of their notes.
        everywhere: whether each ran on every sub-node.
    """
    waits, consumed = names_in(folder / "queue.yaml"), names_in(folder / "consumed.yaml")
    told: dict[str, Told] = defaultdict(Told)
    for events in journals(folder):
        told_by(events, told)
    begun, ended = noted(notes)
    account = Account(jobs=jobs)
    for name in (str(number) for number in range(jobs)):
        about = told[name]
        account.reported += any(o in {"lost", "not_started", "died"} for o in about.outcomes)
        account.ended += any(o in {"succeeded", "exited", "killed"} for o in about.outcomes)
        if waits[name] + consumed[name] == 0:
            account.lost.append(f"{name} is in neither file")
        elif not waits[name] and not about.taken and name not in names_of(begun):
            account.unrecorded += 1
        elif not waits[name] and (not about.taken or about.open):
            account.lost.append(f"{name} was taken, and the journals say {about}")
        if waits[name] + consumed[name] > 1 or about.taken > 1:
            account.twice.append(f"{name}: {waits[name]} wait, {consumed[name]} taken, {about}")
        places = [place for (job, place) in begun.elements() if job == name]
        if len(places) > (len(set(places)) if everywhere else 1):
            account.twice.append(f"{name} began on {places}")
        account.wrong += wrongly_told(name, about, begun, ended, waits=bool(waits[name]))
    return account


def names_of(noted: Counter[tuple[str, str]]) -> set[str]:
    """Return the jobs that have notes."""
    return {job for job, _ in noted}


def wrongly_told(
    name: str,
    about: Told,
    begun: Counter[tuple[str, str]],
    ended: Counter[tuple[str, str]],
    *,
    waits: bool,
) -> Iterator[str]:
    """Compare the report of a job with its own notes."""
    began = sum(count for (job, _), count in begun.items() if job == name)
    came_to_its_end = sum(count for (job, _), count in ended.items() if job == name)
    if about.outcomes.count("succeeded") > came_to_its_end:
        yield f"{name} is said to have succeeded, and noted no end: {about}"
    if waits and began:
        yield f"{name} waits in the queue, and has begun"
    if set(about.outcomes) == {"not_started"} and began:
        yield f"{name} is said not to have started, and has begun"


def noted(files: Iterable[Path]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Read the jobs' own notes: which began and which ended, by job and sub-node."""
    counts: dict[str, Counter[tuple[str, str]]] = {"begin": Counter(), "end": Counter()}
    for path in files:
        for line in (read(path) or b"").decode().splitlines():
            job, place, what = line.split()
            counts[what][job, place] += 1
    return counts["begin"], counts["end"]


def names_in(path: Path) -> Counter[str]:
    """Count the jobs in a queue file, or in ``consumed.yaml``, by their ``n``."""
    found: Counter[str] = Counter()
    for (_, params), count in jobs_in((read(path) or b"").decode()).items():
        found[dict(params)["n"]] += count
    return found
