"""The remaining time of a run.

Rule 1: where there is no basis for a figure, the reason is given instead.
"""

from __future__ import annotations

from pegasus.estimate import Remaining, Workload, estimate
from pegasus.run_state.known import KnownRun


def remaining_of(
    state: KnownRun, now: float, waiting: int | None, *, takes_no_more: bool = False
) -> Remaining:
    """Estimate the remaining time of a run.

    Args:
        state: of the run.
        now: seconds since the epoch.
        waiting: how many jobs are in the queue file; None where that is unknown.
        takes_no_more: whether nothing more will be taken, so that only what was taken counts.
    """
    if state.is_over:
        return Remaining(None, "the run is over")
    if takes_no_more:
        waiting = 0
    load = _steps_of(state, now, waiting) if state.pace.is_broadcast else _load(state, now, waiting)
    if isinstance(load, str):
        return Remaining(None, load)
    return Remaining(estimate(load))


def _load(state: KnownRun, now: float, waiting: int | None) -> Workload | str:
    """Give the schedule of a run in queue mode, or why there can be no estimate."""
    running = [
        (max(0.0, now - each.started_at), each.sub_node.number)
        for _, each in state.running()
        if each.started_at is not None
    ]
    taken = len(state.open_jobs) - len(running)  # they wait for a sub-node or for another try
    if not running and not taken and not waiting:
        return "nothing waits" if waiting == 0 else "the queue is not counted yet"
    if not state.pace.durations:
        return "no job has ended yet"
    if waiting is None:
        return "the queue is not counted yet"
    busy = {number for _, number in running}
    workers = [
        number
        for number, each in state.sub_nodes.items()
        if each.connection == "connected" or number in busy
    ]
    if not workers:
        return "no sub-node is connected"
    pace = state.pace
    again = pace.again / pace.ends if pace.ends else 0.0
    return Workload(list(pace.durations), running, max(0, waiting + taken), workers, again)


def _steps_of(state: KnownRun, now: float, waiting: int | None) -> Workload | str:
    """Give a broadcast as the schedule of one worker whose jobs are the steps."""
    steps = [(seconds, 0) for seconds in state.pace.steps]
    current = next(reversed(state.jobs.values()), None)
    running = [] if current is None or not current.is_open else [(now - current.taken_at, 0)]
    if not running and not waiting:
        return "nothing waits" if waiting == 0 else "the queue is not counted yet"
    if not steps:
        return "no step has ended yet"
    if waiting is None:
        return "the queue is not counted yet"
    return Workload(steps, [(max(0.0, since), 0) for since, _ in running], waiting, [0])
