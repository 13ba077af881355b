"""A run that asks about a barrier, and what other runs have recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pegasus.barriers import BarrierClosed, BarrierOpen, BarrierWaits
from pegasus.events import Ended, Event, Started, Taken
from pegasus.holds import gone
from pegasus.model import (
    Assignment,
    Barrier,
    BarrierKind,
    Command,
    Exited,
    Job,
    Outcome,
    StepOrigin,
)
from pegasus.queue_file import LockedQueue, RetryLedger
from pegasus.record import records_of
from pegasus.run_state import RunState
from pegasus.shared_slots import BarrierWatch
from tests.unit.shared import NODE, Clock

OWN, B, C = "0001-run-a", "0002-run-b", "0003-run-c"
JOB = Job("train")


def assigned(number: int, key: str | None = None) -> Assignment:
    """Give an assignment of a job to the node."""
    return Assignment(number, JOB, NODE, Command("train"), key)


def taken(number: int, resumes: StepOrigin | None = None) -> Event:
    """Give the take of a job."""
    return Taken(number, JOB, resumes)


def started(number: int, key: str | None = None) -> Sequence[Event]:
    """Give the take and the start of a job."""
    return taken(number), Started(assigned(number, key))


def ended(number: int, outcome: Outcome | None = None, *, again: bool = False) -> Event:
    """Give the end of a job."""
    return Ended(assigned(number), outcome or Exited(0), 1.0, again=again)


def above(queue: Path, *jobs: tuple[str, int]) -> None:
    """Note jobs as a take does that has a barrier below it."""
    with (records_of(queue) / "above-barrier").open("a") as file:
        file.writelines(json.dumps({"run": run, "job": job}) + "\n" for run, job in jobs)


class Trial:
    """A run that asks about a barrier, beside other runs."""

    def __init__(self, queue: Path) -> None:
        self.queue = queue
        self.clock = Clock()
        self.state = RunState(keep_successes=False)
        self.watch = BarrierWatch(queue, OWN, self.state, clock=self.clock)

    def tell(self, *events: Event) -> None:
        """Let something happen in the run itself."""
        for event in events:
            self.state.apply(event, 1.0)

    def verdict(self, kind: BarrierKind = "succeeded") -> str:
        """Give the verdict in a word, with its message behind it."""
        verdict = self.watch.prepare(Barrier(kind))()
        match verdict:
            case BarrierOpen():
                return "open"
            case BarrierWaits(words):
                return f"waits: {words}"
            case BarrierClosed(words):
                return f"closed: {words}"

    def learn(self, living: frozenset[tuple[str, int]] | None) -> None:
        """Tell what the node says about the commands in doubt."""
        self.watch.forget(gone(self.watch.doubtful(), living))

    def opens(self, kind: BarrierKind = "succeeded") -> bool:
        """Return whether the barrier opens."""
        return self.verdict(kind) == "open"


def put_back(queue: Path, run: str, *numbers: int) -> None:
    """Do what ``pegasus retry`` does."""
    ledger = RetryLedger(LockedQueue(str(queue), queue), records_of(queue) / run)
    queue.write_text("")  # the reader of this part does not know barriers
    ledger.put_back(dict.fromkeys(numbers, JOB), top=True)
