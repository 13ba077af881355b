"""A queue with a barrier, runs that take from above it, and what is true about them at any moment.

The runs write real records; what they do is drawn at random. The world knows for each job of the
user whether it waits, runs, succeeded or failed, whatever the records say.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pegasus.barriers import BarrierOpen
from pegasus.events import Ended, Event, Returned, RunEnded, Started, Taken, TakenOver
from pegasus.holds import START_GRACE, gone
from pegasus.model import Assignment, Barrier, BarrierKind, Command, Exited, Job
from pegasus.record import records_of
from pegasus.run_state import RunState
from pegasus.shared_slots import BarrierWatch
from tests.unit.shared import NODE, Clock, RecordedRun

MOST_ALIVE = 2
ALL_KINDS: tuple[BarrierKind, ...] = ("ended", "succeeded")


@dataclass(eq=False)
class Wanted:
    """A job of the user, through all its takes.

    Attributes:
        number: in the run that took it last.
        is_started: whether its command was started, and its end has not been seen.
        has_succeeded: whether a run has seen that it succeeded.
    """

    number: int = 0
    is_started: bool = False
    has_succeeded: bool = False


@dataclass(eq=False)
class SimulatedRun:
    """A run, and what it has to do.

    Attributes:
        open: the jobs that can still change.
        failed: the jobs that have not succeeded.
        followed: whether another process follows its detached commands.
    """

    record: RecordedRun
    watch: BarrierWatch
    state: RunState
    is_detached: bool
    alive: bool = True
    followed: bool = False
    taken: int = 0
    open: list[Wanted] = field(default_factory=list)
    failed: list[Wanted] = field(default_factory=list)

    def tell(self, event: Event) -> None:
        """Record an event."""
        self.record.tell(event)
        self.state.apply(event, 1.0)

    def assigned(self, job: Wanted) -> Assignment:
        """Give the assignment of a job."""
        key = f"key-{job.number}" if self.is_detached else None
        return Assignment(job.number, Job("train"), NODE, Command("train"), key)


class BarrierWorld:
    """All of it.

    Args:
        folder: an empty folder.
        chance: draws what happens.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.queue_file = folder / "queue.yaml"
        self.chance = chance
        self.clock = Clock()
        self.waiting = [Wanted() for _ in range(chance.randint(1, 5))]
        self.wanted = list(self.waiting)
        self.runs: list[SimulatedRun] = []
        self.living: set[tuple[str, int]] = set()
        self.begin()

    @property
    def alive(self) -> list[SimulatedRun]:
        """The runs that live."""
        return [run for run in self.runs if run.alive]

    # What happens.

    def step(self) -> None:
        """Let something happen."""
        if not self.alive:
            self.begin()
        happenings: list[Callable[[], None]] = [
            *[self.take] * 4,
            *[self.progress] * 8,
            self.die,
            self.retry,
            self.kill,
            self.begin,
            self.attach,
        ]
        self.chance.choice(happenings)()

    def begin(self) -> None:
        """Start a run."""
        if len(self.alive) < MOST_ALIVE:
            detached = self.chance.random() < 0.3
            number = len(self.runs) + 1
            name = f"{number:04}-run"
            record, state = RecordedRun(self.queue_file, name, detached=detached), RunState()
            watch = BarrierWatch(self.queue_file, name, state, clock=self.clock)
            self.runs.append(SimulatedRun(record, watch, state, detached))

    def take(self) -> None:
        """Take a job; the taker may be killed before or after the queue file has changed."""
        if not self.waiting or not self.alive:
            return
        run = self.chance.choice(self.alive)
        run.taken += 1
        with (records_of(self.queue_file) / "above-barrier").open("a") as file:
            file.write(json.dumps({"run": run.record.name, "job": run.taken}) + "\n")
        if self.chance.random() < 0.1:
            self._kill(run)
            return
        job = self.waiting.pop(0)
        job.number = run.taken
        run.open.append(job)
        run.tell(Taken(job.number, Job("train")))
        if self.chance.random() < 0.1:
            self._kill(run)

    def progress(self) -> None:
        """Start a job, or let one end that runs."""
        runs = [run for run in self.runs if run.open and (run.alive or run.followed)]
        if not runs:
            return
        run = self.chance.choice(runs)
        job = self.chance.choice(run.open)
        key, assigned = (run.record.name, job.number), run.assigned(job)
        if not job.is_started:
            job.is_started = True
            run.tell(Started(assigned))
            self.living.add(key)
            return
        job.is_started = False
        self.living.discard(key)
        draw = 1.0 if run.followed else self.chance.random()
        if draw < 0.1:
            run.tell(Returned(assigned, "away"))
        elif draw < 0.3:
            run.tell(Ended(assigned, Exited(1), 1.0, again=True))
        else:
            self._end(run, job, assigned)
        if run.followed and not run.open:
            run.tell(RunEnded(0, "done", 0))
            run.followed = False
            run.record.kill()

    def _end(self, run: SimulatedRun, job: Wanted, assigned: Assignment) -> None:
        job.has_succeeded = self.chance.random() < 0.7
        run.tell(Ended(assigned, Exited(0 if job.has_succeeded else 3), 1.0))
        run.open.remove(job)
        if not job.has_succeeded:
            run.failed.append(job)

    def die(self) -> None:
        """Let a command of a killed run come to its end."""
        ours = {(run.record.name, job.number) for run in self._active() for job in run.open}
        orphans = sorted(self.living - ours)
        if orphans:
            self.living.discard(self.chance.choice(orphans))

    def retry(self) -> None:
        """Put a job back that has failed."""
        runs = [run for run in self.runs if run.failed]
        if runs:
            run = self.chance.choice(runs)
            job = run.failed.pop(self.chance.randrange(len(run.failed)))
            name = f".queue.yaml.pegasus-retry-{job.number}-{run.record.name}"
            with (run.record.folder.path / "retried").open("a") as ledger:
                ledger.write(json.dumps({"at": 1.0, "jobs": [job.number], "new": name}) + "\n")
            self.waiting.insert(0, job)

    def kill(self) -> None:
        """Kill a run."""
        if self.alive and self.chance.random() < 0.4:
            self._kill(self.chance.choice(self.alive))

    def _kill(self, run: SimulatedRun) -> None:
        """Kill a run: what was detached goes on, everything else has failed."""
        run.alive = False
        run.record.kill()
        for job in list(run.open):
            if not (run.is_detached and job.is_started):
                job.is_started = False
                run.open.remove(job)
                run.failed.append(job)

    def attach(self) -> None:
        """Follow what a killed run has left."""
        left = [run for run in self.runs if run.open and not run.alive and not run.followed]
        if left:
            run = self.chance.choice(left)
            run.followed = True
            run.record.follow()
            run.tell(TakenOver(1, "here", ""))

    def _active(self) -> list[SimulatedRun]:
        return [run for run in self.runs if run.alive or run.followed]

    def let_all_succeed(self) -> None:
        """Let everything come to its end, and put back what has failed, until nothing is left."""
        while any(not job.has_succeeded for job in self.wanted) or self.living:
            for happen in (self.begin, self.take, self.progress, self.die, self.retry, self.attach):
                happen()

    # What is true, and what the runs think.

    def may_open(self, kind: BarrierKind) -> bool:
        """Return whether a barrier may open now."""
        if self.waiting or self.living or any(run.open for run in self._active()):
            return False
        return kind == "ended" or all(job.has_succeeded for job in self.wanted)

    def opens(self, kind: BarrierKind) -> list[bool]:
        """Return what each run that lives thinks; none thinks of it while a job stands above."""
        verdicts = [run.watch.prepare(Barrier(kind))() for run in self.alive]
        return [not self.waiting and isinstance(each, BarrierOpen) for each in verdicts]

    def ask_nodes(self) -> None:
        """Let each run ask the nodes about what is in doubt."""
        for passed in (0.0, START_GRACE):  # it is asked once more when it is believed
            self.clock.pass_by(passed)
            for run in self.alive:
                run.watch.prepare(Barrier("ended"))()
        for run in self.alive:
            run.watch.forget(gone(run.watch.doubtful(), frozenset(self.living)))
