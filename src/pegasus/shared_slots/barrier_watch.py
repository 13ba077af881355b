"""Whether a barrier may open, as the records of all runs of the queue tell it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from pegasus.barriers import BarrierOpen, BarrierVerdict, BarrierWaits, RunFacts, judge
from pegasus.errors import PegasusError
from pegasus.holds import DoubtfulCommand, JobOfRun
from pegasus.model import Barrier
from pegasus.queue_file import above_file, jobs_back
from pegasus.record import RunRecord, number_of, records_of
from pegasus.run_state import KnownRun
from pegasus.shared_slots.above import add_above, read_above
from pegasus.shared_slots.known_runs import KnownRuns
from pegasus.shared_slots.run_facts import dead_run, failed_among, live_facts, own_facts


class BarrierWatch:
    """Judges the barriers of a queue for one run; it may be asked twice in a second.

    Args:
        queue: the real path of the queue file.
        run: the name of this run.
        state: its live state, which is ahead of its journal.
        clock: gives a time in seconds that never goes back.
    """

    def __init__(
        self,
        queue: Path,
        run: str,
        state: KnownRun,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._run = run
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._runs = KnownRuns(queue)
        self._over_since: dict[str, float] = {}
        self._gone: set[tuple[JobOfRun, int]] = set()  # with the number of the sub-node
        self._doubtful: list[DoubtfulCommand] = []
        self._settled: set[int] = set()  # failures of this run above barriers that have opened

    def prepare(self, barrier: Barrier) -> Callable[[], BarrierVerdict]:
        """Note the state of this run, in Trio's thread; give what decides.

        What it gives waits for the disk: call it in a worker thread, while the lock of the queue is
        held, and after what a crash interrupted was finished. Then nobody takes anything, and each
        job that was taken is in the journal of its run.

        Args:
            barrier: the first item of the queue.
        """
        return partial(self._judge, barrier, own_facts(self._run, self._state))

    def _judge(self, barrier: Barrier, own: RunFacts) -> BarrierVerdict:
        with self._lock:
            self._runs.look()
            try:
                noted = read_above(self._queue)
            except OSError as error:
                return BarrierWaits(f"{above_file(self._queue)}: {error.strerror or error}")
            if noted is None:  # without a folder of records only this run is known
                noted = [(own.name, number) for number in own.failed.keys() - self._settled]
            above = self._with_resumed(noted)
            facts = self._facts(above, own)
            if barrier.kind == "succeeded":
                self._note_running(above, facts)
            verdict = judge(barrier.kind, above, facts)
            unreadable = self._runs.problems_of({run for run, _ in above})
            if unreadable and isinstance(verdict, BarrierOpen):
                return BarrierWaits(unreadable[0])
            if isinstance(verdict, BarrierOpen):
                self._settled.update(own.failed)
            return verdict

    @property
    def may_doubt(self) -> bool:
        """Whether a barrier waited for commands of killed runs at the last look; never waits."""
        return bool(self._doubtful)

    def doubtful(self) -> list[DoubtfulCommand]:
        """Give these commands."""
        with self._lock:
            return list(self._doubtful)

    def forget(self, commands: Iterable[DoubtfulCommand]) -> None:
        """Count commands as gone, see ``holds.gone``."""
        with self._lock:
            self._gone.update((each.command, each.sub_node.number) for each in commands)

    def _with_resumed(self, above: Iterable[JobOfRun]) -> set[JobOfRun]:
        """Replace steps of broadcasts by the jobs of later runs that have taken them up."""
        wanted = set(above)
        for run in sorted(self._runs.resuming(), key=_age):
            for job in run.state.jobs.values():
                if job.resumes and (origin := (job.resumes.run, job.resumes.job)) in wanted:
                    wanted.remove(origin)
                    wanted.add((run.name, job.number))
        return wanted

    def _facts(self, above: set[JobOfRun], own: RunFacts) -> list[RunFacts]:
        """Give what there is to know of each run that matters."""
        self._doubtful = []
        runs = sorted(self._runs.unsettled(), key=_age)
        others = [run for run in runs if run.name != own.name]
        facts = [own, *(self._facts_of(run, _numbers(above, run.name)) for run in others)]
        for run in self._runs.settled(sorted({run for run, _ in above} - {own.name})):
            failed = failed_among(run.state, _numbers(above, run.name))
            facts.append(RunFacts(run.name, failed=failed))
        return [self._with_back(each) for each in facts]

    def _facts_of(self, run: RunRecord, above: Collection[int]) -> RunFacts:
        if run.alive:
            self._over_since.pop(run.name, None)
            return live_facts(run.name, run.state, above)
        now = self._clock()
        seconds = now - self._over_since.setdefault(run.name, now)
        dead = dead_run(run.name, run.state, seconds, self._is_gone)
        self._doubtful += dead.doubtful
        failed = failed_among(run.state, above)
        return RunFacts(run.name, unended=dead.unended, unfollowed=dead.unfollowed, failed=failed)

    def _is_gone(self, doubt: DoubtfulCommand) -> bool:
        return (doubt.command, doubt.sub_node.number) in self._gone

    def _with_back(self, facts: RunFacts) -> RunFacts:
        """Add which jobs of a run were put back; it is asked only where that matters."""
        if not (facts.failed or facts.unfollowed):
            return facts
        try:
            back = jobs_back(self._queue, records_of(self._queue) / facts.name)
        except PegasusError:  # it is as if nothing was put back
            return facts
        return replace(facts, back=back)

    def _note_running(self, above: set[JobOfRun], facts: Iterable[RunFacts]) -> None:
        """Count what runs as taken from above the barrier, which a user may have added later."""
        runs = [each for each in facts if each.name not in self._over_since]
        new = {(each.name, number) for each in runs for number in each.unended} - above
        if new:
            above |= new
            with suppress(OSError):  # it is tried again at the next look
                add_above(self._queue, sorted(new))


def _numbers(above: Iterable[JobOfRun], run: str) -> list[int]:
    return [number for name, number in above if name == run]


def _age(run: RunRecord) -> tuple[int, str]:
    return number_of(run.name) or 0, run.name
