"""The reducer: it applies events to the state of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pegasus.events import (
    AllocationChanged,
    Awaited,
    BarrierPassed,
    Connected,
    Cut,
    Discarded,
    Ended,
    Event,
    LinesMissing,
    Missing,
    Noted,
    OutputMissing,
    Prepared,
    Probed,
    Progressed,
    Reconnected,
    Released,
    Returned,
    RunBegan,
    RunDraining,
    RunEnded,
    RunPaused,
    RunResumed,
    Stalled,
    Started,
    StopStored,
    SubNodeAdded,
    Taken,
    TakenOver,
    Unreachable,
)
from pegasus.model import Assignment, succeeded
from pegasus.run_state.jobs import (
    End,
    Execution,
    JobState,
    SubNodeState,
    word_for,
)
from pegasus.run_state.known import KnownRun
from pegasus.run_state.slots import PoolSeen, machine_of, slots_counted


class RunState(KnownRun):
    """The state of a run; ``apply`` changes it.

    ``KnownRun`` has its attributes and answers the questions of readers.
    """

    # What happens.

    def apply(self, event: Event, at: float) -> None:
        """Change the state by an event.

        Args:
            event: what happened.
            at: when, in seconds since the epoch.

        Raises:
            KeyError: a job or a sub-node of the event is unknown; nothing has changed.
        """
        _HANDLERS[type(event)](self, event, at)
        self.last_at = at

    def _begin(self, event: RunBegan, at: float) -> None:
        self.began, self.began_at, self._broadcast = event, at, event.mode == "broadcast"
        self.pace.is_broadcast = self._broadcast
        self.sub_nodes = {each.number: SubNodeState(each) for each in event.sub_nodes}

    def _end(self, event: RunEnded, at: float) -> None:
        self.end = End(at, event.exit_status, event.result, event.reason)
        self.paused_at = None
        if self.follower is None:
            self.own_end = self.end

    def _drain(self, _: RunDraining, at: float) -> None:
        self.draining_at = self.draining_at or at

    def _pause(self, _: RunPaused, at: float) -> None:
        self.paused_at = at

    def _resume(self, _: RunResumed, __: float) -> None:
        self.paused_at = None

    def _add_sub_node(self, event: SubNodeAdded, _: float) -> None:
        self.sub_nodes[event.sub_node.number] = SubNodeState(event.sub_node)

    def _connect(self, event: Connected, _: float) -> None:
        state = self.sub_nodes[event.sub_node.number]
        state.connection, state.words, state.was_connected = "connected", "", True

    def _lose_connection(self, event: Unreachable, _: float) -> None:
        state = self.sub_nodes[event.sub_node.number]
        state.connection, state.words = "unreachable", event.words

    def _miss_sub_node(self, event: Missing, _: float) -> None:
        self.sub_nodes[event.sub_node.number].missing = True

    def _miss_lines(self, event: LinesMissing, _: float) -> None:
        self.lines_missing += event.lines

    def _take(self, event: Taken, at: float) -> None:
        number = event.number
        if self._broadcast and self.jobs:  # the step before this one is over
            before = next(reversed(self.jobs.values()))
            self.pace.add_step(before.taken_at)
            self._forget(before)
        if number in self.jobs:
            self._reopen(self.jobs[number])
        job = JobState(number, event.job, at, self._broadcast, resumes=event.resumes)
        self.jobs[number] = self.open_jobs[number] = job
        self.taken += 1

    def _start(self, event: Started, at: float) -> None:
        job = self.jobs[event.assignment.number]
        self._reopen(job)
        execution = Execution(event.assignment, at)
        self._add_try(job, execution)
        self.pace.add_start(execution.assignment, at)
        self.folders.add(job, execution)

    def _finish(self, event: Ended, at: float) -> None:
        job = self.jobs[event.assignment.number]
        self._reopen(job)
        execution = self._ended_anew(job, event) or job.latest(event.assignment.sub_node.number)
        if execution is None or not execution.is_open:  # it never started
            execution = Execution(event.assignment)
            self._add_try(job, execution)
        if execution.outcome is None:
            self._measure(execution, event, at)
        self._ends += 1
        execution.rank = self._ends
        execution.ended_at, execution.seconds, execution.cut = at, event.seconds, ""
        execution.silent_since = None
        job.end(execution, event.outcome, again=event.again)
        if job.counts(execution):
            self._list(execution, job)
        if not job.is_open:
            self._close(job)

    def _ended_anew(self, job: JobState, event: Ended) -> Execution | None:
        """Give a detached try that counts as ended, and whose end is known only now.

        It was given up before, or the end was recorded and its output was not.
        """
        execution = self.folders.find(event.assignment.key)
        if execution is None or execution not in job.executions:
            return None
        if execution.outcome is not None:
            self._failures.pop(execution, None)
            self._successes.pop(execution, None)
            self.recorded_bytes -= sum(execution.printed.values())
            self.recorded_bytes += sum(execution.missing.values())
            if sub_node := self.sub_nodes.get(execution.sub_node.number):
                weight = slots_counted(execution.assignment)
                sub_node.busy -= (execution.seconds or 0.0) * weight
            job.end_anew(execution)
        return execution

    def _measure(self, execution: Execution, event: Ended, at: float) -> None:
        """Note what a command used; an end that is replaced by another is counted once."""
        execution.printed = event.printed
        self.recorded_bytes += sum(event.printed.values())
        if execution.missing:
            self.recorded_bytes -= sum(execution.missing.values())
        if execution.started_at is None:
            return
        self.pace.add_end(event, at)
        if sub_node := self.sub_nodes.get(execution.sub_node.number):
            sub_node.busy += event.seconds * slots_counted(execution.assignment)

    def _progress(self, event: Progressed, at: float) -> None:
        execution = self.jobs[event.assignment.number].latest(event.assignment.sub_node.number)
        if execution is not None and execution.outcome is None:
            execution.printed, execution.printed_at = event.printed, at
            execution.silent_since = None

    def _stall(self, event: Stalled, at: float) -> None:
        if execution := self._unended(event.assignment):
            execution.silent_since = at - event.seconds

    def _return(self, event: Returned, _: float) -> None:
        job = self.jobs[event.assignment.number]
        execution = job.latest(event.assignment.sub_node.number)
        if execution is None or execution.outcome is not None:
            return
        self._reopen(job)
        self.folders.remove(execution.assignment.key)
        self.folders.add_stray(execution.assignment.key, execution.sub_node)
        job.remove(execution)
        for each in job.final:  # one that counted before counts again
            self._list(each, job)
        if not job.is_open:
            self._close(job)

    def _miss_output(self, event: OutputMissing, _: float) -> None:
        execution = self.jobs[event.number].latest(event.sub_node)
        if execution is not None:
            missing = execution.missing
            missing[event.stream] = missing.get(event.stream, 0) + event.size
            if execution.outcome is not None:
                self.recorded_bytes -= event.size

    # What happens to slots and barriers.

    def _probe(self, event: Probed, at: float) -> None:
        answers = self.sub_nodes[event.sub_node.number].answers
        held = {
            slot.key
            for assignment in self.holding()
            if machine_of(assignment.sub_node) == machine_of(event.sub_node)
            for each in assignment.slots
            if each.pool == event.pool
            for slot in each.slots
        }
        answers.setdefault(event.pool, PoolSeen()).add(event, held, at)

    def _await(self, event: Awaited, _: float) -> None:
        self.waiting_for = event.waiting

    def _pass_barrier(self, _: BarrierPassed, __: float) -> None:
        self.barriers_passed += 1

    def _change_allocation(self, event: AllocationChanged, _: float) -> None:
        self.allocations.pop(event.job, None)
        if event.state != "over":
            self.allocations[event.job] = event
            return
        for each in self.sub_nodes.values():
            if each.sub_node.slurm is not None and each.sub_node.slurm.job == event.job:
                each.has_left = True

    # What happens to detached commands.

    def _take_over(self, event: TakenOver, _: float) -> None:
        self.end, self.follower = None, event
        self.waiting_for, self.paused_at = (), None  # who takes over commands takes no job

    def _cut(self, event: Cut, at: float) -> None:
        if execution := self._unended(event.assignment):
            execution.cut, execution.cut_at = event.words, at
            execution.silent_since = None  # it is unknown whether it prints

    def _reconnect(self, event: Reconnected, _: float) -> None:
        if execution := self._unended(event.assignment):
            execution.cut = ""

    def _store_stop(self, event: StopStored, _: float) -> None:
        if execution := self._unended(event.assignment):
            execution.stop_stored = True

    def _unended(self, assignment: Assignment) -> Execution | None:
        """Give the try that runs where a job was assigned to."""
        execution = self.jobs[assignment.number].latest(assignment.sub_node.number)
        return None if execution is None or execution.outcome is not None else execution

    def _release(self, event: Released, _: float) -> None:
        job = self.jobs[event.assignment.number]
        self.folders.remove(event.assignment.key)
        if not (self._broadcast and job is next(reversed(self.jobs.values()))):
            self._forget(job)

    # Which tries count, and which jobs are open.

    def _add_try(self, job: JobState, execution: Execution) -> None:
        """Add a try, which counts instead of an earlier one."""
        replaced = job.add(execution)
        if replaced is not None:
            self._failures.pop(replaced, None)
            self._successes.pop(replaced, None)

    def _list(self, execution: Execution, job: JobState) -> None:
        """List a try that counts among the failures or the successes, once it has ended."""
        if execution.is_open or execution.outcome is None:
            return
        if not succeeded(execution.outcome):
            self._failures[execution] = job
        elif self._keep_successes:
            self._successes[execution] = job

    def _reopen(self, job: JobState) -> None:
        """Count a job anew that had come to its end: a damaged journal may lack lines."""
        if job.number not in self.open_jobs:
            self._closed.subtract(self.words_of(job))
            self.open_jobs[job.number] = job

    def _close(self, job: JobState) -> None:
        """Count a job that has come to its end."""
        del self.open_jobs[job.number]
        for execution in job.final:
            if execution.outcome is not None:
                self._closed[word_for(execution.outcome)] += 1
        if not self._broadcast:  # there a sub-node may be handed the job once more
            self._forget(job)

    def _forget(self, job: JobState) -> None:
        """Forget a job that has come to its end and succeeded, in a run that goes on."""
        if self._keep_successes or job.number in self.open_jobs or job.unreleased:
            return
        if all(each.outcome is not None and succeeded(each.outcome) for each in job.final):
            del self.jobs[job.number]


_HANDLERS: dict[type, Callable[[RunState, Any, float], None]] = {
    RunBegan: RunState._begin,  # noqa: SLF001 -- a table for one method of the class
    RunEnded: RunState._end,  # noqa: SLF001
    RunDraining: RunState._drain,  # noqa: SLF001
    RunPaused: RunState._pause,  # noqa: SLF001
    RunResumed: RunState._resume,  # noqa: SLF001
    SubNodeAdded: RunState._add_sub_node,  # noqa: SLF001
    Connected: RunState._connect,  # noqa: SLF001
    Unreachable: RunState._lose_connection,  # noqa: SLF001
    Missing: RunState._miss_sub_node,  # noqa: SLF001
    Taken: RunState._take,  # noqa: SLF001
    Started: RunState._start,  # noqa: SLF001
    Returned: RunState._return,  # noqa: SLF001
    Progressed: RunState._progress,  # noqa: SLF001
    Stalled: RunState._stall,  # noqa: SLF001
    Ended: RunState._finish,  # noqa: SLF001
    Probed: RunState._probe,  # noqa: SLF001
    AllocationChanged: RunState._change_allocation,  # noqa: SLF001
    Awaited: RunState._await,  # noqa: SLF001
    BarrierPassed: RunState._pass_barrier,  # noqa: SLF001
    Noted: lambda *_: None,
    Prepared: lambda state, event, _: state.folders.add_stray(event.key, event.sub_node),
    Discarded: lambda state, event, _: state.folders.remove_stray(event.key),
    TakenOver: RunState._take_over,  # noqa: SLF001
    Cut: RunState._cut,  # noqa: SLF001
    Reconnected: RunState._reconnect,  # noqa: SLF001
    StopStored: RunState._store_stop,  # noqa: SLF001
    Released: RunState._release,  # noqa: SLF001
    LinesMissing: RunState._miss_lines,  # noqa: SLF001
    OutputMissing: RunState._miss_output,  # noqa: SLF001
}
"""What each event does. A table takes a third of the time of a ``match`` on classes, and a journal
may have millions of lines."""
