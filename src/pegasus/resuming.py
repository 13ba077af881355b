"""The newest broadcast of a queue, and what is left of it: what ``b --resume`` continues.

Rule 1: a step is done on a sub-node where it has succeeded. Everything else is left: it failed, was
lost, never started, or the sub-node was missing or is new.
Rule 2: what is known is in the records: of the newest broadcast, of the one that it continues, and
so on. A step is known by the take that removed it from the queue.
Rule 3: a sub-node is known by its hostname and parameters, not by its number: the hosts file may
have changed. Of several that are alike the first stays the first.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import trio

from pegasus.dispatch import ResumedStep
from pegasus.errors import PegasusError
from pegasus.model import Job, StepOrigin, SubNode, succeeded
from pegasus.node_sets import names_of
from pegasus.queue_file import LockedQueue, QueueFile, RetryLedger, jobs_back
from pegasus.record import RunRecord, find_runs, find_runs_and_skipped, number_of
from pegasus.run_state import KnownRun


@dataclass(frozen=True, slots=True)
class StepLeft:
    """A step that is not done on each sub-node.

    Attributes:
        origin: where it was taken from the queue.
        job: the job, as it was taken.
        needed: the sub-nodes on which it is not done.
        open: those of them on which a detached command of it may still run.
    """

    origin: StepOrigin
    job: Job
    needed: Sequence[SubNode]
    open: Sequence[SubNode]


@dataclass(slots=True)
class _KnownStep:
    """What the records say of a step: where it is done, and where it may run."""

    job: Job
    done: set[tuple[SubNode, int]] = field(default_factory=set)
    open: set[tuple[SubNode, int]] = field(default_factory=set)


def steps_left(
    runs: Mapping[str, KnownRun], sub_nodes: Sequence[SubNode], back: Collection[StepOrigin] = ()
) -> list[StepLeft]:
    """Find the steps of a broadcast that are not done, in the order in which they were taken.

    Args:
        runs: the runs of the broadcast by name, the oldest first.
        sub_nodes: those on which the steps have to be done.
        back: the steps that are in the queue again.
    """
    steps: dict[StepOrigin, _KnownStep] = {}
    for name, state in runs.items():
        places = _places(each.sub_node for each in state.sub_nodes.values())
        for job in state.jobs.values():
            origin = job.resumes or StepOrigin(name, job.number)
            step = steps.setdefault(origin, _KnownStep(job.job))
            for execution in job.executions:
                place, outcome = places[execution.sub_node.number], state.outcome_of(execution)
                if outcome is None:
                    step.open.add(place)
                elif succeeded(outcome):
                    step.done.add(place)
    wanted = _places(sub_nodes)
    found = []
    for origin, step in steps.items():
        needed = [each for each in sub_nodes if wanted[each.number] not in step.done]
        runs_on = [each for each in needed if wanted[each.number] in step.open]
        if needed and origin not in back:
            found.append(StepLeft(origin, step.job, needed, runs_on))
    return found


def _places(sub_nodes: Iterable[SubNode]) -> dict[int, tuple[SubNode, int]]:
    """Identify sub-nodes without their numbers: which of those that are alike, by number."""
    seen: Counter[SubNode] = Counter()
    places = {}
    for sub_node in sub_nodes:
        alike = replace(sub_node, number=0, slurm=None)
        places[sub_node.number] = alike, seen[alike]
        seen[alike] += 1
    return places


class KnownBroadcast:
    """A broadcast in the records: a run, and the runs that it continues.

    Args:
        runs: read; the oldest first.
    """

    def __init__(self, runs: Sequence[RunRecord]) -> None:
        self.runs = runs

    @property
    def name(self) -> str:
        """The name of its newest run."""
        return self.runs[-1].name

    @property
    def is_finished(self) -> bool:
        """Whether its newest run has run all jobs on all sub-nodes, whatever their outcomes."""
        newest = self.runs[-1].state
        end = newest.own_end
        return end is not None and end.result == "done" and not newest.missing

    def steps_left(
        self, sub_nodes: Sequence[SubNode], back: Callable[[Path], set[int]]
    ) -> list[StepLeft]:
        """Find the steps that are not done; see ``steps_left``.

        Args:
            sub_nodes: those on which the steps have to be done.
            back: gives the jobs that ``pegasus retry`` put back, for the folder of a run.
        """
        states = {run.name: run.state for run in self.runs}
        return steps_left(states, sub_nodes, self._put_back(back))

    def new_among(self, sub_nodes: Sequence[SubNode]) -> list[SubNode]:
        """Find the sub-nodes that none of its runs had."""
        every = [[each.sub_node for each in run.state.sub_nodes.values()] for run in self.runs]
        known = {place for of_run in every for place in _places(of_run).values()}
        places = _places(sub_nodes)
        return [each for each in sub_nodes if places[each.number] not in known]

    def _put_back(self, jobs_of: Callable[[Path], set[int]]) -> set[StepOrigin]:
        back = set()
        for run in self.runs:
            for number in jobs_of(run.folder.path):
                job = run.state.jobs.get(number)
                back.add(job.resumes if job and job.resumes else StepOrigin(run.name, number))
        return back


def newest_broadcast(queue: QueueFile, own: str = "") -> KnownBroadcast | None:
    """Read the newest broadcast that has taken something; None where there is none.

    Args:
        queue: the queue.
        own: the name of a run that is not meant: the one that asks.

    Raises:
        PegasusError: a record that is or may be needed cannot be read, or is missing.
    """
    found, skipped = find_runs_and_skipped(queue.real)
    runs = {run.name: run for run in found if run.name != own}
    for run in reversed(runs.values()):
        if run.began.mode != "broadcast":
            continue
        run.refresh()
        if run.state.jobs or run.began.resumes:
            _refuse_newer(skipped, run)
            return KnownBroadcast(_chain(run, runs))
    return None


def _refuse_newer(skipped: Mapping[str, str], run: RunRecord) -> None:
    """Refuse to continue a run if a newer one, which cannot be read, may have continued it."""
    for name, words in skipped.items():
        number = number_of(name)
        if number is None or number > (run.began.number or 0):
            raise PegasusError(
                f"{words} It is newer than run {run.name}, and may have continued its broadcast: "
                "nothing was run. Make its record readable, or move its folder away."
            )


def _chain(newest: RunRecord, runs: Mapping[str, RunRecord]) -> list[RunRecord]:
    """Read the runs that a run continues; the oldest first."""
    chain = [newest]
    while before := chain[0].began.resumes:
        if before not in runs or runs[before] in chain:
            raise PegasusError(
                f"The record of run {before} is missing, which run {chain[0].name} continues. Put "
                f"its folder back beside {newest.folder.path}. Without it, it is unknown "
                "which steps are done. `pegasus broadcast` runs the steps that wait in the queue."
            )
        runs[before].refresh()
        chain.insert(0, runs[before])
    return chain


# For a run that continues a broadcast.


async def broadcast_to_resume(queue: QueueFile, say: Callable[[str], None]) -> tuple[str, ...]:
    """Give the names of the runs of the broadcast that ``--resume`` continues, the newest last.

    Raises:
        PegasusError: there is none, or it goes on.
    """
    async with queue.locked(say) as locked:
        found = await trio.to_thread.run_sync(_read_unfinished, queue, locked, "")
    return tuple(run.name for run in found.runs)


def _read_unfinished(queue: QueueFile, locked: LockedQueue, own: str) -> KnownBroadcast:
    """Read the newest broadcast; its queue is locked, so that a take that was cut off is known."""
    locked.recover()
    for run in find_runs(queue.real):
        if run.began.mode == "broadcast" and run.name != own and run.alive:
            run.refresh()
            if run.state.follower is None or run.state.follower.by != own or not own:
                raise PegasusError(_goes_on(run))
    found = newest_broadcast(queue, own)
    if found is None:
        raise PegasusError(
            f"{queue.path}: no broadcast of this queue is recorded, so there is none to continue. "
            "`pegasus broadcast` starts one."
        )
    if found.is_finished:
        raise PegasusError(
            f"The newest broadcast, run {found.name}, has finished: there is nothing to continue. "
            "`pegasus retry` puts jobs that did not succeed back into the queue, and `pegasus "
            "broadcast` runs what is in it."
        )
    return found


def _goes_on(run: RunRecord) -> str:
    follower = run.state.follower
    if follower is not None:
        return (
            f"The commands of run {run.name} are followed by process {follower.pid} on "
            f"{follower.host}. Wait for their end, then continue the broadcast."
        )
    return (
        f"The broadcast of run {run.name} goes on, process {run.began.pid} on {run.began.host}. "
        "Wait for its end, or end it with `pegasus stop`, then continue it."
    )


async def steps_to_resume(
    queue: QueueFile,
    own: str,
    before: str,
    sub_nodes: Sequence[SubNode],
    say: Callable[[str], None],
    *,
    missing: Collection[int] = (),
) -> list[ResumedStep]:
    """Give the steps that a run has to continue, once it has followed what still ran.

    Args:
        queue: the queue.
        own: the name of the run.
        before: the name of the run that it continues.
        sub_nodes: those of the run.
        say: gets a message where the lock of the queue is waited for, and notes.
        missing: the numbers of those that run nothing, so that a command may still run there.

    Raises:
        PegasusError: another run has continued the broadcast meanwhile, or a command of it may
            still run.
    """
    async with queue.locked(say) as locked:
        work = partial(_resumed, queue, locked, own, before, sub_nodes, missing=missing)
        steps, notes = await trio.to_thread.run_sync(work)
    for words in notes:
        say(words)
    return steps


def _resumed(
    queue: QueueFile,
    locked: LockedQueue,
    own: str,
    before: str,
    sub_nodes: Sequence[SubNode],
    *,
    missing: Collection[int],
) -> tuple[list[ResumedStep], list[str]]:
    found = _read_unfinished(queue, locked, own)
    if found.name != before:
        raise PegasusError(
            f"Run {found.name} has continued the broadcast meanwhile; nothing was run. See "
            "`pegasus status`."
        )
    left = found.steps_left(sub_nodes, lambda run: RetryLedger(locked, run).settle())
    for step in left:
        if still_open := [each for each in step.open if each.number not in missing]:
            raise PegasusError(
                f"Job {step.origin.job} of run {step.origin.run} may still run on "
                f"{names_of(still_open)}, and its end is not known: nothing was run. `pegasus "
                "attach` follows it to its end, `pegasus attach --forget` gives it up."
            )
    steps = [
        ResumedStep(step.origin, step.job, frozenset(each.number for each in step.needed))
        for step in left
    ]
    notes = [
        f"Run {run.name}: {words}. A step that it lacks is not continued, and one whose end it "
        "lacks runs once more."
        for run in found.runs
        for words in run.warnings
    ]
    if steps and (new := found.new_among(sub_nodes)):
        notes.append(f"Not in the broadcast before: {names_of(new)}. All its steps run there.")
    return steps, notes


# Messages.


async def notes_on_unfinished(queue: QueueFile, own: str, command: str) -> list[str]:
    """Give a note for a new broadcast where the one before did not finish.

    Args:
        queue: the queue.
        own: the name of the new run.
        command: continues the one before; see ``resume_command``.
    """
    return await trio.to_thread.run_sync(_notes, queue, own, command)


def _notes(queue: QueueFile, own: str, command: str) -> list[str]:
    try:
        runs = [run for run in find_runs(queue.real) if run.began.mode == "broadcast"]
        earlier = [run for run in runs if run.name != own]
        if not earlier or earlier[-1].ended_well():
            return []  # the usual case, in which a long journal need not be read
        before = newest_broadcast(queue, own)
        if before is None or before.is_finished or before.runs[-1].alive:
            return []
        sub_nodes = [each.sub_node for each in before.runs[-1].state.sub_nodes.values()]
        if not before.steps_left(sub_nodes, partial(jobs_back, queue.real)):
            return []  # to continue it would be to begin with the next job in the queue as well
    except PegasusError:  # who resumes it gets the reason
        return []
    words = f"The broadcast before, run {before.name}, did not finish. This one begins with the "
    return [f"{words}next job in the queue; `{command}` continues that one."]


async def words_on_rest(
    queue: QueueFile, name: str, sub_nodes: Sequence[SubNode], command: str
) -> list[str]:
    """Say what is left of the broadcast of a run that is over; nothing where it has finished.

    Args:
        queue: the queue.
        name: of the run.
        sub_nodes: those of the run.
        command: continues it; see ``resume_command``.
    """
    work = partial(_rest, queue, name, sub_nodes, command)
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


def _rest(queue: QueueFile, name: str, sub_nodes: Sequence[SubNode], command: str) -> list[str]:
    try:
        found = newest_broadcast(queue)
        if found is None or found.name != name or found.is_finished:
            return []
        left = found.steps_left(sub_nodes, partial(jobs_back, queue.real))
    except PegasusError:  # the record cannot be read; the run has said so
        return []
    waiting = queue.count()
    parts = []
    if left:
        where = {each.number: each for step in left for each in step.needed}
        steps = "1 step" if len(left) == 1 else f"{len(left):,} steps"
        nodes = f"{len(where):,} of {len(sub_nodes):,} sub-nodes"
        parts.append(f"{steps} not done on {names_of(list(where.values()))} ({nodes})")
    if waiting:
        parts.append(f"{waiting:,} {'job waits' if waiting == 1 else 'jobs wait'} in {queue.path}")
    if not parts:
        return []  # it was ended during the last step
    return [f"The broadcast did not finish: {', '.join(parts)}.", f"To continue it: {command}"]


def resume_command(
    hosts_file: Path, queue_file: Path, ssh_config: Path | None, limit: Sequence[str]
) -> str:
    """Give the command that continues a broadcast on the same sub-nodes."""
    options = {"--hosts-file": hosts_file, "--queue-file": queue_file, "--ssh-config": ssh_config}
    words = [
        f"{option}={path}"
        for option, path in options.items()
        if path and str(path) not in {"hosts.yaml", "queue.yaml"}
    ]
    words += [f"--limit={text}" for text in limit]
    return shlex.join(["pegasus", "broadcast", "--resume", *words])
